// Measures how long this isolate has been late in all (shared/runtime/busy.ts). A Worker has timers only inside a request, so every
// request in flight looks: one alone would leave the others unwatched when it ends.

const TICK_MS = 50;

export interface IsolateBusy {
  /** How long so far, ms. */
  readonly ms: () => number;
  /** Watches until this request is answered. Yields `answer`. */
  during<T>(answer: Promise<T>): Promise<T>;
}

export function createIsolateBusy(now: () => number): IsolateBusy {
  let total = 0;
  let inFlight = 0;
  /** When a request last looked, monotonic ms. */
  let last = now();

  const lateness = () => inFlight === 0 ? 0 : Math.max(0, now() - last - TICK_MS);

  function look(): void {
    total += lateness();
    last = now();
  }

  return {
    // The current turn counts as soon as it is late.
    ms: () => total + lateness(),
    async during(answer) {
      // If the runtime has dropped a request, time without requests counts as late. No core is blamed for that time.
      look();
      inFlight++;
      let timer: ReturnType<typeof setTimeout>;
      const tick = () => {
        look();
        timer = setTimeout(tick, TICK_MS);
      };
      timer = setTimeout(tick, TICK_MS);
      try {
        return await answer;
      } finally {
        clearTimeout(timer);
        look();
        inFlight--;
      }
    },
  };
}
