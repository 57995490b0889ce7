// Items by a number: the lowest first, and among equals the one that has waited longest. Large numbers, as of bytes, count as equal if
// they are within some per cent.

import { Line, type Link } from "./line.ts";

/** Numbers below this have a rank each. */
const EXACT_BELOW = 64;
/** Ranks for each doubling above. */
const STEPS = 16;

function rankOf(amount: number): number {
  return amount < EXACT_BELOW ? amount : EXACT_BELOW + Math.floor(STEPS * Math.log2(amount / EXACT_BELOW));
}

interface Ranked<T> {
  readonly rank: number;
  readonly link: Link<T>;
}

export class Ranks<T> {
  readonly #ranks: Line<T>[] = [];
  readonly #ranked = new Map<T, Ranked<T>>();

  get size(): number {
    return this.#ranked.size;
  }
  has(item: T): boolean {
    return this.#ranked.has(item);
  }

  /** Puts an item behind its equals; an item that is among them already keeps its place. */
  put(item: T, amount: number): void {
    const rank = rankOf(amount);
    const before = this.#ranked.get(item);
    if (before?.rank === rank) return;
    if (before !== undefined) this.#ranks[before.rank]!.remove(before.link);
    while (this.#ranks.length <= rank) this.#ranks.push(new Line());
    this.#ranked.set(item, { rank, link: this.#ranks[rank]!.add(item) });
  }

  remove(item: T): void {
    const ranked = this.#ranked.get(item);
    if (ranked === undefined) return;
    this.#ranked.delete(item);
    this.#ranks[ranked.rank]!.remove(ranked.link);
    while (this.#ranks.at(-1)?.isEmpty === true) this.#ranks.pop();
  }

  /** Shows the items from the lowest on until `visit` says true; whether it did. Items may be removed or put elsewhere meanwhile. */
  some(visit: (item: T) => boolean): boolean {
    for (let rank = 0; rank < this.#ranks.length; rank++) if (this.#ranks[rank]!.some(visit)) return true;
    return false;
  }
}
