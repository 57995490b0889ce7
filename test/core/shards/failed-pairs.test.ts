import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DueIndex } from "../../../core/shards/due-index.ts";
import { FailedPairs, MOST_BYTES, MOST_PAIRS } from "../../../core/shards/failed-pairs.ts";
import { FoldedState } from "../../../core/shards/folded-state.ts";
import { Subscriptions } from "../../../core/state/subscriptions.ts";
import type { SubscriptionRecord } from "../../../core/state/records.ts";
import { subscriptionOf } from "../../support/rigs/subscription-events.ts";

function failedAt(at: number, more: Partial<SubscriptionRecord> = {}): SubscriptionRecord {
  const lastVerification = { at, outcome: "refused", reason: "status 404", by: {} } as const;
  return subscriptionOf({ phase: "pending", lastVerification, ...more });
}

describe("A3.5 pairs that never verified", () => {
  it("are forgotten, the oldest first, if there are more than a shard keeps", () => {
    const clock = { now: 0 };
    const loaded = { topics: new Map(), subscriptions: new Subscriptions() };
    const retentionMs = 86_400_000;
    const state = new FoldedState({ state: loaded, due: new DueIndex(0), retentionMs, clock: () => clock.now });
    clock.now = 1_000_000;
    state.setSubscription("live", subscriptionOf());
    // Not in the order of their times, as after a load.
    for (let n = 0; n <= MOST_PAIRS; n++) {
      state.setSubscription(`p${n}`, failedAt(1_000 + (n * 7_919) % (MOST_PAIRS + 1)));
    }
    const left = [...state.subscriptions.keys()].filter((id) => id !== "live");
    assert.equal(left.length, MOST_PAIRS * 0.9);
    const times = left.map((id) => state.subscriptions.get(id)!.lastVerification!.at);
    assert.equal(Math.min(...times), 1_000 + MOST_PAIRS + 1 - left.length, "the newest are left");
    assert.ok(state.subscriptions.get("live"));
    const removed = state.drainChanges().filter(({ value }) => value === null);
    assert.equal(removed.length, MOST_PAIRS + 1 - left.length);
  });

  it("are kept for who has few, whatever a stranger makes: its failure stays to be seen (WIRE §2)", () => {
    const pairs = new FailedPairs();
    const by = (requester: string, at: number) =>
      failedAt(at, { lastVerification: { at, outcome: "failed", reason: "x", by: { requester } } });
    for (let n = 0; n < 10; n++) pairs.note(`one ${n}`, by("one", n));
    const forgotten: string[] = [];
    for (let n = 0; n < 3 * MOST_PAIRS; n++) {
      pairs.note(`stranger ${n}`, by("stranger", 1_000 + n));
      forgotten.push(...pairs.takeExcess());
    }
    assert.ok(forgotten.length > MOST_PAIRS && forgotten.every((id) => id.startsWith("stranger")));
  });

  it("take no more memory than a bound, however long their texts are", () => {
    const pairs = new FailedPairs();
    const callback = `https://subscriber.example/${"x".repeat(2_000)}`;
    let kept = 0;
    for (let n = 0; n < 5_000; n++) {
      pairs.note(`p${n}`, failedAt(n, { callback }));
      kept += 1 - pairs.takeExcess().length;
    }
    assert.ok(kept * callback.length <= MOST_BYTES, String(kept));
    assert.equal(kept, pairs.size);
  });

  it("no longer count when they are verified, or forgotten", () => {
    const pairs = new FailedPairs();
    pairs.note("a", failedAt(1));
    pairs.note("b", failedAt(1));
    pairs.note("a", subscriptionOf());
    pairs.note("b", undefined);
    assert.equal(pairs.size, 0);
  });
});
