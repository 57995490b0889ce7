import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SubscriptionRecord } from "../../../core/state/records.ts";
import { DueIndex } from "../../../core/shards/due-index.ts";
import { FoldedState } from "../../../core/shards/folded-state.ts";
import { Subscriptions } from "../../../core/state/subscriptions.ts";
import { topicIdOf } from "../../../core/state/ids.ts";
import { subscriptionOf } from "../../support/rigs/subscription-events.ts";

const DAY_MS = 86_400_000;

function recordOf(more: Partial<SubscriptionRecord> = {}): SubscriptionRecord {
  return subscriptionOf({ expiresAt: DAY_MS, operations: [["op_1", 0], ["op_2", 1_000]], ...more });
}

function rig(subscriptions: Readonly<Record<string, SubscriptionRecord>>, now = 0) {
  const clock = { now };
  const loaded = { topics: new Map(), subscriptions: new Subscriptions() };
  for (const [id, record] of Object.entries(subscriptions)) loaded.subscriptions.set(id, record);
  const due = new DueIndex(now);
  const state = new FoldedState({ state: loaded, due, retentionMs: 7 * DAY_MS, clock: () => clock.now });
  for (const id of state.subscriptions.keys()) state.noteDates(id);
  return { clock, due, state };
}

describe("the records of a shard", () => {
  it("A3.8 keep the ids of operations for two minutes, and what else they say as it was", () => {
    const { clock, state } = rig({ one: recordOf() });
    clock.now = 120_000;
    for (const id of state.due()) state.noteDates(id);
    assert.deepEqual(state.subscriptions.get("one"), recordOf());
    clock.now = 122_000;
    assert.deepEqual(state.due(), ["one"]);
    state.noteDates("one");
    assert.deepEqual(state.subscriptions.get("one"), recordOf({ operations: [] }));
    assert.deepEqual(state.drainChanges(), [], "nothing is written for this");
    clock.now = DAY_MS;
    assert.deepEqual(state.due(), ["one"], "its lease is not forgotten");
  });

  it("A3.8 loaded later, have none", () => {
    const { state } = rig({ one: recordOf() }, 200_000);
    assert.deepEqual(state.subscriptions.get("one")?.operations, []);
  });

  it("A3.7 are due at their dates, and have a place in the index only some hours before", () => {
    const hours = (n: number) => n * 3_600_000;
    const leases = Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`s${n}`, hours(n / 10)]));
    const { clock, due, state } = rig(
      Object.fromEntries(
        Object.entries(leases).map(([id, expiresAt]) => [
          id,
          recordOf({ expiresAt, operations: [] }),
        ]),
      ),
    );
    const seen = new Map<string, number>();
    for (; clock.now <= hours(51); clock.now += 10_000) {
      for (const id of state.due()) if (!seen.has(id)) seen.set(id, clock.now);
      assert.ok(due.size <= 30, `${due.size} of 500 at ${clock.now}`);
    }
    for (const [id, expiresAt] of Object.entries(leases)) {
      assert.ok(seen.get(id)! >= expiresAt && seen.get(id)! <= expiresAt + 20_000, `${id}: ${seen.get(id)}`);
    }
  });

  it("A3.7 are due at once where the clock jumped over their dates", () => {
    const { clock, state } = rig({ one: recordOf({ operations: [] }), two: recordOf({ operations: [] }) });
    assert.deepEqual(state.due(), []);
    clock.now = 2 * DAY_MS;
    assert.deepEqual(state.due().toSorted(), ["one", "two"]);
  });

  it("are found by their topic, however each of them spells it, until they are forgotten", () => {
    const [plain, escaped] = ["http://topic.example/~a", "http://topic.example/%7Ea"];
    const { clock, state } = rig({
      one: recordOf({ topic: plain }),
      two: recordOf({ topic: escaped, phase: "gone", endedAt: 0 }),
    }, 200_000);
    assert.equal(topicIdOf(plain), topicIdOf(escaped));
    assert.deepEqual([...state.subscriptions.to(topicIdOf(plain))].toSorted(), ["one", "two"]);
    assert.equal(state.subscriptions.get("two")?.topic, escaped, "what is echoed is what it sent");
    clock.now = 8 * DAY_MS;
    assert.equal(state.forgetSubscription("two"), true);
    assert.deepEqual([...state.subscriptions.to(state.subscriptions.topicIdOf(escaped))], ["one"]);
  });
});
