import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { SubscriptionRecord } from "../../../core/state/records.ts";
import { Subscriptions } from "../../../core/state/subscriptions.ts";
import { subscriptionIdOf, topicIdOf } from "../../../core/state/ids.ts";
import { sealedFor } from "../../support/keys.ts";

const TOPICS = ["http://topic.example/~a", "http://topic.example/%7Ea", "http://topic.example/b"];
const text = fc.string({ unit: "binary", maxLength: 30 });
/** Records come from JSON, which makes ordinary objects. */
const PLAIN = { noNullPrototype: true };
const number = fc.integer({ min: -1, max: Number.MAX_SAFE_INTEGER });

const QUIET = {
  topic: fc.constantFrom(...TOPICS),
  callback: text,
  phase: fc.constantFrom("pending", "active", "expired", "unsubscribed", "gone", "revoked", "deregistered"),
  version: number,
  life: number,
  start: number,
  verified: number,
  expiresAt: number,
  concurrency: number,
  pending: fc.constant([]),
  operations: fc.constant([]),
  secret: text,
  client: fc.record({ issuer: text, userId: text }, PLAIN),
  endedAt: number,
  unsubscribedAt: number,
  signature: fc.constantFrom("sha1", "sha512"),
  requester: text,
  lastVerification: fc.record({
    at: number,
    outcome: fc.constantFrom("refused", "failed"),
    reason: text,
    by: fc.record({ client: fc.record({ issuer: text, userId: text }, PLAIN), secret: text }, {
      requiredKeys: [],
      ...PLAIN,
    }),
  }, { requiredKeys: ["at", "outcome", "reason"], ...PLAIN }),
  acks: fc.constant({ seen: [["a", 1]], dropped: 0, barred: 0 }),
};
const ALWAYS = Object.keys(QUIET).slice(0, 11) as (keyof typeof QUIET)[];

const record = fc.record({
  ...QUIET,
  expiresAt: fc.oneof(number, fc.constant(Infinity)),
  pending: fc.oneof(QUIET.pending, fc.constant([{ id: "op", offset: 1, time: 2 }])),
  operations: fc.oneof(QUIET.operations, fc.constant([["op_1", 5]])),
  notice: fc.record({ topic: text, callback: text, reason: text }, PLAIN),
  requests: fc.constant([["r", 5]]),
  replays: fc.constant([{ from: 1, end: 2 }]),
}, { requiredKeys: ALWAYS, ...PLAIN }) as unknown as fc.Arbitrary<SubscriptionRecord>;

describe("the subscriptions of a shard", () => {
  it("are given back as they were kept, whatever they say", () => {
    fc.assert(fc.property(fc.array(fc.tuple(fc.nat(5), record), { maxLength: 20 }), (changes) => {
      const subscriptions = new Subscriptions();
      const plain = new Map<string, SubscriptionRecord>();
      for (const [id, change] of changes) {
        // A subscription stays with its topic, as its id says.
        const topic = plain.get(`s${id}`)?.topic ?? change.topic;
        subscriptions.set(`s${id}`, { ...change, topic });
        plain.set(`s${id}`, { ...change, topic });
      }
      assert.equal(subscriptions.size, plain.size);
      for (const [id, kept] of plain) assert.deepEqual(subscriptions.get(id), kept);
      for (const topic of TOPICS) {
        const ids = [...plain].filter(([, kept]) => topicIdOf(kept.topic) === topicIdOf(topic)).map(([id]) => id);
        assert.deepEqual([...subscriptions.to(topicIdOf(topic))].toSorted(), ids.toSorted());
      }
      for (const id of plain.keys()) subscriptions.delete(id);
      assert.equal(subscriptions.size, 0);
      assert.deepEqual(TOPICS.flatMap((topic) => [...subscriptions.to(topicIdOf(topic))]), []);
    }));
  });

  it("of an edge's making have the secret that was sealed, byte for byte", async () => {
    const subscriptions = new Subscriptions();
    const [topic, callback] = [TOPICS[0]!, "http://a.example/"];
    const id = subscriptionIdOf(topic, callback);
    const [quiet] = fc.sample(record, { numRuns: 1, seed: 1 });
    const secret = await sealedFor(topic, callback, "secret");
    const kept: SubscriptionRecord = { ...quiet!, topic, callback, expiresAt: 1, pending: [], operations: [], secret };
    subscriptions.set(id, kept);
    assert.equal(subscriptions.get(id)!.secret, secret);
  });
});
