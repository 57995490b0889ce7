// The seats of intents that wait for their verification. An intent has its seat before it is accepted, so what was answered with 202 is never
// dropped for want of room. A requester whose intents could not all be asked in time gets no further seat.

import { FairShares } from "../../shared/shares/fair-shares.ts";
import { ALONE } from "../../shared/outbound/verification-turns.ts";

/** Who is to be seated. `host` as `hostOf` yields it. */
export interface Guest {
  readonly requester: string;
  readonly host: string;
}

export interface Seat {
  /** How long a first try took, ms. */
  took(ms: number): void;
  /** Gives the seat back, once. */
  leave(): void;
}

export interface WaitingRoomOptions {
  /** Seats in all. */
  readonly seats: number;
  /** Within what time the first try of an intent starts, ms. */
  readonly withinMs: number;
}

/** The part of the seats that only those may take who have none. */
const FOR_NEWCOMERS = 1 / 4;
/** How long a first try is thought to take until one has, ms. */
const FIRST_GUESS_MS = 1_000;
/** What the newest try counts. */
const NEWEST = 1 / 8;

/** How fast the intents of a requester, or those to one of its hosts, are asked. */
interface Pace {
  waiting: number;
  takesMs: number;
}

export class WaitingRoom {
  readonly #seats: FairShares<never>;
  readonly #withinMs: number;
  readonly #paces = new Map<string, Pace>();

  constructor({ seats, withinMs }: WaitingRoomOptions) {
    this.#seats = new FairShares({
      most: seats,
      of: { proven: 0, slow: 0, new: seats, failing: 0 },
      forNewcomers: FOR_NEWCOMERS,
    });
    this.#withinMs = withinMs;
  }

  /** Seats that are taken. */
  get taken(): number {
    return this.#seats.used;
  }

  /** Takes a seat; if there is none, returns after how many seconds there may be one. */
  enter({ requester, host }: Guest): Seat | { readonly retryAfterS: number } {
    const keys = [[requester, ALONE.atAll], [`${requester}\0\0${host}`, ALONE.atHost]] as const;
    const lateMs = Math.max(...keys.map(([key, places]) => this.#waitMs(key, places))) - this.#withinMs;
    if (lateMs > 0) return { retryAfterS: Math.min(60, Math.ceil(lateMs / 1_000) + 1) };
    const place = this.#seats.tryEnter({ requester, host, standing: "new" });
    if (place === undefined) return { retryAfterS: 10 };
    const paces = keys.map(([key]) => this.#enter(key));
    let isSeated = true;
    return {
      took: (ms) => {
        for (const pace of paces) pace.takesMs += (ms - pace.takesMs) * NEWEST;
      },
      leave: () => {
        if (!isSeated) return;
        isSeated = false;
        this.#seats.leave(place);
        for (const [key] of keys) this.#leave(key);
      },
    };
  }

  /** How long one more would wait for its first try. */
  #waitMs(key: string, places: number): number {
    const pace = this.#paces.get(key);
    return pace === undefined || pace.waiting < places ? 0 : pace.waiting * pace.takesMs / places;
  }

  #enter(key: string): Pace {
    let pace = this.#paces.get(key);
    if (pace === undefined) this.#paces.set(key, pace = { waiting: 0, takesMs: FIRST_GUESS_MS });
    pace.waiting++;
    return pace;
  }

  #leave(key: string): void {
    const pace = this.#paces.get(key)!;
    if (--pace.waiting === 0) this.#paces.delete(key);
  }
}
