// Randomness from the platform's own generator, which Node, Deno, Bun and workerd all have. It is taken in larger pieces, since
// asking for 16 bytes costs as much as asking for thousands.

import { base64UrlOf } from "./encoding.ts";

const POOL_BYTES = 4_096;
let pool = new Uint8Array(0);
let used = 0;

/** `count` random bytes (at most 4,096), given out once. */
export function randomBytes(count: number): Uint8Array {
  if (used + count > pool.length) {
    // A new pool each time: what was given out stays what it was.
    pool = crypto.getRandomValues(new Uint8Array(POOL_BYTES));
    used = 0;
  }
  return pool.subarray(used, used += count);
}

/** `bytes` random bytes as base64url without padding: 16 make 22 characters, 32 make 43. */
export function randomToken(bytes: number): string {
  return base64UrlOf(randomBytes(bytes));
}

/** A challenge: 256 random bits, 43 characters of `A–Z a–z 0–9 _ -` (§5.3, H35a). */
export function createChallenge(): string {
  return randomToken(32);
}
