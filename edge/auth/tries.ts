// How often a provider is asked for its keys: a few tries at once, then one more every while. What counts is the end of a try, so
// that one which hangs is not followed by another at once.

export interface Tries {
  /** Begins a try; false if none is left now. */
  begin(): boolean;
  /** The try has ended. */
  end(): void;
  /** The seconds after which there is a try again, 1 or more. */
  waitS(): number;
}

export interface TriesOptions {
  /** Tries at once at most. */
  readonly most: number;
  /** One more so often, ms. */
  readonly everyMs: number;
  /** Monotonic ms. */
  readonly now: () => number;
}

export function createTries({ most, everyMs, now }: TriesOptions): Tries {
  let left = most;
  let at = now();
  const refill = () => {
    left = Math.min(most, left + (now() - at) / everyMs);
    at = now();
  };
  return {
    begin: () => {
      refill();
      if (left < 1) return false;
      left -= 1;
      return true;
    },
    end: () => {
      at = now();
    },
    waitS: () => Math.max(1, Math.ceil((1 - left) * everyMs / 1_000)),
  };
}
