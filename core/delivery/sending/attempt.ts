// One attempt of a lane, as the transport sees it.
import type { Flight } from "../lane/backlog.ts";
import type { Lane } from "../lane/lane.ts";
import { failureOf, type Outcome, outcomeOf } from "../lane/outcome.ts";
import type { Timed } from "./timers.ts";
import type { Post } from "./transport.ts";

/** Whoever started an attempt. */
export interface Attempting {
  /** Wall clock, ms. */
  readonly clock: () => number;
  /** Whether a request may be written now, however long it has waited for its connection (A3.4). */
  mayGo(lane: Lane): boolean;
  /** The attempt is over; called once. */
  settle(attempt: Attempt, outcome: Outcome): void;
}

export class Attempt implements Post, Timed {
  deadline = 0;
  previous: Timed | undefined;
  next: Timed | undefined;
  /** As the limits count it. */
  isSuspect: boolean;
  readonly lane: Lane;
  readonly flight: Flight;
  readonly headers: string[];
  readonly startedAt: number;
  readonly renewals: number;
  readonly url: Post["url"];
  readonly #attempting: Attempting;

  constructor(attempting: Attempting, lane: Lane, flight: Flight, headers: string[], startedAt: number) {
    this.#attempting = attempting;
    this.lane = lane;
    this.flight = flight;
    this.headers = headers;
    this.startedAt = startedAt;
    this.renewals = lane.renewals;
    this.isSuspect = lane.health.isSuspect;
    this.url = lane.target.url;
  }
  get body(): Buffer {
    return this.flight.message.body;
  }
  mayGo(): boolean {
    return this.#attempting.mayGo(this.lane);
  }
  answered(status: number, retryAfter: string | undefined): void {
    this.#attempting.settle(this, outcomeOf(status, retryAfter, this.#attempting.clock()));
  }
  failed(reason: string): void {
    this.#attempting.settle(this, failureOf(reason));
  }
}
