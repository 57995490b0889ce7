// What an attempt's outcome does to its lane: on to the next message, a pause, parked, a dead letter, or its end (WIRE §3, §4).
import type { Attempt } from "./attempt.ts";
import type { DeliveryCounts } from "./counts.ts";
import type { Lane } from "../lane/lane.ts";
import type { LaneMemory } from "../reading/lane-memory.ts";
import type { DeadLetter } from "../../state/records.ts";
import type { Reading } from "../reading/reading.ts";
import type { Limits } from "./limits.ts";
import { backoffMs, type Failure, type Outcome, type RetryPolicy } from "../lane/outcome.ts";
import type { Pauses } from "./pauses.ts";

/** An attempt that takes longer makes its lane a suspect, while it lasts already. */
export const SLOW_MS = 1_000;

export interface FailureSettings {
  readonly retry: RetryPolicy;
  readonly parkAfterMs: number;
  readonly probeIntervalMs: number;
  readonly deadLetterAttempts: number;
}

export interface LaneOutcomesOptions {
  readonly settings: FailureSettings;
  readonly owner: LaneOwner;
  readonly reading: Reading;
  readonly memory: LaneMemory;
  readonly limits: Limits;
  readonly pauses: Pauses;
  readonly counts: DeliveryCounts;
  readonly random: () => number;
}

/** The owner of a lane's shard writes what must be durable. It is called in the middle of a step: it notes the call and acts later. */
export interface LaneOwner {
  /** The lane's position or health may have changed. */
  moved(lane: Lane): void;
  /** The subscriber answered 410. */
  gone(lane: Lane): void;
  /** The lease was over when an attempt was to start. */
  leaseOver(lane: Lane): void;
  /** A message was given up: the position moves past it in the same batch that writes the letter. */
  deadLetter(lane: Lane, letter: DeadLetter): void;
}

export class LaneOutcomes {
  readonly #options: LaneOutcomesOptions;

  constructor(options: LaneOutcomesOptions) {
    this.#options = options;
  }

  /** The attempt is over. */
  apply(attempt: Attempt, outcome: Outcome, now: number): void {
    const { lane, flight } = attempt;
    const { memory } = this.#options;
    if (!lane.holds(flight)) {
      // Begun before a resume or an end, or acknowledged meanwhile: its outcome moves nothing (A4.3).
      memory.release(flight.message);
    } else if (outcome.kind === "retry" || outcome.kind === "refused") this.#onFailure(attempt, outcome, now);
    else {
      memory.release(flight.message);
      if (outcome.kind === "delivered") return this.#onDelivered(attempt, now);
      lane.done(flight);
      this.gone(lane);
    }
  }

  /** §7: at once, not when it is folded: the next message is not for it any more. */
  gone(lane: Lane): void {
    const { counts, reading, owner } = this.#options;
    counts.gone++;
    reading.end(lane);
    owner.gone(lane);
  }

  #onDelivered(attempt: Attempt, now: number): void {
    const { lane, flight } = attempt;
    const { counts, limits } = this.#options;
    counts.delivered++;
    counts.delaySum += (now - flight.message.publishedAt) / 1_000;
    limits.trust(attempt.url.origin);
    lane.delivered(flight, now - attempt.startedAt > SLOW_MS);
  }

  #onFailure(attempt: Attempt, failure: Failure, now: number): void {
    const { lane, flight } = attempt;
    const { settings, counts, memory, pauses, random } = this.#options;
    const refusals = flight.refusals + (failure.kind === "refused" ? 1 : 0);
    if (failure.kind === "refused" && refusals >= settings.deadLetterAttempts) {
      return this.#giveUp(attempt, failure, now);
    }
    counts.retried++;
    const repeat = lane.failed(flight, failure, now);
    if (lane.isOver) return memory.drop(lane);
    memory.keeps(lane);
    const asked = failure.kind === "retry" ? Math.min(failure.notBefore ?? 0, now + settings.retry.maxMs) : 0;
    // What was tried before a renewal says nothing about how it is now: the next attempt is due at once (WIRE §4).
    const outdated = attempt.renewals !== lane.renewals;
    if (lane.state === "parked" || now - lane.health.failingSince >= settings.parkAfterMs) {
      lane.park();
      // Parked, it holds nothing: the next probe reads its message again.
      memory.drop(lane);
      pauses.add(lane, outdated ? now : Math.max(asked, now + settings.probeIntervalMs));
      return;
    }
    lane.backOff();
    const pause = backoffMs(settings.retry, repeat.attempts - 1, random());
    pauses.add(lane, outdated ? now : Math.max(asked, now + pause));
  }

  #giveUp({ lane, flight }: Attempt, failure: Failure, now: number): void {
    const { counts, memory, owner } = this.#options;
    const { message: { id, partition, offset }, firstAt } = flight;
    const { reason, status } = failure;
    lane.gaveUp(flight, failure);
    memory.release(flight.message);
    counts.deadLettered++;
    const attempts = flight.attempts + 1;
    owner.deadLetter(lane, { id, partition, offset, reason, status, attempts, firstAt, lastAt: now });
  }
}
