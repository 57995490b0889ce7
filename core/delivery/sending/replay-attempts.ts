// Single attempts beside a lane, which neither waits for them nor moves by them: dead letters that are sent again. Each takes a
// place of those that are kept for suspects, so that replays are not felt by the healthy.
import { SecretError } from "../../keys/secrets.ts";
import type { Attempts } from "./attempts.ts";
import type { DeliveryCounts } from "./counts.ts";
import type { Lane } from "../lane/lane.ts";
import type { LaneOutcomes } from "./lane-outcomes.ts";
import type { Limits } from "./limits.ts";
import type { Message } from "../../messages/message.ts";
import { failureOf, type Outcome, outcomeOf } from "../lane/outcome.ts";
import type { SignedHeaders } from "./headers.ts";
import type { Transport } from "./transport.ts";
import type { UnderWay } from "./in-flight.ts";

export interface BesideOptions {
  readonly transport: Transport;
  readonly headersOf: SignedHeaders;
  readonly limits: Limits;
  readonly underWay: UnderWay;
  readonly outcomes: LaneOutcomes;
  readonly attempts: Attempts;
  readonly counts: DeliveryCounts;
  /** Wall clock, ms. */
  readonly clock: () => number;
}

export class Beside {
  readonly #options: BesideOptions;

  constructor(options: BesideOptions) {
    this.#options = options;
  }

  /**
   * One attempt with a message. The outcome "gone" has ended the lane.
   * @returns undefined if the lane fails, or if no place is free: try again later
   */
  send(lane: Lane, message: Message): Promise<Outcome> | undefined {
    const { transport, headersOf, limits, underWay, attempts, clock } = this.#options;
    const { target } = lane;
    // Also between two attempts of a lane that fails: what is replayed would only be one failure more.
    const fails = lane.health.failures > 0 || lane.health.notBefore > clock();
    const mayGo = !attempts.isStopped && !underWay.isLeaving(lane.shard) && attempts.mayGo(lane);
    if (!mayGo || fails || clock() >= lane.expiresAt || !limits.enterBeside(target.url.origin)) return undefined;
    const headers = headersOf(target, message, clock());
    underWay.departs(lane.shard);
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
    const { limits, underWay, outcomes, attempts, counts } = this.#options;
    if (outcome.kind === "retry" && outcome.notBefore !== undefined) limits.ease(origin);
    if (outcome.kind === "delivered") counts.replayed++;
    if (outcome.kind === "gone" && lane.state !== "ended") outcomes.gone(lane);
    attempts.again(limits.leave(origin, true));
    underWay.lands(lane.shard);
    attempts.pump();
  }
}
