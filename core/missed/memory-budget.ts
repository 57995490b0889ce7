// How much of all answers under way the core holds at once: bounded by configuration, not by how many ask or how slowly they
// read (ARCHITECTURE §6.7). Whoever finds no room waits in line.

export interface MemoryBudget {
  /** Resolves when there is room, in the order of asking; undefined if the signal was aborted first. */
  reserve(bytes: number, signal: AbortSignal): Promise<Reservation | undefined>;
  readonly reserved: number;
}

/** `using` releases it. */
export interface Reservation extends Disposable {
  /** What it turned out to be, more or less than was asked for. */
  resize(bytes: number): void;
  /** Idempotent; nothing is resized after it. */
  release(): void;
}

interface Waiting {
  readonly bytes: number;
  readonly grant: () => void;
}

export function createMemoryBudget(totalBytes: number): MemoryBudget {
  let reserved = 0;
  const line = new Set<Waiting>();

  // What is larger than all there is has its turn when nobody else holds anything.
  const fits = (bytes: number) => reserved + bytes <= totalBytes || reserved === 0;

  function serve(): void {
    for (const waiting of line) {
      if (!fits(waiting.bytes)) return;
      line.delete(waiting);
      waiting.grant();
    }
  }

  function take(bytes: number): Reservation {
    reserved += bytes;
    let held = bytes;
    const resize = (to: number) => {
      reserved += to - held;
      held = to;
      serve();
    };
    const release = () => resize(0);
    return { resize, release, [Symbol.dispose]: release };
  }

  return {
    get reserved() {
      return reserved;
    },
    reserve(bytes, signal) {
      if (signal.aborted) return Promise.resolve(undefined);
      if (line.size === 0 && fits(bytes)) return Promise.resolve(take(bytes));
      return new Promise((resolve) => {
        const leave = () => {
          line.delete(waiting);
          resolve(undefined);
          // Whoever stood behind a large one may fit.
          serve();
        };
        const waiting = {
          bytes,
          grant: () => {
            signal.removeEventListener("abort", leave);
            resolve(take(bytes));
          },
        };
        line.add(waiting);
        signal.addEventListener("abort", leave, { once: true });
      });
    },
  };
}
