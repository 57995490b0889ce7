// The places above a limit, for requesters that have less than their part of it while others fill it (ARCHITECTURE §4 "Fair shares").

import type { Place } from "../../shared/shares/accounts.ts";
import { FairShares } from "../../shared/shares/fair-shares.ts";
import type { Claim } from "../../shared/shares/standing.ts";

export class OwedPlaces {
  readonly #limit: () => number;
  readonly #places: FairShares<never>;
  /** What each requester has, below the limit and above. */
  readonly #counts = new Map<string, number>();

  /** There are as many as the limit allows, which may change. */
  constructor(limit: () => number) {
    this.#limit = limit;
    const bounds = {
      get most() {
        return limit();
      },
      of: {
        proven: 0,
        slow: 0,
        get new() {
          return limit();
        },
        failing: 0,
      },
    };
    this.#places = new FairShares<never>(bounds);
  }

  get used(): number {
    return this.#places.used;
  }

  /** Whether this requester would have a place. */
  isFor(requester: string): boolean {
    return this.#hasLess(requester) && this.#places.lackOf(claimOf(requester)) === undefined;
  }

  /** Counts a request; where the limit is full, it takes a place above: null if there is none for it. */
  enter(requester: string, isFull: boolean): Place | undefined | null {
    const place = isFull && this.#hasLess(requester) ? this.#places.tryEnter(claimOf(requester)) : undefined;
    if (isFull && place === undefined) return null;
    this.#counts.set(requester, (this.#counts.get(requester) ?? 0) + 1);
    return place;
  }

  leave({ requester, place }: { readonly requester: string; readonly place: Place | undefined }): void {
    if (place !== undefined) this.#places.leave(place);
    const left = this.#counts.get(requester)! - 1;
    if (left === 0) this.#counts.delete(requester);
    else this.#counts.set(requester, left);
  }

  /** Whether it has less than its part of the limit. */
  #hasLess(requester: string): boolean {
    const own = this.#counts.get(requester) ?? 0;
    return own < Math.floor(this.#limit() / (this.#counts.size + (own === 0 ? 1 : 0)));
  }
}

function claimOf(requester: string): Claim {
  return { requester, host: "", standing: "new" };
}
