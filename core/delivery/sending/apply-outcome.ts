// What an attempt's outcome does to its lane (WIRE §3, §4): the next message, a pause, parking, a dead letter, or the lane's end.
import type { DeadLetter } from "../../state/records.ts";
import type { Attempt } from "./attempt.ts";
import { afterTry, type Tries } from "../lane/backlog.ts";
import type { Lane } from "../lane/lane.ts";
import { askedTime, backoffMs, type Failure, type Outcome, type RetryPolicy } from "../lane/outcome.ts";
import type { LaneMemory } from "../reading/lane-memory.ts";
import type { Reading } from "../reading/reading.ts";
import type { Places } from "./places.ts";
import type { Pauses } from "./timers.ts";

/** An attempt that takes longer is slow, and so is its lane, also before it is over. */
export const SLOW_MS = 1_000;

export interface FailureSettings {
  readonly retry: RetryPolicy;
  readonly parkAfterMs: number;
  readonly probeIntervalMs: number;
  readonly deadLetterAttempts: number;
  /** A message that was answered 500 so many times is given up; 0: never. */
  readonly deadLetter500Attempts: number;
}

/**
 * The owner of a lane's shard (core/shards/shard.ts) writes what must be durable. It is called in the middle of a step: it notes the call
 * and acts later.
 */
export interface LaneOwner {
  /** The lane's position or health may have changed. */
  moved(lane: Lane): void;
  /** The subscriber answered 410. */
  gone(lane: Lane): void;
  /** The lease was over when an attempt was to start. */
  leaseOver(lane: Lane): void;
  /** Attempts have failed for PARK_AFTER, so the lane is parked. */
  parked(lane: Lane): void;
  /** A parked lane goes on; it had failed since then, ms since 1970, or 0 if that was forgotten at a resume. */
  recovered(lane: Lane, failingSince: number): void;
  /** A message was given up: the position moves past it in the same batch that writes the letter. */
  deadLetter(lane: Lane, letter: DeadLetter): void;
}

/** Counts of what came of deliveries since the start, for metrics and the bench. */
export interface DeliveryCounts {
  delivered: number;
  retried: number;
  gone: number;
  deadLettered: number;
  /** Dead letters that were sent again and delivered. */
  replayed: number;
  /** Seconds from append to 2xx, summed. */
  delaySum: number;
}

export const createCounts = (): DeliveryCounts => ({
  delivered: 0,
  retried: 0,
  gone: 0,
  deadLettered: 0,
  replayed: 0,
  delaySum: 0,
});

/** What an outcome needs beside its lane. */
export interface OutcomeContext {
  readonly settings: FailureSettings;
  readonly owner: LaneOwner;
  readonly memory: LaneMemory;
  readonly reading: Reading;
  readonly places: Places;
  readonly pauses: Pauses;
  readonly counts: DeliveryCounts;
  readonly random: () => number;
}

/** Moves the attempt's lane by its outcome, in one synchronous step. */
export function applyOutcome(context: OutcomeContext, attempt: Attempt, outcome: Outcome, now: number): void {
  const { lane, flight } = attempt;
  const { memory } = context;
  if (!lane.isCurrent(flight)) {
    // The lane was resumed or ended, or the message acknowledged, since the attempt began: its outcome moves nothing (A4.3).
    return memory.release(flight.message);
  }
  switch (outcome.kind) {
    case "delivered":
      memory.release(flight.message);
      return onDelivered(context, attempt, now);
    case "gone":
      memory.release(flight.message);
      lane.done(flight);
      return endGone(context, lane);
    case "refused":
    case "retry":
      if (isHopeless(context.settings, afterTry(flight, outcome), outcome)) {
        return giveUp(context, attempt, outcome, now);
      }
      return onFailure(context, attempt, outcome, now);
  }
}

/** Whether a message that failed so is given up: other attempts are not expected to end better (WIRE §3). */
function isHopeless(settings: FailureSettings, { refusals, answered500 }: Tries, { kind, status }: Failure): boolean {
  if (kind === "refused") return refusals >= settings.deadLetterAttempts;
  const most = settings.deadLetter500Attempts;
  return status === 500 && most > 0 && answered500 >= most;
}

/** §7: a 410 ends the lane at once, not when the end is folded: the next message is not sent. */
export function endGone({ counts, reading, owner }: OutcomeContext, lane: Lane): void {
  counts.gone++;
  reading.end(lane);
  owner.gone(lane);
}

function onDelivered({ counts, places, owner }: OutcomeContext, attempt: Attempt, now: number): void {
  const { lane, flight } = attempt;
  counts.delivered++;
  counts.delaySum += (now - flight.message.publishedAt) / 1_000;
  places.trust(attempt.place);
  goOn(owner, lane, () => lane.delivered(flight, now - attempt.startedAt > SLOW_MS));
}

/** Moves the lane on after a message that needs no other attempt, which ends its parking. */
function goOn(owner: LaneOwner, lane: Lane, move: () => void): void {
  const { state, health: { failingSince } } = lane;
  move();
  if (state === "parked" && lane.state !== "parked") owner.recovered(lane, failingSince);
}

function onFailure(context: OutcomeContext, attempt: Attempt, failure: Failure, now: number): void {
  const { lane, flight } = attempt;
  const { settings, counts, memory, pauses, owner, random } = context;
  counts.retried++;
  const repeat = lane.failed(flight, failure, now);
  if (lane.isOver) return memory.drop(lane);
  memory.keeps(lane);
  const asked = askedTime(failure, settings.retry, now);
  // An attempt from before a renewal says nothing about the renewed callback: the next attempt is due at once (WIRE §4).
  const isOutdated = attempt.renewals !== lane.renewals;
  if (lane.state === "parked" || now - lane.health.failingSince >= settings.parkAfterMs) {
    const isNew = lane.state !== "parked";
    lane.park();
    if (isNew) owner.parked(lane);
    // A parked lane holds nothing: the next probe reads its message again.
    memory.drop(lane);
    pauses.add(lane, isOutdated ? now : Math.max(asked, now + settings.probeIntervalMs));
    return;
  }
  lane.backOff();
  const pause = backoffMs(settings.retry, repeat.attempts - 1, random());
  pauses.add(lane, isOutdated ? now : Math.max(asked, now + pause));
}

function giveUp(context: OutcomeContext, attempt: Attempt, failure: Failure, now: number): void {
  const { settings, counts, memory, owner, pauses } = context;
  const { lane, flight } = attempt;
  const { message: { id, partition, offset }, firstAt } = flight;
  const { reason, status } = failure;
  goOn(owner, lane, () => lane.gaveUp(flight, failure));
  memory.release(flight.message);
  counts.deadLettered++;
  const attempts = flight.attempts + 1;
  owner.deadLetter(lane, { id, partition, offset, reason, status, attempts, firstAt, lastAt: now });
  // WIRE §4: Retry-After holds for the subscription, so for the next message, too.
  const asked = askedTime(failure, settings.retry, now);
  if (asked <= now || lane.isOver || attempt.renewals !== lane.renewals) return;
  lane.backOff();
  pauses.add(lane, asked);
}
