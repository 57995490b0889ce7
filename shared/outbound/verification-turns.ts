// When a verification asks its callback: as soon as its requester has a place (ARCHITECTURE §4 "Fair shares") and nothing else of its
// pair is being asked. Edges and cores take turns alike.

import { identityOf } from "../identity.ts";
import type { Bounds } from "../shares/accounts.ts";
import { FairPool, NoPlaceError } from "../shares/fair-pool.ts";
import { hostOfUrl } from "../shares/host-of.ts";
import type { InTurn } from "./verification.ts";

/**
 * Places of GETs in flight. `proven`: of the owners of subscriptions; `new`: first tries of the others; `failing`: further tries. One
 * requester has at most 48 first tries at one host in flight, and all together have at most 176 GETs there.
 */
export const VERIFICATION_BOUNDS: Bounds = {
  most: 448,
  of: { proven: 128, slow: 0, new: 256, failing: 64 },
  perHost: { proven: 64, slow: 0, new: 96, failing: 16 },
};
/** First tries that one requester may have in flight at one host, and at all hosts, if it is alone. */
export const ALONE = { atHost: 48, atAll: 128 };

/** Whose verification takes turns. */
export interface TurnTaker {
  readonly requester: string;
  readonly topic: string;
  readonly callback: string;
  /** It is of who has the subscription. */
  readonly isOwn: boolean;
}

export interface VerificationTurnsOptions {
  /** Default `VERIFICATION_BOUNDS`. */
  readonly bounds?: Bounds | undefined;
  /** How many may wait for a place, in fair shares. Default any number: the caller bounds them. */
  readonly mostWaiting?: number;
}

export class VerificationTurns {
  readonly #pool: FairPool;
  /** What is being asked of each pair, and what waits for that. */
  readonly #pairs = new Map<string, Promise<void>>();

  constructor({ bounds = VERIFICATION_BOUNDS, mostWaiting = Infinity }: VerificationTurnsOptions = {}) {
    this.#pool = new FairPool({ ...bounds, mostWaiting });
  }

  /** GETs in flight. */
  get inFlight(): number {
    return this.#pool.used;
  }

  /** The turns of one verification. `signal` ends its waiting. */
  of({ requester, topic, callback, isOwn }: TurnTaker, signal: AbortSignal): InTurn {
    const host = hostOfUrl(callback);
    const pair = pairKeyOf(topic, callback);
    return async (ask, { tries, waitMs }) => {
      const standing = tries > 1 ? "failing" : isOwn ? "proven" : "new";
      try {
        return await this.#pool.run({ requester, host, standing }, () => this.#alone(pair, ask), { waitMs, signal });
      } catch (error) {
        if (error instanceof NoPlaceError) return undefined;
        throw error;
      }
    };
  }

  /** One at a time of a pair. */
  async #alone<T>(pair: string, ask: () => Promise<T>): Promise<T> {
    const before = this.#pairs.get(pair);
    const answered = before === undefined ? ask() : before.then(ask);
    const quiet = answered.then(() => {}, () => {});
    this.#pairs.set(pair, quiet);
    try {
      return await answered;
    } finally {
      if (this.#pairs.get(pair) === quiet) this.#pairs.delete(pair);
    }
  }
}

/** §5.1.1: two spellings of a pair are one pair. */
export function pairKeyOf(topic: string, callback: string): string {
  return `${identityOf(topic)}\0${identityOf(callback)}`;
}
