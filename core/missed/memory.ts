// The memory that all answers under way may use together: a constant, however many readers there are and however slowly they read
// (ARCHITECTURE §6.7). An answer that finds no room waits in line; who reads much or slowly waits for its own share.
import { FairPool, NoPlaceError } from "../../shared/shares/fair-pool.ts";
import type { Claim } from "../../shared/shares/standing.ts";

export interface ReadMemory {
  /** Resolves when there is room, by the shares of who asks; undefined if that took too long, too many wait, or the signal was aborted. */
  reserve(claim: Claim, bytes: number, patience: MemoryPatience): Promise<Reservation | undefined>;
  /** About how many bytes are reserved. */
  readonly reserved: number;
}

export interface MemoryPatience {
  /** Default as long as it takes. */
  readonly waitMs?: number;
  readonly signal?: AbortSignal;
}

/** Room that was found, until it is released. */
export interface Reservation {
  /** Corrects the size, once it is known; it may also be more than there is. */
  resize(bytes: number): void;
  /** Idempotent. */
  release(): void;
}

/** Room is counted in units of so many bytes. */
const UNIT_BYTES = 64 * 1024;
/** Readers that may wait for room at once: every stream, and as many pages. */
const MOST_WAITING = 4_000;

export function createReadMemory(totalBytes: number): ReadMemory {
  const most = unitsOf(totalBytes);
  const pool = new FairPool({ most, of: { proven: 0, slow: 0, new: most, failing: 0 }, mostWaiting: MOST_WAITING });
  return {
    get reserved() {
      return pool.used * UNIT_BYTES;
    },
    reserve: async (claim, bytes, { waitMs = Infinity, signal }) => {
      try {
        const place = await pool.take(claim, { waitMs, signal }, Math.min(most, unitsOf(bytes)));
        return { resize: (to) => pool.resize(place, unitsOf(to)), release: () => pool.leave(place) };
      } catch (error) {
        if (error instanceof NoPlaceError) return undefined;
        throw error;
      }
    },
  };
}

function unitsOf(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / UNIT_BYTES));
}
