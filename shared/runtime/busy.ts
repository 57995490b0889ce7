// For how long this process was late with what it had to do, all told: what waited then, waited for us and for nobody else.

const TICK_MS = 20;

export interface Busy {
  /** ms so far. */
  readonly ms: () => number;
  stop(): void;
}

/** Watches the event loop by a timer that should fire every 20 ms. */
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
    // A turn that is under way counts as soon as it is late.
    ms: () => total + Math.max(0, now() - last - TICK_MS),
    stop: () => clearInterval(timer),
  };
}
