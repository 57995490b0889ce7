// Limits the requests a second of each key: one token bucket a key, in bounded memory. The caller chooses the keys:
// addresses, clients.

export interface RateLimit {
  /**
   * Takes one request of this key, or one that counts as `requests`: 0 if it may go on, else the seconds after which it may. One that counts
   * as more than half a burst may begin when half a burst is there, and the key owes the rest: alone it is never refused.
   */
  take(key: string, requests?: number): number;
}

export interface RateLimitOptions {
  /** Sustained; 0: no limit. */
  readonly perSecond: number;
  /** Monotonic ms. */
  readonly now: () => number;
  /** Keys remembered at most; the longest unseen are forgotten first, and begin anew. */
  readonly mostKeys: number;
}

/** How many seconds' worth of requests may come at once. */
export const BURST_S = 10;

interface Bucket {
  tokens: number;
  at: number;
}

export function createRateLimit({ perSecond, now, mostKeys }: RateLimitOptions): RateLimit {
  if (perSecond === 0) return { take: () => 0 };
  const burst = perSecond * BURST_S;
  // Two generations instead of an order of use: a key that was not used since the last change goes with the older generation.
  let young = new Map<string, Bucket>();
  let old = new Map<string, Bucket>();

  function bucketOf(key: string, time: number): Bucket {
    let bucket = young.get(key);
    if (bucket !== undefined) return bucket;
    bucket = old.get(key) ?? { tokens: burst, at: time };
    if (young.size >= mostKeys / 2) [old, young] = [young, new Map()];
    young.set(key, bucket);
    return bucket;
  }

  return {
    take: (key, requests = 1) => {
      const time = now();
      const bucket = bucketOf(key, time);
      bucket.tokens = Math.min(burst, bucket.tokens + (time - bucket.at) / 1_000 * perSecond);
      bucket.at = time;
      const needed = Math.max(1, Math.min(requests, burst / 2));
      if (bucket.tokens < needed) return Math.max(1, Math.ceil((needed - bucket.tokens) / perSecond));
      bucket.tokens -= requests;
      return 0;
    },
  };
}
