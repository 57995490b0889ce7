// Attempts under way, by shard, and the wait for those of a shard that is let go of (A3.3).

export class UnderWay {
  readonly #counts = new Map<number, number>();
  /** Shards that are being released: nothing of theirs starts. */
  readonly #leaving = new Set<number>();
  #landed: (() => void)[] = [];

  departs(shard: number): void {
    this.#counts.set(shard, (this.#counts.get(shard) ?? 0) + 1);
  }

  lands(shard: number): void {
    const left = this.#counts.get(shard)! - 1;
    if (left > 0) this.#counts.set(shard, left);
    else this.#counts.delete(shard);
    if (this.#landed.length > 0) { for (const look of this.#landed.splice(0)) look(); }
  }

  isLeaving(shard: number): boolean {
    return this.#leaving.has(shard);
  }

  /** From now on nothing of this shard starts. Resolves when none of its attempts is under way, or at the deadline. */
  async hold(shard: number, deadlineMs: number): Promise<void> {
    this.#leaving.add(shard);
    await this.until(() => !this.#counts.has(shard), deadlineMs);
  }

  /** The shard is not here any more; it may come back. */
  forget(shard: number): void {
    this.#leaving.delete(shard);
  }

  /** Resolves when the test holds, asked whenever an attempt has landed, or at the deadline. */
  async until(test: () => boolean, deadlineMs: number): Promise<void> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      for (const look of this.#landed.splice(0)) look();
    }, deadlineMs);
    while (!late && !test()) await new Promise<void>((resolve) => this.#landed.push(resolve));
    clearTimeout(timer);
  }
}
