// Limits the requests that the edge has at the core at once. The limit grows while answers come within the target, and is
// halved when they do not. A request above the limit is refused at once (503) instead of waiting for a log that is behind. The
// queue stays short: accepted requests are answered about as fast under overload as without it.
//
// One requester may have all of it while nobody else asks. Who has less than its part is let in above the limit, up to as many again: one
// stranger's slow requests, which also lower the limit, keep nobody else out.

import type { Place } from "../../shared/shares/accounts.ts";
import { OwedPlaces } from "./owed-places.ts";

export interface Pressure {
  /** Whether one more of this requester would be refused now. Costs next to nothing: it is asked before a body is read. */
  isFull(requester: () => string): boolean;
  readonly inFlight: number;
  readonly limit: number;
  /** Takes a place for one request to the core; null if there is none. The result gives it back, once. */
  enter(requester: string): (() => void) | null;
}

export interface PressureOptions {
  /** An answer that takes longer means that the core is behind, ms (OVERLOAD_AFTER). */
  readonly targetMs: number;
  /** Monotonic ms. */
  readonly now: () => number;
  /** How long this process itself has been late in all, ms: that time says nothing about the core. Default always 0. */
  readonly busyMs?: () => number;
  /** A request that is here for so long was dropped by the runtime, ms. Default never. */
  readonly lostAfterMs?: number;
  /** The limit never falls below this, so that the edge notices when the core is back. Default 16. */
  readonly least?: number;
  /** The limit never rises above this. Default 1,024. */
  readonly most?: number;
}

interface Begun {
  readonly at: number;
  readonly requester: string;
  /** Of one above the limit. */
  readonly place: Place | undefined;
}

export function createPressure(
  { targetMs, now, busyMs = () => 0, lostAfterMs = Infinity, least = 16, most = 1_024 }: PressureOptions,
): Pressure {
  /** Time in which the core could have answered. */
  const idle = () => now() - busyMs();
  let limit = Math.min(most, 256);
  let cutAt = -Infinity;
  // Each request here, the oldest first.
  const begun = new Map<object, Begun>();
  const owed = new OwedPlaces(() => Math.floor(limit));

  function isFull(): boolean {
    return begun.size - owed.used >= limit;
  }

  function forget(key: object): Begun | undefined {
    const request = begun.get(key);
    if (request === undefined) return undefined;
    begun.delete(key);
    owed.leave(request);
    return request;
  }

  function late(time: number): void {
    // At most one cut per target time: answers that are late together are one sign.
    if (time - cutAt < targetMs) return;
    cutAt = time;
    limit = Math.max(least, Math.floor(limit / 2));
  }

  /** A core that answers nothing shows in the age of the oldest request. */
  function look(): void {
    if (begun.size < least) return;
    const time = idle();
    for (const [key, { at }] of begun) {
      if (time - at > lostAfterMs) {
        forget(key);
        continue;
      }
      if (time - at > targetMs) late(time);
      break;
    }
  }

  function leave(key: object): void {
    const request = forget(key);
    if (request === undefined) return;
    const time = idle();
    if (time - request.at > targetMs) return late(time);
    // The limit grows only while at least half of it is in use: an unused limit proves nothing.
    if (begun.size * 2 >= limit) limit = Math.min(most, limit + 2 / limit);
  }

  return {
    isFull: (requester) => {
      look();
      if (!isFull()) return false;
      return !owed.isFor(requester());
    },
    get inFlight() {
      return begun.size;
    },
    get limit() {
      return Math.floor(limit);
    },
    enter: (requester) => {
      look();
      const place = owed.enter(requester, isFull());
      if (place === null) return null;
      const key = {};
      begun.set(key, { at: idle(), requester, place });
      return () => leave(key);
    },
  };
}
