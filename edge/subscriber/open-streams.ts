// The streams that an edge has open, so that a stop can end them. Each has a signal of its own: a Worker's requests may not share one.

export class OpenStreams {
  readonly #ends = new Set<AbortController>();
  #over = false;

  /** A stream that begins; after `end` it is over at once. */
  add(ends: AbortController): void {
    if (this.#over) ends.abort();
    else this.#ends.add(ends);
  }

  /** A stream that has ended by itself. */
  remove(ends: AbortController): void {
    this.#ends.delete(ends);
  }

  /** Ends all of them, and those that begin later. */
  end(): void {
    this.#over = true;
    for (const ends of this.#ends) ends.abort();
    this.#ends.clear();
  }
}
