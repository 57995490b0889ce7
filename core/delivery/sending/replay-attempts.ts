// Single attempts with dead letters that are sent again (WIRE §5). They run beside the lane: it does not wait for them, and they do not
// move it. Each takes one of the places that are kept for suspects, so that healthy lanes do not feel replays.
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
    const { transport, headersOf, inFlight, outcomes: { limits }, attempts, clock } = this.#options;
    const { target } = lane;
    const mayGo = !attempts.isStopped && !inFlight.isLeaving(lane.shard) && attempts.mayGo(lane);
    // A lane that fails or pauses would only fail once more.
    const isFailing = lane.health.failures > 0 || lane.health.notBefore > clock();
    if (!mayGo || isFailing || isLeaseOver(lane, clock())) return undefined;
    if (!limits.enterReplay(target.url.origin)) return undefined;
    const headers = headersOf(target, message, clock());
    inFlight.started(lane.shard);
    return new Promise((resolve) => {
      const settle = (outcome: Outcome) => {
        this.#settle(lane, target.url.origin, outcome);
        resolve(outcome);
      };
      if (headers instanceof SecretError) return queueMicrotask(() => settle(failureOf(headers.message)));
      transport.post({
        url: target.url,
        body: message.body,
        headers,
        mayGo: () => attempts.mayGo(lane),
        answered: (status, retryAfter) => settle(outcomeOf(status, retryAfter, clock())),
        failed: (reason) => settle(failureOf(reason)),
      });
    });
  }

  #settle(lane: Lane, origin: string, outcome: Outcome): void {
    const { inFlight, outcomes, attempts } = this.#options;
    const { limits, counts } = outcomes;
    if (outcome.kind === "retry" && outcome.notBefore !== undefined) limits.ease(origin);
    if (outcome.kind === "delivered") counts.replayed++;
    if (outcome.kind === "gone" && lane.state !== "ended") endGone(outcomes, lane);
    attempts.again(limits.leave(origin, true));
    inFlight.ended(lane.shard);
    attempts.pump();
  }
}
