// Items by a small number that changes by little: the lowest first, and among equals the one that has waited longest.

export class Ranks<T> {
  readonly #ranks: Set<T>[] = [];
  readonly #rankOf = new Map<T, number>();

  get size(): number {
    return this.#rankOf.size;
  }
  has(item: T): boolean {
    return this.#rankOf.has(item);
  }

  /** Puts an item at its rank, behind its equals; an item that has this rank already keeps its place. */
  put(item: T, rank: number): void {
    const before = this.#rankOf.get(item);
    if (before === rank) return;
    if (before !== undefined) this.#ranks[before]!.delete(item);
    this.#rankOf.set(item, rank);
    while (this.#ranks.length <= rank) this.#ranks.push(new Set());
    this.#ranks[rank]!.add(item);
  }

  remove(item: T): void {
    const rank = this.#rankOf.get(item);
    if (rank === undefined) return;
    this.#rankOf.delete(item);
    this.#ranks[rank]!.delete(item);
    while (this.#ranks.at(-1)?.size === 0) this.#ranks.pop();
  }

  /** From the lowest. Items may be removed or put elsewhere while this runs. */
  *[Symbol.iterator](): Iterator<T> {
    for (let rank = 0; rank < this.#ranks.length; rank++) yield* this.#ranks[rank] ?? [];
  }
}
