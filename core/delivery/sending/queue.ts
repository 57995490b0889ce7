// First in, first out, however long: an array's own `shift` moves all the rest of a long one, for each of 100,000 lanes that wait.
export class Queue<T> {
  /** Its first `#head` places are empty. */
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
    if (this.#head === this.#items.length || (this.#head > 64 && this.#head * 2 > this.#items.length)) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** As many of the first as there are, at most `count`. */
  take(count: number): T[] {
    const taken: T[] = [];
    for (let left = Math.min(count, this.size); left > 0; left--) taken.push(this.shift()!);
    return taken;
  }
}
