// One attempt of a lane, from its start to its outcome, and the count of those in flight.
import type { Place } from "../../../shared/shares/accounts.ts";
import type { Flight } from "../lane/backlog.ts";
import type { Lane } from "../lane/lane.ts";
import { failureOf, type Outcome, outcomeOf } from "../lane/outcome.ts";
import type { Timed } from "./timers.ts";
import type { Post } from "./transport.ts";

/** The scheduler, as an attempt sees it. */
export interface AttemptOwner {
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
  readonly lane: Lane;
  /** Its place among the attempts in flight, until it is over. */
  readonly place: Place;
  readonly flight: Flight;
  readonly headers: string[];
  /** Wall clock, ms. */
  readonly startedAt: number;
  /** How often the lane had been renewed or resumed when the attempt started. */
  readonly renewals: number;
  readonly url: Post["url"];
  readonly #owner: AttemptOwner;

  constructor(owner: AttemptOwner, lane: Lane, place: Place, flight: Flight, headers: string[], startedAt: number) {
    this.#owner = owner;
    this.lane = lane;
    this.place = place;
    this.flight = flight;
    this.headers = headers;
    this.startedAt = startedAt;
    this.renewals = lane.renewals;
    this.url = lane.target.url;
  }

  get requester(): string {
    return this.place.pair.requester.name;
  }
  get body(): Buffer {
    return this.flight.message.body;
  }
  mayGo(): boolean {
    return this.#owner.mayGo(this.lane);
  }
  answered(status: number, retryAfter: string | undefined): void {
    this.#owner.settle(this, outcomeOf(status, retryAfter, this.#owner.clock()));
  }
  failed(reason: string): void {
    this.#owner.settle(this, failureOf(reason));
  }
}

/** Counts attempts in flight by shard, those of replays included, and lets the release of a shard wait for its own (A3.3). */
export class AttemptsInFlight {
  readonly #counts = new Map<number, number>();
  /** Shards that are being released: none of their attempts starts. */
  readonly #leaving = new Set<number>();
  #waiting: (() => void)[] = [];

  started(shard: number): void {
    this.#counts.set(shard, (this.#counts.get(shard) ?? 0) + 1);
  }

  ended(shard: number): void {
    const left = this.#counts.get(shard)! - 1;
    if (left > 0) this.#counts.set(shard, left);
    else this.#counts.delete(shard);
    this.#wake();
  }

  isLeaving(shard: number): boolean {
    return this.#leaving.has(shard);
  }

  /** No attempt of this shard starts from now on. Resolves when none is in flight, or at the deadline. */
  async drain(shard: number, deadlineMs: number): Promise<void> {
    this.#leaving.add(shard);
    await this.until(() => !this.#counts.has(shard), deadlineMs);
  }

  /** The shard has left; it may come back. */
  forget(shard: number): void {
    this.#leaving.delete(shard);
  }

  /** Resolves when the test holds, or at the deadline. The test is asked whenever an attempt has ended. */
  async until(test: () => boolean, deadlineMs: number): Promise<void> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.#wake();
    }, deadlineMs);
    while (!isLate && !test()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    clearTimeout(timer);
  }

  #wake(): void {
    if (this.#waiting.length === 0) return;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
