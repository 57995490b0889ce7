import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { foldLease, isLeaseOver, leaseEnd } from "../../../core/state/lease.ts";
import { subscriptionOf } from "../../support/rigs/subscription-events.ts";

const RECORD = subscriptionOf({ expiresAt: leaseEnd(1_000, 500) });

describe("A3.7 a lease", () => {
  it("counts from the challenge, and is over at its last millisecond", () => {
    assert.equal(RECORD.expiresAt, 1_500);
    assert.deepEqual([1_499, 1_500, 1_501].map((time) => isLeaseOver(RECORD, time)), [false, true, true]);
    assert.equal(leaseEnd(1_000, undefined), 1_000);
  });

  it("makes an active subscription an expired one, which ended when the lease did", () => {
    assert.equal(foldLease(RECORD, 1_499), RECORD);
    assert.deepEqual(foldLease(RECORD, 9_000), { ...RECORD, phase: "expired", endedAt: 1_500 });
  });

  it("changes nothing of a subscription that is not active", () => {
    for (const phase of ["pending", "expired", "unsubscribed", "gone", "revoked", "deregistered"] as const) {
      const record = { ...RECORD, phase };
      assert.equal(foldLease(record, 9_000), record);
    }
  });
});
