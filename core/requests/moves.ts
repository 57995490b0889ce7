// Requests from outside that move a position or send dead letters again (WIRE §5). Each becomes an event, and its answer is the status
// after the fold. Each verb has its own file.
import type { MoveOperation, SubscriptionStatus } from "../../shared/core-api.ts";
import type { Log } from "../log/log.ts";
import type { Replica } from "../replica/replica.ts";
import { type AckEvent, encodeEvent, type ReplayEvent, type ResumeEvent } from "../state/events.ts";
import { waitForEvents } from "./accepted.ts";
import { ackEvent } from "./ack.ts";
import { type Admit, type KnownSubscription, refuseEnded } from "./admission.ts";
import { refuseStale } from "./parse-operation.ts";
import { replayEvent } from "./replay.ts";
import { resumeEvent } from "./resume.ts";
import type { ReadStatus } from "./status.ts";

export interface MovesOptions {
  readonly log: Log;
  readonly replica: Replica;
  readonly admit: Admit;
  readonly readStatus: ReadStatus;
  /** Wall clock, ms. */
  readonly clock: () => number;
}

/** @throws {Refusal | LogError} */
export type Move = (operation: MoveOperation) => Promise<SubscriptionStatus>;

export function createMove({ log, replica, admit, readStatus, clock }: MovesOptions): Move {
  /** Returns undefined if the request has acted already. */
  async function eventOf(
    operation: MoveOperation,
    subscription: KnownSubscription,
  ): Promise<AckEvent | ResumeEvent | ReplayEvent | undefined> {
    const parts = { log, replica, time: clock() };
    switch (operation.kind) {
      case "ack":
        return await ackEvent(operation, subscription, parts);
      case "resume":
        return await resumeEvent(operation, subscription, parts);
      case "replay":
        return await replayEvent(operation, subscription, parts);
    }
  }

  return async (operation) => {
    refuseStale(operation, clock());
    const { topic, callback, caller } = operation;
    const subscription = await admit(topic, callback, caller);
    refuseEnded(subscription);
    const event = await eventOf(operation, subscription);
    if (event !== undefined) {
      const at = await log.append("events", { key: subscription.id, value: encodeEvent(event) });
      await waitForEvents(replica, "cursors", at.partition, at.offset + 1);
    }
    return await readStatus(topic, callback, caller);
  };
}
