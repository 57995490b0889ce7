// How many attempts may be in flight: in all, to one origin, and of lanes that fail or are slow, so that one hanging
// subscriber, or ten per cent of them, is not felt by the rest (ARCHITECTURE §4).
import type { Lane } from "../lane/lane.ts";
import { Queue } from "./queue.ts";

/** Of lanes that are well. */
export const IN_FLIGHT = 1_024;
/** Begun by lanes whose last attempt failed or was slow. */
export const SUSPECTS_IN_FLIGHT = 256;
/** In all: those included that began well and turned out slow. */
export const MOST_IN_FLIGHT = 4_096;
export const PER_ORIGIN = 256;
export const SUSPECTS_PER_ORIGIN = 64;

interface Origin {
  inFlight: number;
  suspects: number;
  /** Attempts this origin is trusted with: fewer after it asked for a pause, one more with each success. */
  limit: number;
  readonly waiting: Queue<Lane>;
  readonly waitingSuspects: Queue<Lane>;
}

export class Limits {
  #inFlight = 0;
  #suspects = 0;
  readonly #origins = new Map<string, Origin>();
  /** Lanes that wait for the suspects' share. */
  readonly #waiting = new Queue<Lane>();

  get inFlight(): number {
    return this.#inFlight;
  }
  get full(): boolean {
    return this.#inFlight - this.#suspects >= IN_FLIGHT || this.#inFlight >= MOST_IN_FLIGHT;
  }
  /** Origins that are remembered. */
  get origins(): number {
    return this.#origins.size;
  }

  /** Takes a place for one attempt; false if there is none now: the lane is kept, and comes back from `leave`. */
  enter(lane: Lane): boolean {
    const key = lane.target.url.origin;
    const suspect = lane.health.isSuspect;
    if (suspect && this.#suspects >= SUSPECTS_IN_FLIGHT) {
      this.#waiting.push(lane);
      return false;
    }
    const origin = this.#originOf(key);
    if (origin.inFlight >= origin.limit || (suspect && origin.suspects >= SUSPECTS_PER_ORIGIN)) {
      (suspect ? origin.waitingSuspects : origin.waiting).push(lane);
      return false;
    }
    origin.inFlight++;
    this.#inFlight++;
    if (suspect) {
      origin.suspects++;
      this.#suspects++;
    }
    return true;
  }

  /** Takes one of the suspects' places for an attempt beside the lanes; false if there is none now. `leave` gives it back. */
  enterBeside(key: string): boolean {
    const origin = this.#originOf(key);
    if (
      this.full || this.#suspects >= SUSPECTS_IN_FLIGHT ||
      origin.inFlight >= origin.limit || origin.suspects >= SUSPECTS_PER_ORIGIN
    ) {
      this.#forgetIfQuiet(key, origin);
      return false;
    }
    origin.inFlight++;
    origin.suspects++;
    this.#inFlight++;
    this.#suspects++;
    return true;
  }

  #originOf(key: string): Origin {
    let origin = this.#origins.get(key);
    if (origin === undefined) {
      origin = { inFlight: 0, suspects: 0, limit: PER_ORIGIN, waiting: new Queue(), waitingSuspects: new Queue() };
      this.#origins.set(key, origin);
    }
    return origin;
  }

  /** An attempt under way turned out slow: it counts as a suspect's from now on, and its place is another's. */
  slow(key: string): void {
    this.#origins.get(key)!.suspects++;
    this.#suspects++;
  }

  /** Gives a place back, as it was taken or as `slow` made it. Returns lanes that may try again now. */
  leave(key: string, wasSuspect: boolean): Lane[] {
    const origin = this.#origins.get(key)!;
    origin.inFlight--;
    this.#inFlight--;
    if (wasSuspect) {
      origin.suspects--;
      this.#suspects--;
    }
    const again: Lane[] = [];
    // The healthy go first; suspects have one place at least, their share, and what the healthy leave.
    const suspectsTurn = origin.suspects === 0 && origin.waitingSuspects.size > 0;
    if (origin.waiting.size > 0 && !suspectsTurn) again.push(origin.waiting.shift()!);
    else if (origin.waitingSuspects.size > 0) again.push(origin.waitingSuspects.shift()!);
    if (wasSuspect && origin.waitingSuspects.size > 0) again.push(origin.waitingSuspects.shift()!);
    if (wasSuspect && this.#waiting.size > 0) again.push(this.#waiting.shift()!);
    this.#forgetIfQuiet(key, origin);
    return again;
  }

  /** Lanes for which there is room now. Asked at every tick, so that nobody's turn hangs on a lane that ended in the queue. */
  wake(): Lane[] {
    const again = this.#waiting.take(SUSPECTS_IN_FLIGHT - this.#suspects);
    for (const [key, origin] of this.#origins) {
      const room = Math.max(0, origin.limit - origin.inFlight);
      again.push(...origin.waiting.take(room));
      again.push(
        ...origin.waitingSuspects.take(Math.min(room, SUSPECTS_PER_ORIGIN - origin.suspects)),
      );
      if (origin.inFlight === 0 && origin.limit < PER_ORIGIN) origin.limit++;
      this.#forgetIfQuiet(key, origin);
    }
    return again;
  }

  /** The origin answered well: it is trusted with one more. */
  trust(key: string): void {
    const origin = this.#origins.get(key);
    if (origin !== undefined && origin.limit < PER_ORIGIN) origin.limit++;
  }
  /** The origin asked for a pause: it is trusted with half. */
  ease(key: string): void {
    const origin = this.#origins.get(key);
    if (origin !== undefined) origin.limit = Math.max(1, Math.floor(origin.limit / 2));
  }

  #forgetIfQuiet(key: string, origin: Origin): void {
    const nobody = origin.inFlight === 0 && origin.waiting.size === 0 && origin.waitingSuspects.size === 0;
    if (nobody && origin.limit === PER_ORIGIN) this.#origins.delete(key);
  }
}
