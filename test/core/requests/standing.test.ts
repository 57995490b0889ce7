// What a core says of a subscription whose lane runs in another process: its last checkpoint.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { KnownSubscription } from "../../../core/requests/admission.ts";
import { createStandingOf } from "../../../core/requests/standing.ts";
import { describeFailure } from "../../../core/requests/stuck.ts";
import type { CursorRecord } from "../../../core/state/records.ts";
import { laneOf, messageAt } from "../../support/rigs/lanes.ts";
import { subscriptionOf } from "../../support/rigs/subscription-events.ts";

const RECORD = subscriptionOf({ life: 3, start: 5 });
const SUBSCRIPTION: KnownSubscription = {
  id: "s",
  topic: { id: "t", partition: 0 },
  record: { ...RECORD, phase: "active" },
};

const standingBy = (cursor: CursorRecord | undefined) =>
  createStandingOf({
    log: { partitionOf: () => 0 },
    replica: { watermark: () => 9, cursor: () => Promise.resolve(cursor) },
    ownership: { shardOf: () => undefined },
    tail: { next: () => assert.fail("the tail says nothing of a lane that runs elsewhere") },
  })(SUBSCRIPTION);

describe("where a subscription stands, by its last checkpoint", () => {
  it("WIRE §5 any core names the message that is answered 5xx, as the core does in which the lane runs", async () => {
    const lane = laneOf({ life: 3 });
    lane.joinTail();
    lane.receive(messageAt(7));
    for (let tries = 0; tries < 10; tries++) {
      lane.failed(lane.depart(1_000)!, { kind: "retry", reason: "answered 500", status: 500 }, 1_000);
      lane.park();
    }
    const standing = await standingBy(lane.record(8)!);
    assert.deepEqual({ ...standing, gaps: [], beyond: [] }, {
      position: 7,
      beyond: [],
      parked: true,
      lastError: "answered 500",
      failed: lane.health.failed,
      gaps: [],
    });
    const { lastError, stuck } = describeFailure(standing, 10);
    assert.equal(stuck?.id, messageAt(7).id);
    assert.deepEqual({ lastError, stuck }, describeFailure({ ...lane.health, failed: lane.health.failed }, 10));
  });

  it("A4.3 a record of another life says nothing, and without one the watermark does", async () => {
    const health = {
      failingSince: 1,
      failures: 1,
      lastError: "timeout",
      offset: 7,
      attempts: 1,
      refusals: 0,
      firstAt: 1,
    };
    for (const cursor of [undefined, { life: 2, position: 7, health }]) {
      const { position, parked, lastError, failed } = await standingBy(cursor);
      assert.deepEqual([position, parked, lastError, failed], [9, false, "", undefined]);
    }
    const { lastError, failed } = await standingBy({ life: 3, position: 7, health });
    assert.deepEqual([lastError, failed?.attempts, failed?.answered500], ["timeout", 1, 0]);
  });
});
