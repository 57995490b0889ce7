// What an answer to a delivery means (WIRE §3), and how long to wait after one that failed (WIRE §4).

export type Outcome =
  | { readonly kind: "delivered" }
  | { readonly kind: "gone" }
  /** Not this time. `notBefore`: what Retry-After asked for, ms since 1970. */
  | { readonly kind: "retry"; readonly reason: string; readonly status: number; readonly notBefore?: number }
  /** Refused for what it is: retried a few times, then given up (a dead letter). */
  | { readonly kind: "refused"; readonly reason: string; readonly status: number };

/** The message is to be sent again, or given up. */
export type Failure = Extract<Outcome, { readonly kind: "retry" | "refused" }>;

const DELIVERED: Outcome = { kind: "delivered" };
const GONE: Outcome = { kind: "gone" };
const REFUSED: ReadonlySet<number> = new Set([400, 413, 415, 422]);

/** The outcome of an answer with this status; `retryAfter` is the header's text, times are ms since 1970. */
export function outcomeOf(status: number, retryAfter: string | undefined, now: number): Outcome {
  if (status >= 200 && status < 300) return DELIVERED;
  // §7: 410 means that the subscriber is gone.
  if (status === 410) return GONE;
  const reason = `answered ${status}`;
  if (REFUSED.has(status)) return { kind: "refused", reason, status };
  const notBefore = retryAfter === undefined ? undefined : parseRetryAfter(retryAfter, now);
  return notBefore === undefined ? { kind: "retry", reason, status } : { kind: "retry", reason, status, notBefore };
}

/** The outcome of an attempt that brought no complete answer. */
export function failureOf(reason: string): Failure {
  return { kind: "retry", reason, status: 0 };
}

const MOST_SECONDS = 1e9;

/** Seconds or an HTTP date, as ms since 1970; undefined if it is neither. */
export function parseRetryAfter(text: string, now: number): number | undefined {
  const trimmed = text.trim();
  if (/^\d+$/.test(trimmed)) return now + Math.min(Number(trimmed), MOST_SECONDS) * 1_000;
  // RFC 9110 §5.6.7: three forms, all in GMT, of which one does not say so.
  if (trimmed.length > 40 || !/^[A-Za-z]{3,9},? /.test(trimmed)) return undefined;
  const date = Date.parse(trimmed.endsWith("GMT") ? trimmed : `${trimmed} GMT`);
  return Number.isNaN(date) ? undefined : date;
}

export interface RetryPolicy {
  readonly minMs: number;
  readonly maxMs: number;
}

/** Exponential backoff with full jitter: within 0 … min(max, min·2ⁿ) after failure n = 0, 1, 2 …; `random` is in [0, 1). */
export function backoffMs(policy: RetryPolicy, failure: number, random: number): number {
  return random * Math.min(policy.maxMs, policy.minMs * 2 ** Math.min(failure, 40));
}
