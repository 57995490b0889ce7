// The second at which each key is to be looked at again: one sweep a second, and no timer per lease (A3.7).
export class DueIndex {
  /** By key: one entry each, however often it is put off. */
  readonly #dates = new Map<string, number>();
  readonly #seconds = new Map<number, Set<string>>();
  #swept: number;

  constructor(now: number) {
    this.#swept = Math.floor(now / 1_000) - 1;
  }

  get size(): number {
    return this.#dates.size;
  }

  /** The key is due at this time (ms) or a little later, or at an earlier date that it has already. When it is due, add its next date. */
  add(key: string, at: number): void {
    const second = Math.max(Math.ceil(at / 1_000), this.#swept + 1);
    const known = this.#dates.get(key);
    if (known !== undefined) {
      if (known <= second) return;
      this.#drop(key, known);
    }
    this.#dates.set(key, second);
    const keys = this.#seconds.get(second);
    if (keys === undefined) this.#seconds.set(second, new Set([key]));
    else keys.add(key);
  }

  /** Removes and returns all keys that are due. */
  due(now: number): string[] {
    const last = Math.floor(now / 1_000);
    const result: string[] = [];
    if (last - this.#swept > this.#seconds.size) {
      for (const second of [...this.#seconds.keys()].filter((key) => key <= last)) result.push(...this.#remove(second));
    } else {
      for (let second = this.#swept + 1; second <= last; second++) result.push(...this.#remove(second));
    }
    // It may move backwards: a clock that was set back counts from where it is.
    this.#swept = last;
    return result;
  }

  #remove(second: number): Iterable<string> {
    const keys = this.#seconds.get(second) ?? [];
    this.#seconds.delete(second);
    for (const key of keys) this.#dates.delete(key);
    return keys;
  }

  #drop(key: string, second: number): void {
    const keys = this.#seconds.get(second);
    keys?.delete(key);
    if (keys?.size === 0) this.#seconds.delete(second);
  }
}
