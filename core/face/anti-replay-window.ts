// Which numbers of a session's requests were used: the newest ones exactly, everything older counts as used. As in IPsec
// (RFC 4303 §3.4.3), so that memory is the same however long a session lives.

const BITS = 65_536;

export class ReplayWindow {
  readonly #words = new Uint32Array(BITS / 32);
  #newest = 0;

  /** Whether this number may still be used. */
  isFresh(number: number): boolean {
    if (number > this.#newest) return true;
    if (number <= this.#newest - BITS) return false;
    return (this.#words[wordOf(number)]! & maskOf(number)) === 0;
  }

  /** Uses it. */
  use(number: number): void {
    // A jump clears what it passes; beyond the whole window that is everything.
    for (let at = Math.max(this.#newest + 1, number - BITS + 1); at <= number; at++) {
      this.#words[wordOf(at)]! &= ~maskOf(at);
    }
    if (number > this.#newest) this.#newest = number;
    this.#words[wordOf(number)]! |= maskOf(number);
  }
}

function wordOf(number: number): number {
  return (number % BITS) >>> 5;
}

function maskOf(number: number): number {
  return 1 << (number & 31);
}
