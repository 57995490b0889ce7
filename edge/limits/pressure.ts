// How much the edge asks of the core at once. While answers come within the target the limit grows; when they do not, it is
// halved, so that what cannot be done in time is refused at once (503) instead of waiting for a log that is behind. The
// queue stays short: what is accepted is answered about as fast under overload as without.

export interface Pressure {
  /** Whether one more would be refused now. Costs next to nothing: it is asked before a body is read. */
  readonly full: boolean;
  readonly inFlight: number;
  readonly limit: number;
  /** Takes a place for one request to the core; null if there is none. The result gives it back, once. */
  enter(): (() => void) | null;
}

export interface PressureOptions {
  /** An answer that takes longer means that the core is behind, ms (OVERLOAD_AFTER). */
  readonly targetMs: number;
  /** Monotonic ms. */
  readonly now: () => number;
  /** For how long this process itself was late so far, ms, all told: no sign of the core's. Default never. */
  readonly busyMs?: () => number;
  /** Always allowed, so that it is seen when the core is back. Default 16. */
  readonly least?: number;
  /** Default 1,024. */
  readonly most?: number;
}

export function createPressure(
  { targetMs, now, busyMs = () => 0, least = 16, most = 1_024 }: PressureOptions,
): Pressure {
  /** Time in which the core could have answered. */
  const idle = () => now() - busyMs();
  let limit = Math.min(most, 256);
  let cutAt = -Infinity;
  // When each was begun, in that order: the first is the oldest.
  const begun = new Map<object, number>();

  function late(time: number): void {
    // Once in a target's time: what comes late together is one sign.
    if (time - cutAt < targetMs) return;
    cutAt = time;
    limit = Math.max(least, Math.floor(limit / 2));
  }

  /** A core that answers nothing is seen by the age of what waits. */
  function look(): void {
    if (begun.size < least) return;
    const time = idle();
    for (const at of begun.values()) {
      if (time - at > targetMs) late(time);
      break;
    }
  }

  function leave(key: object): void {
    const at = begun.get(key);
    if (at === undefined) return;
    begun.delete(key);
    const time = idle();
    if (time - at > targetMs) return late(time);
    // Only a limit that is used says anything by being kept.
    if (begun.size * 2 >= limit) limit = Math.min(most, limit + 2 / limit);
  }

  return {
    get full() {
      look();
      return begun.size >= limit;
    },
    get inFlight() {
      return begun.size;
    },
    get limit() {
      return Math.floor(limit);
    },
    enter: () => {
      look();
      if (begun.size >= limit) return null;
      const key = {};
      begun.set(key, idle());
      return () => leave(key);
    },
  };
}
