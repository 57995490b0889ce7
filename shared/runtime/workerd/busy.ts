// Measures how long this isolate has been late in all (shared/runtime/busy.ts). A Worker has timers only inside a request, so one of
// the requests in flight watches for all of them.

const TICK_MS = 50;
/** A watcher that says nothing for so long may have been dropped: the next request watches in its place. */
const LOST_AFTER_MS = 1_000;

export interface IsolateBusy {
  /** How long so far, ms. */
  readonly ms: () => number;
  /** Watches until this request is answered, unless another one watches already. Yields `answer`. */
  during<T>(answer: Promise<T>): Promise<T>;
}

interface Watcher {
  /** When it last looked, monotonic ms. */
  last: number;
}

export function createIsolateBusy(now: () => number): IsolateBusy {
  let total = 0;
  let watcher: Watcher | undefined;

  const lateness = ({ last }: Watcher) => Math.max(0, now() - last - TICK_MS);

  /** Adds what this watcher has seen since it last looked. */
  function look(own: Watcher): void {
    total += lateness(own);
    own.last = now();
  }

  return {
    // The current turn counts as soon as it is late.
    ms: () => total + (watcher === undefined ? 0 : lateness(watcher)),
    async during(answer) {
      if (watcher !== undefined && lateness(watcher) < LOST_AFTER_MS) return await answer;
      // Late or lost, which looks the same: in both cases the time so far is nothing that the core is to blame for.
      if (watcher !== undefined) look(watcher);
      const own = watcher = { last: now() };
      let timer: ReturnType<typeof setTimeout>;
      const tick = () => {
        look(own);
        timer = setTimeout(tick, TICK_MS);
      };
      timer = setTimeout(tick, TICK_MS);
      try {
        return await answer;
      } finally {
        clearTimeout(timer);
        if (watcher === own) {
          look(own);
          watcher = undefined;
        }
      }
    },
  };
}
