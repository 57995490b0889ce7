// What the answer to a delivery means (WIRE §3), and how long a lane pauses after a failure (WIRE §4).
// Whether the lane then retries, parks or gives up: core/delivery/sending/apply-outcome.ts.
import { parseRetryAfter } from "../../../shared/retry-after.ts";

export type Outcome =
  | { readonly kind: "delivered" }
  | { readonly kind: "gone" }
  /** To be sent again. `notBefore`: the time that Retry-After asked for, ms since 1970. `status` 0: there was no answer. */
  | { readonly kind: "retry"; readonly reason: string; readonly status: number; readonly notBefore?: number }
  /** Refused for what the message is: sent again a few times, then given up (a dead letter). */
  | { readonly kind: "refused"; readonly reason: string; readonly status: number };

/** The message is to be sent again, or given up. */
export type Failure = Extract<Outcome, { readonly kind: "retry" | "refused" }>;

const DELIVERED: Outcome = { kind: "delivered" };
const GONE: Outcome = { kind: "gone" };
/** RFC 6585 §5: 431 says that the headers are too long, nginx's own 494 too. They come with the message, as the body does. */
const REFUSED: ReadonlySet<number> = new Set([400, 413, 415, 422, 431, 494]);

/** The outcome of an answer with this status. `retryAfter` is the header's text, `now` is in ms since 1970. */
export function outcomeOf(status: number, retryAfter: string | undefined, now: number): Outcome {
  if (status >= 200 && status < 300) return DELIVERED;
  // §7: 410 means that the subscriber is gone.
  if (status === 410) return GONE;
  const reason = `answered ${status}`;
  if (REFUSED.has(status)) return { kind: "refused", reason, status };
  const notBefore = retryAfter === undefined ? undefined : parseRetryAfter(retryAfter, now);
  return notBefore === undefined ? { kind: "retry", reason, status } : { kind: "retry", reason, status, notBefore };
}

/** The outcome of an attempt without an answer. */
export function failureOf(reason: string): Failure {
  return { kind: "retry", reason, status: 0 };
}

export interface RetryPolicy {
  readonly minMs: number;
  readonly maxMs: number;
}

/** The time that a failure's `Retry-After` asks for, ms since 1970, at most the policy's longest pause away; 0 if it asks for none. */
export function askedTime(failure: Failure, { maxMs }: RetryPolicy, now: number): number {
  return failure.kind === "retry" ? Math.min(failure.notBefore ?? 0, now + maxMs) : 0;
}

/** Exponential backoff with full jitter, ms: within 0 … min(max, min·2ⁿ) after failure n = 0, 1, 2 …; `random` is in [0, 1). */
export function backoffMs(policy: RetryPolicy, failure: number, random: number): number {
  return random * Math.min(policy.maxMs, policy.minMs * 2 ** Math.min(failure, 40));
}
