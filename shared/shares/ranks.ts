// Items by a number: the lowest first, and among equals the one that has waited longest. Large numbers, as of bytes, count as equal if
// they are within some per cent.

/** Numbers below this have a rank each. */
const EXACT_BELOW = 64;
/** Ranks for each doubling above. */
const STEPS = 16;

function rankOf(amount: number): number {
  return amount < EXACT_BELOW ? amount : EXACT_BELOW + Math.floor(STEPS * Math.log2(amount / EXACT_BELOW));
}

export class Ranks<T> {
  readonly #ranks: Set<T>[] = [];
  readonly #rankOf = new Map<T, number>();

  get size(): number {
    return this.#rankOf.size;
  }
  has(item: T): boolean {
    return this.#rankOf.has(item);
  }

  /** Puts an item behind its equals; an item that is among them already keeps its place. */
  put(item: T, amount: number): void {
    const rank = rankOf(amount);
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
