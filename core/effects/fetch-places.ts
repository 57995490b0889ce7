// Places for topic fetches in fair shares (ARCHITECTURE §4): by who pinged, then by the topic's host. Several may have pinged the same topic:
// the first one that has a place is enough. So nobody's ping waits longer because a stranger pinged the topic, too.
import type { Bounds, Place } from "../../shared/shares/accounts.ts";
import { FairPool } from "../../shared/shares/fair-pool.ts";
import { hostOfUrl } from "../../shared/shares/host-of.ts";
import type { Standing } from "../../shared/shares/standing.ts";

/** Each fetch may hold a whole document. One requester has at most 8 at one host. */
export const FETCH_BOUNDS: Bounds = {
  most: 96,
  of: { proven: 40, slow: 12, new: 32, failing: 12 },
  perHost: { proven: 16, slow: 8, new: 16, failing: 8 },
};

export interface FetchPlaces {
  /** Waits for a place for one of these requesters. Undefined: the hub stops. */
  wait(topic: string, standing: Standing, requesters: Iterable<string>): WaitingFetch;
  leave(place: Place): void;
}

/** A fetch that waits for its place. */
export interface WaitingFetch {
  readonly place: Promise<Place | undefined>;
  /** Another one pinged the topic. */
  join(requester: string): void;
}

export function createFetchPlaces(signal: AbortSignal): FetchPlaces {
  // What waits is in the log, and every topic waits once: the number of topics bounds it.
  const pool = new FairPool({ ...FETCH_BOUNDS, mostWaiting: Infinity });
  const ends = new Set<() => void>();
  signal.addEventListener("abort", () => {
    for (const end of ends) end();
  });

  return {
    leave: (place) => pool.leave(place),
    wait(topic, standing, requesters) {
      const host = hostOfUrl(topic);
      const found = Promise.withResolvers<Place | undefined>();
      const over = new AbortController();
      const settle = (place: Place | undefined) => {
        ends.delete(end);
        over.abort();
        found.resolve(place);
      };
      const end = () => settle(undefined);
      ends.add(end);
      if (signal.aborted) end();
      const join = (requester: string) => {
        if (over.signal.aborted) return;
        pool.take({ requester, host, standing }, { waitMs: Infinity, signal: over.signal }).then(
          (place) => over.signal.aborted ? pool.leave(place) : settle(place),
          // Another one has found a place, or the hub stops.
          () => {},
        );
      };
      for (const requester of requesters) join(requester);
      return { place: found.promise, join };
    },
  };
}
