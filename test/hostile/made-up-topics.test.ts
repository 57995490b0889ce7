// In `public` access anybody makes topics by subscribing. What nobody needs any longer goes away, and what is needed stays (WIRE §1).
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DueIndex } from "../../core/shards/due-index.ts";
import { Findings } from "../../core/shards/findings.ts";
import { FoldedState } from "../../core/shards/folded-state.ts";
import { UnusedTopics } from "../../core/shards/unused-topics.ts";
import { subscriptionIdOf, topicIdOf } from "../../core/state/ids.ts";
import type { TopicRecord } from "../../core/state/records.ts";
import { Subscriptions } from "../../core/state/subscriptions.ts";
import { useIdOf } from "../../core/state/topic-use.ts";
import { parameterOf } from "../support/form.ts";
import { createClock, operationId } from "../support/rigs/core-rig.ts";
import { eventually } from "../support/eventually.ts";
import { stateOf, withCore } from "../support/rigs/shared-core.ts";
import type { TestCore } from "../support/rigs/test-core.ts";
import { inFile } from "../support/sqlite-file.ts";
import { join } from "node:path";

const HOUR_MS = 3_600_000;
const RETENTION_MS = 24 * HOUR_MS;
const settings = { TIDINGS_RETENTION: "24h", TIDINGS_LEASE_MIN: "1" };
const callbackOf = (n: number) => `http://127.0.0.1:9/made-up/${n}`;
const topicOf = (n: number) => `made-up ${n}`;

/** Sweeps, and lets time pass: each sweep looks at some topics and subscriptions, and a round of them is followed by a rest. */
async function settle(core: TestCore, done: () => Promise<boolean>): Promise<void> {
  await eventually("what is to go away", async () => {
    core.clock.advance(300_000);
    core.sweep();
    return await done();
  }, { deadlineMs: 60_000 });
}

/** The keys of a stream that the replica has, without the shard's own. */
async function keysOf({ directory }: TestCore, stream: string): Promise<string[]> {
  const { rows } = await inFile(
    join(directory, "replica.db"),
    (client) =>
      client.execute({ sql: "SELECT key FROM records WHERE stream = ? AND key NOT LIKE '~%'", args: [stream] }),
  );
  return rows.map(({ key }) => key as string);
}

describe("WIRE §1 topics that strangers make by subscribing", { timeout: 120_000 }, () => {
  it("go away with their subscriptions, whatever became of these; what is needed stays", async () => {
    const clock = createClock();
    await withCore({ settings, clock }, async (core) => {
      await core.operate({ kind: "register", topic: "registered" });
      await core.publish("published", "x");
      await core.subscribe("kept", callbackOf(-1), { leaseMs: 365 * RETENTION_MS });
      for (let n = 0; n < 24; n++) await core.subscribe(topicOf(n), callbackOf(n), { leaseMs: 60_000 });
      for (let n = 0; n < 8; n++) await core.unsubscribe(topicOf(n), callbackOf(n));
      // Subscribes that nobody confirms.
      for (let n = 100; n < 110; n++) {
        await core.operate({ kind: "intent", mode: "subscribe", topic: topicOf(n), callback: callbackOf(n) });
      }
      core.onCall = () => ({ kind: "failed", code: "network", reason: "nobody is there" });
      clock.advance(2 * HOUR_MS);
      await settle(core, async () => await stateOf(core, topicOf(20), callbackOf(20)) === "expired");
      assert.ok((await keysOf(core, "topics")).length >= 27);
      // What is published now and then is needed, also where the log keeps nothing older.
      for (let hours = 0; hours < 72; hours += 6) {
        clock.advance(6 * HOUR_MS);
        await core.publish("published", "x");
        core.sweep();
      }
      const needed = ["registered", "published", "kept"].map(topicIdOf).toSorted();
      await settle(core, async () => (await keysOf(core, "topics")).toSorted().join() === needed.join());
      await settle(core, async () => (await keysOf(core, "subscriptions")).length === 1);
      assert.deepEqual(await keysOf(core, "subscriptions"), [subscriptionIdOf("kept", callbackOf(-1))]);
      assert.deepEqual(await keysOf(core, "cursors"), []);
      assert.equal(await stateOf(core, "kept", callbackOf(-1)), "active");
      clock.advance(RETENTION_MS * 3);
      await settle(core, async () => !(await keysOf(core, "topics")).includes(topicIdOf("published")));
      assert.ok((await keysOf(core, "topics")).includes(topicIdOf("registered")));
    });
  });

  it("come back as they came, also at the very moment at which they are forgotten", async () => {
    const clock = createClock();
    await withCore({ settings, clock }, async (core) => {
      const confirm = (url: string) => Buffer.from(parameterOf(url.slice(url.indexOf("?") + 1), "hub.challenge") ?? "");
      core.onCall = ({ url }) => ({ kind: "answer", status: 200, headers: {}, body: confirm(url), url });
      for (let n = 0; n < 40; n++) await core.publish(topicOf(n), "old");
      clock.advance(RETENTION_MS * 9 / 8 + 1_000);
      const intents = Array.from({ length: 40 }, (_, n) => async () => {
        const [topic, callback] = [topicOf(n), callbackOf(n)];
        if (n % 2 === 0) core.sweep();
        const intent = { kind: "intent", mode: "subscribe", leaseMs: 1e9, unpinned: true } as const;
        if (n % 4 < 2) await core.operate({ ...intent, id: operationId(), topic, callback });
        else await core.publish(topic, "new");
        core.sweep();
      });
      await Promise.all(intents.map((run) => run()));
      for (let n = 0; n < 40; n++) {
        if (n % 4 >= 2) continue;
        await eventually("the subscription", async () => await stateOf(core, topicOf(n), callbackOf(n)) === "active");
      }
      for (let sweeps = 0; sweeps < 5; sweeps++) core.sweep();
      for (let n = 0; n < 40; n++) assert.equal((await core.publish(topicOf(n), `to ${n}`)).status, 200);
      const topics = await keysOf(core, "topics");
      for (let n = 0; n < 40; n++) assert.ok(topics.includes(topicIdOf(topicOf(n))), topicOf(n));
      for (let n = 0; n < 40; n += 4) {
        const path = new URL(callbackOf(n)).pathname;
        await eventually("the delivery", () => core.transport.to(path).includes(`to ${n}`));
        assert.ok(!core.transport.to(path).includes("old"));
      }
    });
  });

  it("a hundred thousand of them go away in steps that hold nothing up, and those of an earlier version too", async () => {
    const clock = { now: 0 };
    const count = 100_000;
    const record = (n: number): TopicRecord => ({
      topic: topicOf(n),
      version: n,
      start: 0,
      operations: [[useIdOf(`op_${n}`), 0]],
      ...(n % 2 === 0 ? { usedAt: 0 } : {}),
    });
    const topics = new Map<string, TopicRecord>(
      Array.from({ length: count }, (_, n) => [`id ${n}`, record(n)] as const),
    );
    topics.set("registered", { topic: "r", version: 0, start: 0, operations: [["op_r", 0]] });
    topics.set("ended", { topic: "e", version: 0, start: 0, endedAt: 1, operations: [] });
    const loaded = { topics, subscriptions: new Subscriptions() };
    const at = () => clock.now;
    const state = new FoldedState({ state: loaded, due: new DueIndex(0), retentionMs: RETENTION_MS, clock: at });
    const findings = new Findings(() => {});
    const asked = { most: 0 };
    const subscribedOf = (ids: readonly string[]) => {
      asked.most = Math.max(asked.most, ids.length);
      return Promise.resolve(new Set(ids.filter((id) => id === "id 4")));
    };
    const unused = new UnusedTopics({ state, subscribedOf, findings, retentionMs: RETENTION_MS, clock: at });
    let [written, slowest, removed] = [0, 0, 0];
    for (let step = 0; step < 40_000 && state.topics.size > 3; step++) {
      clock.now += 30_000;
      const begun = performance.now();
      await unused.step();
      for (const finding of findings.drain()) {
        if (finding.kind === "topicUsed") {
          state.setTopic(finding.topicId, { ...state.topics.get(finding.topicId)!, usedAt: finding.at });
        } else if (finding.kind === "topicUnused") state.forgetUnused(finding.topicId, finding.usedAt);
      }
      slowest = Math.max(slowest, performance.now() - begun);
      const changes = state.drainChanges();
      written += changes.length;
      removed += changes.filter(({ value }) => value === null).length;
    }
    assert.deepEqual([...state.topics.keys()].toSorted(), ["ended", "id 4", "registered"]);
    assert.equal(removed, count - 1);
    assert.ok(written <= count * 2, "each of an earlier version is written once more");
    assert.ok(asked.most <= 500 && slowest < 500, `${asked.most} asked at once, ${slowest} ms`);
  });
});
