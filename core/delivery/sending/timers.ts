// Coarse timers: thousands of attempts and pauses share one interval, with no timer or closure of their own (ARCHITECTURE §4).
import type { Lane } from "../lane/lane.ts";

/** How often pauses and slow attempts are looked at. */
export const TICK_MS = 20;
/** If the clock goes back by more than this, it was set back. */
const CLOCK_STEP_MS = 1_000;

/** Something with a deadline. All items of a list have the same duration, so that insertion order is deadline order. */
export interface Timed {
  deadline: number;
  previous: Timed | undefined;
  next: Timed | undefined;
}

/** Things in flight under one duration; to add and to remove are O(1). */
export class DeadlineList<T extends Timed> {
  #first: Timed | undefined;
  #last: Timed | undefined;
  readonly #durationMs: number;

  constructor(durationMs: number) {
    this.#durationMs = durationMs;
  }

  add(item: T, now: number): void {
    item.deadline = now + this.#durationMs;
    item.previous = this.#last;
    item.next = undefined;
    if (this.#last === undefined) this.#first = item;
    else this.#last.next = item;
    this.#last = item;
  }

  remove(item: T): void {
    if (item.previous !== undefined) item.previous.next = item.next;
    else if (this.#first === item) this.#first = item.next;
    else return;
    if (item.next !== undefined) item.next.previous = item.previous;
    else this.#last = item.previous;
    item.previous = item.next = undefined;
  }

  /** Takes out the items that are due. */
  due(now: number): T[] {
    const result: T[] = [];
    for (let item = this.next(now); item !== undefined; item = this.next(now)) result.push(item);
    return result;
  }

  /** Takes out the first item if it is due. */
  next(now: number): T | undefined {
    const item = this.#first as T | undefined;
    if (item === undefined || item.deadline > now) return undefined;
    this.remove(item);
    return item;
  }

  get empty(): boolean {
    return this.#first === undefined;
  }
}

/** Wakes items at times of their own, to within a tick. An item that no longer waits is woken too, and has to look. */
export class TimerWheel<T> {
  readonly #tickMs: number;
  readonly #slots = new Map<number, T[]>();
  #done: number;

  constructor(tickMs: number, now: number) {
    this.#tickMs = tickMs;
    this.#done = Math.floor(now / tickMs);
  }

  add(item: T, at: number): void {
    const slot = Math.max(Math.ceil(at / this.#tickMs), this.#done + 1);
    const items = this.#slots.get(slot);
    if (items === undefined) this.#slots.set(slot, [item]);
    else items.push(item);
  }

  /** Takes out the items that are due. */
  due(now: number): T[] {
    const slot = Math.floor(now / this.#tickMs);
    if (slot <= this.#done) {
      // If the clock was set back, items that are added from now on are due by the clock as it is.
      this.#done = slot;
      return [];
    }
    const result: T[] = [];
    if (slot - this.#done > this.#slots.size) {
      // After the process was suspended there are fewer slots than ticks.
      for (const key of [...this.#slots.keys()].filter((key) => key <= slot).sort((a, b) => a - b)) {
        result.push(...this.#slots.get(key)!);
        this.#slots.delete(key);
      }
    } else {
      for (let key = this.#done + 1; key <= slot; key++) {
        const items = this.#slots.get(key);
        if (items === undefined) continue;
        result.push(...items);
        this.#slots.delete(key);
      }
    }
    this.#done = slot;
    return result;
  }

  /** Takes out all items, due or not. */
  clear(): T[] {
    const all = [...this.#slots.values()].flat();
    this.#slots.clear();
    return all;
  }
}

/** When lanes that fail may try again: one wheel for all of them. If the clock is set back, pauses stay as long as they were meant. */
export class Pauses {
  readonly #wheel: TimerWheel<Lane>;
  #lastTick: number;

  constructor(now: number) {
    this.#lastTick = now;
    this.#wheel = new TimerWheel(TICK_MS, now);
  }

  /** No attempt of the lane starts before this time, ms since 1970, or before the time that it waits for already. */
  add(lane: Lane, until: number): void {
    lane.pauseUntil(Math.max(lane.health.notBefore, until));
    this.#wheel.add(lane, lane.health.notBefore);
  }

  /** Lanes whose pause may be over: each has to look. */
  due(now: number): Lane[] {
    this.#followClock(now);
    return this.#wheel.due(now);
  }

  #followClock(now: number): void {
    const back = this.#lastTick - now;
    this.#lastTick = now;
    if (back < CLOCK_STEP_MS) return;
    const pausing = new Set(this.#wheel.clear());
    this.#wheel.due(now);
    for (const lane of pausing) {
      lane.pauseUntil(lane.health.notBefore - back);
      this.#wheel.add(lane, lane.health.notBefore);
    }
  }
}
