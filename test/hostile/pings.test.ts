// Pings are open to anyone (`public`), and each names up to 1,000 topics: what they cost the core must not grow with what strangers did.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { stateStatements } from "../../core/replica/states.ts";
import { createPing } from "../../core/requests/ping.ts";
import { type Registration, Topics } from "../../core/requests/topics.ts";
import { subscriptionIdOf, topicIdOf } from "../../core/state/ids.ts";
import { encodeRecord, type SubscriptionRecord } from "../../core/state/records.ts";
import { NO_QUOTAS } from "../support/rigs/no-quotas.ts";
import { CALLBACK, subscriptionOf, TOPIC } from "../support/rigs/subscription-events.ts";

const urls = (count: number) => Array.from({ length: count }, (_, n) => `https://example.com/${n}`);

/** A core whose replica knows all topics, of which every third has a subscription. It counts the questions. */
function counting(registration: Registration) {
  const counts = { questions: 0, turns: 0, appended: 0 };
  const question = <T>(answer: T) => {
    counts.questions++;
    return Promise.resolve(answer);
  };
  const record = (topic: string) => ({ topic, version: 0, start: 0, operations: [] });
  const replica = {
    topic: (id: string) => question(record(id)),
    topics: (ids: readonly string[]) => question(new Map(ids.map((id) => [id, record(id)]))),
    subscribedOf: (ids: readonly string[]) => question(new Set(ids.filter((_, place) => place % 3 === 0))),
    reached: () => Promise.resolve(true),
  };
  let turnAt = -1;
  let turn = 0;
  const ticking = setInterval(() => turn++);
  const log = {
    partitions: () => 1,
    partitionOf: () => 0,
    end: () => Promise.resolve(0),
    append: () => {
      counts.appended++;
      if (turnAt !== turn) counts.turns++;
      turnAt = turn;
      return Promise.resolve({ partition: 0, offset: 0, time: 0 });
    },
  };
  const options = { log, replica, quotas: NO_QUOTAS, clock: () => 0 };
  const topics = new Topics(options as unknown as ConstructorParameters<typeof Topics>[0]);
  const ping = createPing({ ...options, topics, registration });
  return { counts, ping, end: () => clearInterval(ticking) };
}

describe("pings from strangers", () => {
  for (const registration of ["automatic", "required"] as const) {
    it(`a ping of 999 topics asks the replica as often as one of 3, and writes at once (${registration})`, async () => {
      const came: number[] = [];
      for (const count of [3, 300, 999]) {
        const { counts, ping, end } = counting(registration);
        await ping({ kind: "ping", id: "p", madeAt: 0, topics: urls(count) });
        end();
        assert.equal(counts.turns, 1, "the events share a commit");
        assert.ok(counts.appended >= count / 3);
        came.push(counts.questions);
      }
      assert.equal(new Set(came).size, 1, `questions: ${came.join()}`);
    });
  }

  it("what a ping looks for leaves out subscriptions that have ended, of which a topic may have any number", () => {
    const topicIdIn = (more: Partial<SubscriptionRecord>) => {
      const value = encodeRecord(subscriptionOf(more));
      const record = { key: subscriptionIdOf(TOPIC, CALLBACK), value, headers: {}, partition: 0, offset: 0, time: 0 };
      const [statement] = stateStatements("subscriptions", {
        stream: "subscriptions",
        partition: 0,
        records: [record],
        next: 1,
      });
      return (statement as { args: unknown[] }).args[4];
    };
    assert.equal(topicIdIn({ phase: "active" }), topicIdOf(TOPIC));
    for (const phase of ["unsubscribed", "gone", "revoked", "deregistered"] as const) {
      assert.equal(topicIdIn({ phase }), null, phase);
    }
  });
});
