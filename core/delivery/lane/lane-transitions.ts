// The states of a lane, which is one subscription's delivery (ARCHITECTURE §4), and the events that lead from one to another. lane.ts
// applies the events, and moves the lane's cursor; what a lane may do follows from its state.
//
//              record                delivered
//    idle ───────────────► inFlight ───────────► idle
//     ▲ │ overflow            │ failed
//     │ ▼                     ▼        due                          exhausted
//    catchingUp ◄──────── backingOff ───────► catchingUp   backingOff ───────► parked
//     caughtUp ▲                                                               │ delivered (a probe)
//              └───────────────────────────────────────────────────────────────┘
//    from each state: leaseOver ► expired ── renewed ► catchingUp;   end ► ended, for good

export type LaneState = "idle" | "inFlight" | "catchingUp" | "backingOff" | "parked" | "expired" | "ended";

export type LaneEvent =
  /** An attempt starts. */
  | "record"
  /** An attempt succeeded or its message was given up, and the lane has nothing else in hand; or a probe succeeded. */
  | "delivered"
  /** An attempt failed. */
  | "failed"
  /** Attempts have failed for PARK_AFTER. */
  | "exhausted"
  /** The pause after a failure is over. */
  | "due"
  /** The queue or the memory is full: the lane reads the log from here on. */
  | "overflow"
  /** Everything that the tail has offered is in hand or done. */
  | "caughtUp"
  /** The subscription was renewed or resumed. */
  | "renewed"
  | "leaseOver"
  /** Unsubscribed, gone, revoked or deregistered. */
  | "end";

const ENDINGS = { leaseOver: "expired", end: "ended" } as const;

export const TRANSITIONS: Readonly<Record<LaneState, Readonly<Record<LaneEvent, LaneState>>>> = {
  idle: {
    ...ENDINGS,
    record: "inFlight",
    delivered: "idle",
    failed: "backingOff",
    exhausted: "parked",
    due: "idle",
    overflow: "catchingUp",
    caughtUp: "idle",
    renewed: "idle",
  },
  inFlight: {
    ...ENDINGS,
    record: "inFlight",
    delivered: "idle",
    failed: "backingOff",
    exhausted: "parked",
    due: "inFlight",
    overflow: "catchingUp",
    caughtUp: "inFlight",
    renewed: "inFlight",
  },
  catchingUp: {
    ...ENDINGS,
    record: "catchingUp",
    delivered: "catchingUp",
    failed: "backingOff",
    exhausted: "parked",
    due: "catchingUp",
    overflow: "catchingUp",
    caughtUp: "idle",
    renewed: "catchingUp",
  },
  backingOff: {
    ...ENDINGS,
    // With concurrency above 1 one attempt may succeed while the pause after another goes on.
    record: "backingOff",
    delivered: "backingOff",
    failed: "backingOff",
    exhausted: "parked",
    due: "catchingUp",
    overflow: "backingOff",
    caughtUp: "backingOff",
    renewed: "catchingUp",
  },
  parked: {
    ...ENDINGS,
    // A probe departs; only its success ends the parking.
    record: "parked",
    delivered: "catchingUp",
    failed: "parked",
    exhausted: "parked",
    due: "parked",
    overflow: "parked",
    caughtUp: "parked",
    renewed: "parked",
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

export function nextState(state: LaneState, event: LaneEvent): LaneState {
  return TRANSITIONS[state][event];
}
