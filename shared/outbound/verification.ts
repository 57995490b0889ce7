// Verification of intent (§5.3): does the callback want this? The edge asks. If no edge brings a result (A3.6), the core asks,
// with the same function.

import { type AskedIntent, verificationUrl } from "./callback-query.ts";
import type { Outbound, OutboundAnswer, OutboundRequest } from "./outbound.ts";
import { createPing, type SignatureMethod } from "./verification-ping.ts";

export interface VerifiableIntent extends AskedIntent {
  /** Signs a ping; subscribe only. */
  readonly secret?: string;
}

/**
 * VERIFICATION: how a subscribe is verified. An unsubscribe is always verified by challenge: it brings no secret to sign with.
 */
export type VerificationMethod = { readonly by: "challenge" } | {
  readonly by: "ping";
  readonly signature: SignatureMethod;
  /** ms since 1970. */
  readonly clock: () => number;
};

export interface VerificationPorts {
  readonly outbound: Outbound;
  /** Default: by challenge. */
  readonly method?: VerificationMethod;
  /** Monotonic ms. */
  readonly now: () => number;
  /** A fresh challenge each time: `createChallenge` of shared/random.ts. */
  readonly challenge: () => string;
  /** Resolves after `ms`, or as soon as `signal` aborts. */
  readonly pause: (ms: number, signal?: AbortSignal) => Promise<void>;
  readonly signal?: AbortSignal;
}

export type Verification =
  | {
    readonly kind: "result";
    readonly verified: boolean;
    /** Why not, for logs and people. Absent if verified. */
    readonly reason?: string;
    /** `now()` when the GET that decided was sent: the lease counts from there (A3.7). */
    readonly challengedAt: number;
    readonly tries: number;
    /** The guard refused the callback's address: nothing was sent. */
    readonly forbidden: boolean;
  }
  /** The signal fired first: nothing is known, and nothing may be reported. */
  | { readonly kind: "aborted" };

const PAUSES_MS = [1_000, 4_000];
const TRY_MS = 10_000;
const TOTAL_MS = 40_000;
/** Room for the page of a 5xx, so that the hub sees its status; the challenge itself is 43 bytes. */
const MAX_ANSWER_BYTES = 65_536;

/** Asks the callback, at most three times and 40 s in all (WIRE §2). Never rejects. */
export async function verifyIntent(intent: VerifiableIntent, ports: VerificationPorts): Promise<Verification> {
  const begun = ports.now();
  for (let tries = 1;; tries++) {
    const challenge = ports.challenge();
    const challengedAt = ports.now();
    const answer = await ports.outbound.call({
      path: "verification",
      ...await question(intent, challenge, ports.method),
      deadlineMs: Math.min(TRY_MS, TOTAL_MS - (challengedAt - begun)),
      maxBytes: MAX_ANSWER_BYTES,
      ...(ports.signal === undefined ? {} : { signal: ports.signal }),
    });
    if (answer.kind === "failed" && answer.code === "aborted") return { kind: "aborted" };
    const { reason, retry } = judge(answer, byPing(intent, ports.method) === undefined ? challenge : null);
    const pauseMs = PAUSES_MS[tries - 1];
    const late = pauseMs === undefined || ports.now() - begun + pauseMs >= TOTAL_MS;
    if (reason === null) return { kind: "result", verified: true, challengedAt, tries, forbidden: false };
    if (!retry || late) {
      const forbidden = answer.kind === "failed" && answer.code === "forbidden";
      return { kind: "result", verified: false, reason, challengedAt, tries, forbidden };
    }
    await ports.pause(pauseMs, ports.signal);
    if (ports.signal?.aborted === true) return { kind: "aborted" };
  }
}

function byPing({ mode }: VerifiableIntent, method: VerificationMethod | undefined) {
  return method?.by === "ping" && mode === "subscribe" ? method : undefined;
}

async function question(
  intent: VerifiableIntent,
  challenge: string,
  method: VerificationMethod | undefined,
): Promise<Pick<OutboundRequest, "method" | "url" | "headers" | "body">> {
  const ping = byPing(intent, method);
  if (ping === undefined) return { method: "GET", url: verificationUrl(intent, challenge) };
  const { signature, clock } = ping;
  return {
    method: "POST",
    url: intent.callback,
    ...await createPing(intent, { challenge, method: signature, nowMs: clock() }),
  };
}

/**
 * `reason` null: confirmed. `retry`: no complete answer, or a 5xx; any other answer is the subscriber's own no. `challenge` is
 * what the body must be; null: any 2xx confirms.
 */
function judge(answer: OutboundAnswer, challenge: string | null): { reason: string | null; retry: boolean } {
  if (answer.kind === "failed") {
    // A body past 64 KiB was an answer, and not the challenge.
    const retry = answer.code === "timeout" || answer.code === "network";
    return { reason: `${answer.code}: ${answer.reason}`, retry };
  }
  const { status, body } = answer;
  // §5.3.1: only a 2xx whose body is the challenge, exactly, confirms; redirects are not followed.
  if (status < 200 || status > 299) return { reason: `status ${status}`, retry: status >= 500 };
  if (challenge === null || equals(body, challenge)) return { reason: null, retry: false };
  return { reason: `status ${status}, but the body is not the challenge`, retry: false };
}

function equals(body: Uint8Array, challenge: string): boolean {
  // A challenge is ASCII, so its characters are its bytes.
  if (body.length !== challenge.length) return false;
  return body.every((byte, index) => byte === challenge.charCodeAt(index));
}
