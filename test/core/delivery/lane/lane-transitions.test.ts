import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type LaneEvent, type LaneState, nextState } from "../../../../core/delivery/lane/lane-transitions.ts";

// Written out by hand from ARCHITECTURE §4 and WIRE §4, state by state, so that a slip in the code's own table shows.
const EXPECTED: Record<LaneState, Record<LaneEvent, LaneState>> = {
  idle: {
    record: "inFlight",
    delivered: "idle",
    failed: "backingOff",
    exhausted: "parked",
    due: "idle",
    overflow: "catchingUp",
    caughtUp: "idle",
    renewed: "idle",
    leaseOver: "expired",
    end: "ended",
  },
  inFlight: {
    record: "inFlight",
    delivered: "idle",
    failed: "backingOff",
    exhausted: "parked",
    due: "inFlight",
    overflow: "catchingUp",
    caughtUp: "inFlight",
    renewed: "inFlight",
    leaseOver: "expired",
    end: "ended",
  },
  catchingUp: {
    record: "catchingUp",
    delivered: "catchingUp",
    failed: "backingOff",
    exhausted: "parked",
    due: "catchingUp",
    overflow: "catchingUp",
    caughtUp: "idle",
    renewed: "catchingUp",
    leaseOver: "expired",
    end: "ended",
  },
  backingOff: {
    record: "backingOff",
    delivered: "backingOff",
    failed: "backingOff",
    exhausted: "parked",
    due: "catchingUp",
    overflow: "backingOff",
    caughtUp: "backingOff",
    renewed: "catchingUp",
    leaseOver: "expired",
    end: "ended",
  },
  parked: {
    record: "parked",
    delivered: "catchingUp",
    failed: "parked",
    exhausted: "parked",
    due: "parked",
    overflow: "parked",
    caughtUp: "parked",
    renewed: "parked",
    leaseOver: "expired",
    end: "ended",
  },
  expired: {
    record: "expired",
    delivered: "expired",
    failed: "expired",
    exhausted: "expired",
    due: "expired",
    overflow: "expired",
    caughtUp: "expired",
    renewed: "catchingUp",
    leaseOver: "expired",
    end: "ended",
  },
  ended: {
    record: "ended",
    delivered: "ended",
    failed: "ended",
    exhausted: "ended",
    due: "ended",
    overflow: "ended",
    caughtUp: "ended",
    renewed: "ended",
    leaseOver: "ended",
    end: "ended",
  },
};

const STATES = Object.keys(EXPECTED) as LaneState[];
const EVENTS = Object.keys(EXPECTED.idle) as LaneEvent[];

describe("the lane's states", () => {
  for (const state of STATES) {
    it(`"${state}" goes where the table says, on every event`, () => {
      const found = Object.fromEntries(EVENTS.map((event) => [event, nextState(state, event)]));
      assert.deepEqual(found, EXPECTED[state]);
    });
  }

  it("nothing brings an ended lane back", () => {
    for (const event of EVENTS) assert.equal(nextState("ended", event), "ended");
  });

  it("only a renewal or an end leaves an expired lane", () => {
    const leaving = EVENTS.filter((event) => nextState("expired", event) !== "expired");
    assert.deepEqual(leaving, ["renewed", "end"]);
  });

  it("WIRE §4 only a success, an end or the lease's end unparks", () => {
    const leaving = EVENTS.filter((event) => nextState("parked", event) !== "parked");
    assert.deepEqual(leaving, ["delivered", "leaseOver", "end"]);
  });
});
