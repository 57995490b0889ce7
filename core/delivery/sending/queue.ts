// First in, first out.

/** A queue's array is cut when it begins with more empty places than these. */
const MOST_EMPTY = 64;

/** An array's `shift` moves the whole rest of a long array, for each of 100,000 lanes that wait. */
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
}
