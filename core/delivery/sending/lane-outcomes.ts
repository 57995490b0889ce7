// What an attempt's outcome does to its lane: on to the next message, a pause, parked, a dead letter, or its end (WIRE §3, §4).
import type { Attempt } from "./attempt.ts";
import type { DeliveryCounts } from "./counts.ts";
import type { Lane } from "../lane/lane.ts";
import type { LaneMemory } from "../reading/lane-memory.ts";
import type { LaneOwner } from "../lane/lane-owner.ts";
import type { Lanes } from "../reading/lanes.ts";
import type { Limits } from "./limits.ts";
import { backoffMs, type Outcome, type RetryPolicy } from "../lane/outcome.ts";
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
  readonly lanes: Lanes;
  readonly memory: LaneMemory;
  readonly limits: Limits;
  readonly pauses: Pauses;
  readonly counts: DeliveryCounts;
  readonly random: () => number;
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
      lane.done(flight);
      memory.release(flight.message);
      if (outcome.kind === "gone") this.gone(lane);
      else this.#onDelivered(attempt, now);
    }
  }

  /** §7: at once, not when it is folded: the next message is not for it any more. */
  gone(lane: Lane): void {
    const { counts, lanes, owner } = this.#options;
    counts.gone++;
    lanes.remove(lane, "end");
    owner.gone(lane);
  }

  #onDelivered(attempt: Attempt, now: number): void {
    const { lane, flight } = attempt;
    const { counts, limits } = this.#options;
    counts.delivered++;
    counts.delaySum += (now - flight.message.publishedAt) / 1_000;
    limits.trust(attempt.url.origin);
    lane.suspect = lane.repeating || now - attempt.startedAt > SLOW_MS;
    this.#onDone(lane);
  }

  /** A message is done, delivered or given up. */
  #onDone(lane: Lane): void {
    // While another message of this lane pauses, the lane is failing (concurrency above 1).
    if (lane.state === "parked" || (lane.state !== "backingOff" && !lane.repeating)) {
      if (lane.failures > 0) lane.recovered();
      lane.notBefore = 0;
    }
    if (lane.state === "parked" || !lane.busy) lane.apply("delivered");
  }

  #onFailure(attempt: Attempt, outcome: Outcome & { kind: "retry" | "refused" }, now: number): void {
    const { lane, flight } = attempt;
    const { settings, counts, memory, pauses, random } = this.#options;
    const refusals = flight.refusals + (outcome.kind === "refused" ? 1 : 0);
    lane.lastError = outcome.reason;
    lane.suspect = true;
    if (outcome.kind === "refused" && refusals >= settings.deadLetterAttempts) {
      return this.#giveUp(attempt, outcome, now);
    }
    counts.retried++;
    const repeat = lane.failed(flight, outcome.kind === "refused");
    lane.failures++;
    if (lane.failingSince === 0) lane.failingSince = now;
    const asked = outcome.kind === "retry" ? Math.min(outcome.notBefore ?? 0, now + settings.retry.maxMs) : 0;
    if (lane.state === "ended" || lane.state === "expired") return memory.drop(lane);
    memory.keeps(lane);
    // What was tried before a renewal says nothing about how it is now: the next attempt is due at once (WIRE §4).
    const outdated = attempt.renewals !== lane.renewals;
    if (lane.state === "parked" || now - lane.failingSince >= settings.parkAfterMs) {
      lane.apply(lane.state === "parked" ? "failed" : "exhausted");
      // Parked, it holds nothing: the next probe reads its message again.
      memory.drop(lane);
      pauses.add(lane, outdated ? now : Math.max(asked, now + settings.probeIntervalMs));
      return;
    }
    lane.apply("failed");
    const pause = backoffMs(settings.retry, repeat.attempts - 1, random());
    pauses.add(lane, outdated ? now : Math.max(asked, now + pause));
  }

  #giveUp({ lane, flight }: Attempt, { reason, status }: { reason: string; status: number }, now: number): void {
    const { counts, memory, owner } = this.#options;
    const { message: { id, partition, offset }, firstAt } = flight;
    lane.done(flight);
    memory.release(flight.message);
    counts.deadLettered++;
    const attempts = flight.attempts + 1;
    owner.deadLetter(lane, { id, partition, offset, reason, status, attempts, firstAt, lastAt: now });
    this.#onDone(lane);
  }
}
