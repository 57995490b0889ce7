// Bounds the bytes of request bodies that are held at once, in fair shares: configuration bounds memory, not the number of peers that
// send (ARCHITECTURE §6.7). What counts is what has come, and not what was announced.

import type { BodyRoom } from "../request-body.ts";
import type { Place } from "./accounts.ts";
import { FairShares, type LostAfter } from "./fair-shares.ts";
import type { Claim } from "./standing.ts";

export interface BodyBudgetOptions {
  /** Bytes of all bodies, beyond the first `uncountedBytes` of each. */
  readonly most: number;
  readonly uncountedBytes: number;
  readonly lost?: LostAfter | undefined;
}

export interface BodyBudget {
  /** Room for one body, whose claim is asked for if it counts. `release` gives it back; what still comes of the body then has none. */
  open(claim: () => Claim): BodyRoom & { release(): void };
}

export function createBodyBudget({ most, uncountedBytes, lost }: BodyBudgetOptions): BodyBudget {
  const shares = new FairShares<never>({ most, of: { proven: 0, slow: 0, new: most, failing: 0 }, lost });
  return {
    open: (claim) => {
      let size = 0;
      let place: Place | undefined;
      let isReleased = false;
      return {
        take: (bytes) => {
          if (isReleased) return false;
          const more = Math.max(0, size + bytes - uncountedBytes) - (place?.weight ?? 0);
          if (more > 0) {
            if (place === undefined) place = shares.tryEnter(claim(), more);
            else if (!shares.grow(place, more)) return false;
            if (place === undefined) return false;
          }
          size += bytes;
          return true;
        },
        release: () => {
          isReleased = true;
          if (place !== undefined) shares.leave(place);
        },
      };
    },
  };
}
