// Measures how long this process has been late in all. Requests that waited in that time waited for this process, not another.

const TICK_MS = 20;

export interface Busy {
  /** How long so far, ms. */
  readonly ms: () => number;
  stop(): void;
}

/** Watches the event loop by a timer that should fire every `TICK_MS`. */
export function watchBusy(now: () => number): Busy {
  let total = 0;
  let last = now();
  const timer = setInterval(() => {
    const time = now();
    total += Math.max(0, time - last - TICK_MS);
    last = time;
  }, TICK_MS);
  timer.unref();
  return {
    // The current turn counts as soon as it is late.
    ms: () => total + Math.max(0, now() - last - TICK_MS),
    stop: () => clearInterval(timer),
  };
}
