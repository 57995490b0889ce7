// Limits the attempts in flight: in all, to one origin, and of suspects, which are lanes that fail or are slow. One hanging
// subscriber, or ten per cent of them, must not be felt by the rest (ARCHITECTURE §4).
import type { Lane } from "../lane/lane.ts";

/** Attempts of lanes that are well. */
export const IN_FLIGHT = 1_024;
/** Attempts of suspects. */
export const SUSPECTS_IN_FLIGHT = 256;
/** Attempts in all; some began as those of lanes that are well and turned out slow. */
export const MOST_IN_FLIGHT = 4_096;
export const PER_ORIGIN = 256;
export const SUSPECTS_PER_ORIGIN = 64;

interface Origin {
  inFlight: number;
  suspects: number;
  /** Attempts that may be in flight to this origin. It is halved when the origin asks for a pause, and grows by one with each success. */
  limit: number;
  readonly waiting: Queue<Lane>;
  readonly waitingSuspects: Queue<Lane>;
}

export class Limits {
  #inFlight = 0;
  #suspects = 0;
  readonly #origins: Map<string, Origin>;
  /** Suspects that wait for a place of their share. */
  readonly #waiting = new Queue<Lane>();

  /** `origins` keeps each origin that has attempts in flight, has lanes waiting, or has a lowered limit; empty at first. */
  constructor(origins = new Map<string, Origin>()) {
    this.#origins = origins;
  }

  get inFlight(): number {
    return this.#inFlight;
  }
  get full(): boolean {
    return this.#inFlight - this.#suspects >= IN_FLIGHT || this.#inFlight >= MOST_IN_FLIGHT;
  }

  /** Takes a place for one attempt. If there is none the answer is false: the lane is kept, and comes back from `leave`. */
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

  /** Takes one of the suspects' places for an attempt with a dead letter; false if there is none. `leave` gives it back. */
  enterReplay(key: string): boolean {
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

  /** An attempt in flight turned out slow: it counts as a suspect's from now on, and frees its place. */
  slow(key: string): void {
    this.#origins.get(key)!.suspects++;
    this.#suspects++;
  }

  /** Gives a place back; `wasSuspect`: as it was taken, or as `slow` changed it. Returns lanes that may try again. */
  leave(key: string, wasSuspect: boolean): Lane[] {
    const origin = this.#origins.get(key)!;
    origin.inFlight--;
    this.#inFlight--;
    if (wasSuspect) {
      origin.suspects--;
      this.#suspects--;
    }
    const again: Lane[] = [];
    // Healthy lanes go first. Suspects have at least one place, and the places that healthy lanes leave free.
    const suspectsTurn = origin.suspects === 0 && origin.waitingSuspects.size > 0;
    if (origin.waiting.size > 0 && !suspectsTurn) again.push(origin.waiting.shift()!);
    else if (origin.waitingSuspects.size > 0) again.push(origin.waitingSuspects.shift()!);
    if (wasSuspect && origin.waitingSuspects.size > 0) again.push(origin.waitingSuspects.shift()!);
    if (wasSuspect && this.#waiting.size > 0) again.push(this.#waiting.shift()!);
    this.#forgetIfQuiet(key, origin);
    return again;
  }

  /** The lanes that there is room for. Asked at every tick, since a lane that ended in a queue does not call `leave`. */
  wake(): Lane[] {
    const again = this.#waiting.shiftMany(SUSPECTS_IN_FLIGHT - this.#suspects);
    for (const [key, origin] of this.#origins) {
      const room = Math.max(0, origin.limit - origin.inFlight);
      again.push(...origin.waiting.shiftMany(room));
      again.push(
        ...origin.waitingSuspects.shiftMany(Math.min(room, SUSPECTS_PER_ORIGIN - origin.suspects)),
      );
      if (origin.inFlight === 0 && origin.limit < PER_ORIGIN) origin.limit++;
      this.#forgetIfQuiet(key, origin);
    }
    return again;
  }

  /** The origin answered with success: one more attempt may be in flight to it. */
  trust(key: string): void {
    const origin = this.#origins.get(key);
    if (origin !== undefined && origin.limit < PER_ORIGIN) origin.limit++;
  }
  /** The origin asked for a pause: half as many attempts may be in flight to it. */
  ease(key: string): void {
    const origin = this.#origins.get(key);
    if (origin !== undefined) origin.limit = Math.max(1, Math.floor(origin.limit / 2));
  }

  #forgetIfQuiet(key: string, origin: Origin): void {
    const isQuiet = origin.inFlight === 0 && origin.waiting.size === 0 && origin.waitingSuspects.size === 0;
    if (isQuiet && origin.limit === PER_ORIGIN) this.#origins.delete(key);
  }
}

/** A queue's array is cut when it begins with more empty places than these. */
const MOST_EMPTY = 64;

/** First in, first out. An array's `shift` moves the whole rest of a long array, for each of 100,000 lanes that wait. */
export class Queue<T> {
  /** The first `#head` places are empty. */
  #items: (T | undefined)[] = [];
  #head = 0;

  get size(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    if (this.size === 0) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head++] = undefined;
    if (this.#head === this.#items.length || (this.#head > MOST_EMPTY && this.#head * 2 > this.#items.length)) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** Takes out the first `count` items, or as many as there are. */
  shiftMany(count: number): T[] {
    const taken: T[] = [];
    for (let left = Math.min(count, this.size); left > 0; left--) taken.push(this.shift()!);
    return taken;
  }
}
