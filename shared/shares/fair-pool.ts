// A pool for tasks that wait for their place (ARCHITECTURE §4 "Fair shares"): no longer than they say, and no more of one requester than
// is fair. A Worker's request cannot be woken by another one's work, so there it looks again by itself.

import type { Place } from "./accounts.ts";
import { onAbort } from "../on-abort.ts";
import { pause } from "../pause.ts";
import { FairShares, type FairSharesOptions } from "./fair-shares.ts";
import type { Claim } from "./standing.ts";

export interface FairPoolOptions extends Omit<FairSharesOptions<never>, "onTurn"> {
  /** Tasks that may wait at once, by the same rule as the places. */
  readonly mostWaiting: number;
}

export interface Patience {
  /** How long the task waits for its place, ms. Infinity: as long as it takes. */
  readonly waitMs: number;
  /** Ends the waiting. */
  readonly signal?: AbortSignal | undefined;
}

/** There was no place in time, or too many of the same requester wait. What was asked for has not begun. */
export class NoPlaceError extends Error {
  constructor(why: "full" | "late" | "aborted") {
    super(
      why === "full"
        ? "Too many of this requester wait already"
        : why === "late"
        ? "No place in time"
        : "No longer wanted",
    );
    this.name = "NoPlaceError";
  }
}

interface Waiter {
  readonly go: (place: Place) => void;
  /** Its place among those who wait. */
  readonly seat: Place;
}

export class FairPool {
  readonly #places: FairShares<Waiter>;
  /** Those who wait have seats, which are shared by the same rule. */
  readonly #seats: FairShares<never>;
  readonly #looksAgain: boolean;

  constructor({ mostWaiting, ...bounds }: FairPoolOptions) {
    const { lost } = bounds;
    this.#looksAgain = lost !== undefined;
    this.#places = new FairShares<Waiter>({
      ...bounds,
      onTurn: (waiter, place) => {
        this.#seats.leave(waiter.seat);
        waiter.go(place);
        return true;
      },
    });
    this.#seats = new FairShares<never>({
      most: mostWaiting,
      of: { proven: Math.floor(mostWaiting / 2), slow: 0, new: Math.ceil(mostWaiting / 2), failing: 0 },
      forNewcomers: FOR_NEWCOMERS,
      lost,
    });
  }

  get used(): number {
    return this.#places.used;
  }
  get waiting(): number {
    return this.#places.waiting;
  }

  /** Does a task when its turn has come. @throws {NoPlaceError}, and what the task throws */
  async run<T>(claim: Claim, task: () => Promise<T>, patience: Patience): Promise<T> {
    const place = await this.take(claim, patience);
    try {
      return await task();
    } finally {
      this.leave(place);
    }
  }

  /** Takes a place, or as many as `weight` says, when its turn has come; `leave` gives it back. @throws {NoPlaceError} */
  async take(claim: Claim, { waitMs, signal }: Patience, weight = 1): Promise<Place> {
    if (signal?.aborted === true) throw new NoPlaceError("aborted");
    const place = this.#places.tryEnter(claim, weight);
    if (place !== undefined) return place;
    if (waitMs <= 0) throw new NoPlaceError("late");
    const seat = this.#seats.tryEnter({ ...claim, standing: claim.standing === "proven" ? "proven" : "new" });
    if (seat === undefined) throw new NoPlaceError("full");
    if (this.#looksAgain) return await this.#lookAgain(claim, seat, waitMs, weight);
    return await this.#wait(claim, seat, { waitMs, signal }, weight);
  }

  /** A place counts as so many from now on, whether there are as many or not. */
  resize(place: Place, weight: number): void {
    this.#places.resize(place, weight);
  }

  leave(place: Place): void {
    this.#places.leave(place);
  }

  async #lookAgain(claim: Claim, seat: Place, waitMs: number, weight: number): Promise<Place> {
    try {
      for (let leftMs = waitMs; leftMs > 0; leftMs -= LOOK_EVERY_MS) {
        await pause(Math.min(LOOK_EVERY_MS, leftMs));
        const place = this.#places.tryEnter(claim, weight);
        if (place !== undefined) return place;
      }
    } finally {
      this.#seats.leave(seat);
    }
    throw new NoPlaceError("late");
  }

  #wait(claim: Claim, seat: Place, { waitMs, signal }: Patience, weight: number): Promise<Place> {
    return new Promise((resolve, reject) => {
      const end = (why: "late" | "aborted") => {
        settle();
        this.#places.forget(claim, waiter);
        this.#seats.leave(seat);
        reject(new NoPlaceError(why));
      };
      const timer = waitMs === Infinity ? undefined : setTimeout(end, Math.min(waitMs, LONGEST_TIMER_MS), "late");
      const forget = signal === undefined ? undefined : onAbort(signal, () => end("aborted"));
      const settle = () => {
        clearTimeout(timer);
        forget?.();
      };
      const waiter: Waiter = {
        seat,
        go: (place) => {
          settle();
          resolve(place);
        },
      };
      // Nobody has left since `tryEnter`: it waits.
      this.#places.enter(claim, waiter, weight);
    });
  }
}

/** The part of the seats that only those may take who have none: many requesters that wait leave one for another. */
const FOR_NEWCOMERS = 1 / 4;
/** How often a Worker's request looks whether there is a place, ms. */
const LOOK_EVERY_MS = 50;
/** A longer timer would fire at once, ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
