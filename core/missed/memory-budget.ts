// The memory that all answers under way may use together: a constant, however many readers there are and however slowly they read
// (ARCHITECTURE §6.7). An answer that finds no room waits in line.

export interface MemoryBudget {
  /** Resolves when there is room, in the order of asking; undefined if the signal was aborted first. */
  reserve(bytes: number, signal: AbortSignal): Promise<Reservation | undefined>;
  readonly reserved: number;
}

/** Room that was found, until it is released. */
export interface Reservation {
  /** Corrects the size, once it is known. */
  resize(bytes: number): void;
  /** Idempotent; the reservation is not resized after it. */
  release(): void;
}

interface Waiting {
  readonly bytes: number;
  readonly grant: () => void;
}

export function createMemoryBudget(totalBytes: number): MemoryBudget {
  let reserved = 0;
  const line = new Set<Waiting>();

  // A request that is larger than the whole budget is granted when nothing else is reserved.
  const fits = (bytes: number) => reserved + bytes <= totalBytes || reserved === 0;

  function serve(): void {
    for (const waiting of line) {
      if (!fits(waiting.bytes)) return;
      line.delete(waiting);
      waiting.grant();
    }
  }

  function grant(bytes: number): Reservation {
    reserved += bytes;
    let size = bytes;
    const resize = (to: number) => {
      reserved += to - size;
      size = to;
      serve();
    };
    const release = () => resize(0);
    return { resize, release };
  }

  return {
    get reserved() {
      return reserved;
    },
    reserve(bytes, signal) {
      if (signal.aborted) return Promise.resolve(undefined);
      if (line.size === 0 && fits(bytes)) return Promise.resolve(grant(bytes));
      return new Promise((resolve) => {
        const leave = () => {
          line.delete(waiting);
          resolve(undefined);
          // Smaller requests may have stood behind this one.
          serve();
        };
        const waiting = {
          bytes,
          grant: () => {
            signal.removeEventListener("abort", leave);
            resolve(grant(bytes));
          },
        };
        line.add(waiting);
        signal.addEventListener("abort", leave, { once: true });
      });
    },
  };
}
