// Single attempts with dead letters that are sent again (WIRE §5). They run beside the lane: it does not wait for them, and they do not
// move it. None takes a place of lanes that are well, which so do not feel replays.
import type { Place } from "../../../shared/shares/accounts.ts";
import { SecretError } from "../../keys/secrets.ts";
import type { Message } from "../../messages/message.ts";
import { isLeaseOver } from "../../state/lease.ts";
import type { Lane } from "../lane/lane.ts";
import { failureOf, type Outcome, outcomeOf } from "../lane/outcome.ts";
import type { AttemptsInFlight } from "./attempt.ts";
import type { Attempts } from "./attempts.ts";
import type { SignedHeaders } from "./headers.ts";
import { endGone, type OutcomeContext } from "./apply-outcome.ts";
import type { Transport } from "./transport.ts";

export interface ReplayAttemptsOptions {
  readonly transport: Transport;
  readonly headersOf: SignedHeaders;
  readonly inFlight: AttemptsInFlight;
  readonly outcomes: OutcomeContext;
  readonly attempts: Attempts;
  /** Wall clock, ms. */
  readonly clock: () => number;
}

export class ReplayAttempts {
  readonly #options: ReplayAttemptsOptions;

  constructor(options: ReplayAttemptsOptions) {
    this.#options = options;
  }

  /**
   * One attempt with a message. The outcome "gone" has ended the lane.
   * @returns undefined if the lane fails, or if no place is free: try again later
   */
  send(lane: Lane, message: Message): Promise<Outcome> | undefined {
    const { transport, headersOf, inFlight, outcomes: { places }, attempts, clock } = this.#options;
    const { target } = lane;
    const mayGo = !attempts.isStopped && !inFlight.isLeaving(lane.shard) && attempts.mayGo(lane);
    // A lane that fails or pauses would only fail once more.
    const isFailing = lane.health.failures > 0 || lane.health.notBefore > clock();
    if (!mayGo || isFailing || isLeaseOver(lane, clock())) return undefined;
    const place = places.enterBeside(lane);
    if (place === undefined) return undefined;
    const headers = headersOf(target, message, clock());
    inFlight.started(lane.shard);
    return new Promise((resolve) => {
      const settle = (outcome: Outcome) => {
        this.#settle(lane, place, outcome);
        resolve(outcome);
      };
      if (headers instanceof SecretError) return queueMicrotask(() => settle(failureOf(headers.message)));
      transport.post({
        url: target.url,
        requester: target.requester,
        body: message.body,
        headers,
        mayGo: () => attempts.mayGo(lane),
        answered: (status, retryAfter) => settle(outcomeOf(status, retryAfter, clock())),
        failed: (reason) => settle(failureOf(reason)),
      });
    });
  }

  #settle(lane: Lane, place: Place, outcome: Outcome): void {
    const { inFlight, outcomes, attempts } = this.#options;
    const { places, counts } = outcomes;
    if (outcome.kind === "retry" && outcome.notBefore !== undefined) places.ease(place);
    if (outcome.kind === "delivered") counts.replayed++;
    if (outcome.kind === "gone" && lane.state !== "ended") endGone(outcomes, lane);
    inFlight.ended(lane.shard);
    places.leave(place);
    attempts.pump();
  }
}
