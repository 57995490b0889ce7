// Coarse timers: thousands of attempts and pauses share one interval, with no timer or closure of their own (ARCHITECTURE §4).

/** Something with a deadline. All of one list have the same duration, so that insertion order is deadline order. */
export interface Timed {
  deadline: number;
  previous: Timed | undefined;
  next: Timed | undefined;
}

/** A list of things in flight under one duration; adding and removing are O(1). */
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

  /** Takes out what is due. */
  due(now: number): T[] {
    const result: T[] = [];
    while (this.#first !== undefined && this.#first.deadline <= now) {
      const item = this.#first as T;
      this.remove(item);
      result.push(item);
    }
    return result;
  }

  get empty(): boolean {
    return this.#first === undefined;
  }
}

/** Wakes things at times of their own, to within a tick. A thing that no longer cares is woken all the same, and looks. */
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

  /** Takes out what is due. */
  due(now: number): T[] {
    const slot = Math.floor(now / this.#tickMs);
    if (slot <= this.#done) {
      // Also where the clock was set back: what is put in from now on is due by the clock as it is.
      this.#done = slot;
      return [];
    }
    const result: T[] = [];
    if (slot - this.#done > this.#slots.size) {
      // After a pause of the process there are fewer slots than ticks.
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

  /** Takes out everything, due or not. */
  clear(): T[] {
    const all = [...this.#slots.values()].flat();
    this.#slots.clear();
    return all;
  }
}
