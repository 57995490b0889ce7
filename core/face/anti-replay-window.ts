// Notes which numbers of a session's requests were used. It knows the newest numbers exactly; all older ones count as used. It is
// IPsec's anti-replay window (RFC 4303 §3.4.3): its memory does not grow with the session's age.

const BITS = 65_536;

export class AntiReplayWindow {
  readonly #words = new Uint32Array(BITS / 32);
  #newest = 0;

  /** Whether this number may still be used. */
  isFresh(number: number): boolean {
    if (number > this.#newest) return true;
    if (number <= this.#newest - BITS) return false;
    return (this.#words[wordOf(number)]! & maskOf(number)) === 0;
  }

  /** Marks the number as used. */
  use(number: number): void {
    // A jump ahead clears the numbers that it passes, at most the whole window.
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
