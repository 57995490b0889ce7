// The places that a limit has: a request takes some, and gives them back when it is over. A Worker's runtime may drop a request without
// another word, so there a place is free again if nobody has given it back for long.

export interface PlacesOptions {
  readonly most: number;
  /** Monotonic ms. */
  readonly now: () => number;
  /** A request that has had its places for so long was dropped, ms. Infinity: requests are never dropped. */
  readonly lostAfterMs: number;
}

export class Places {
  readonly #options: PlacesOptions;
  /** Who has places, the longest first: how many, and since when. */
  readonly #taken = new Map<object, { readonly count: number; readonly at: number }>();
  #used = 0;

  constructor(options: PlacesOptions) {
    this.#options = options;
  }

  /** Takes so many places; undefined if there are fewer. The result gives them back, once. */
  take(count = 1): (() => void) | undefined {
    const { most, now } = this.#options;
    if (this.#used + count > most) this.#freeLost();
    if (this.#used + count > most) return undefined;
    const key = {};
    this.#taken.set(key, { count, at: now() });
    this.#used += count;
    return () => this.#giveBack(key);
  }

  #giveBack(key: object): void {
    this.#used -= this.#taken.get(key)?.count ?? 0;
    this.#taken.delete(key);
  }

  #freeLost(): void {
    const { now, lostAfterMs } = this.#options;
    const time = now();
    for (const [key, { at }] of this.#taken) {
      if (time - at < lostAfterMs) return;
      this.#giveBack(key);
    }
  }
}
