// Seeded chance: a seed and a name yield the same draws again. Chaos, the simulation and the fuzzers draw from it.

export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** The same seed and name yield the same numbers; another name yields others. */
  constructor(seed: number, name = "") {
    let hash = 0x811c9dc5 ^ seed;
    for (let index = 0; index < name.length; index++) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
    this.#a = hash | 0;
    this.#b = (hash ^ 0x9e3779b9) | 0;
    this.#c = Math.imul(seed, 0x85ebca6b) | 0;
    for (let round = 0; round < 12; round++) this.#next();
  }

  /** The generator sfc32: 32 bits a call. */
  #next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum | 0;
    return sum >>> 0;
  }

  /** In [0, 1). */
  readonly unit = (): number => this.#next() / 2 ** 32;

  /** A real number in [low, high). */
  between(low: number, high: number): number {
    return low + this.unit() * (high - low);
  }
  /** A whole number in [low, high]. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.unit() * (high - low + 1));
  }
  chance(probability: number): boolean {
    return this.unit() < probability;
  }
  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.unit() * items.length)]!;
  }
  /** A delay as networks and event loops have it: usually at most `usual`, rarely up to 40 times as long. */
  delay(usual: number): number {
    const unit = this.unit();
    if (unit < 0.9) return this.between(0.05, usual);
    return this.between(usual, usual * (unit < 0.99 ? 5 : 40));
  }
  /** A source of its own: the order in which several actors draw does not change what each of them gets. */
  fork(): Random {
    return new Random(this.integer(0, 2 ** 32 - 1));
  }
}
