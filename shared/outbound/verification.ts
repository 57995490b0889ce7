// Verification of intent (§5.3): does the callback want this? The edge asks. If no edge brings a result (A3.6), the core asks,
// with the same function.

import { type AskedIntent, verificationUrl } from "./callback-query.ts";
import { parseRetryAfter } from "../retry-after.ts";
import type { VerificationOutcome } from "../core-api.ts";
import { NO_ADDRESS } from "./socket-reason.ts";
import type { Outbound, OutboundAnswer, OutboundRequest } from "./outbound.ts";
import type { SignatureMethod } from "../signature-methods.ts";
import { createPing } from "./verification-ping.ts";

export interface VerifiableIntent extends AskedIntent {
  /** Signs a ping; subscribe only. */
  readonly secret?: string;
  /** How a ping is signed; absent: as the hub does by default. */
  readonly signature?: SignatureMethod;
}

/**
 * VERIFICATION: how a subscribe is verified. An unsubscribe is always verified by challenge: it brings no secret to sign with.
 */
export type VerificationMethod = { readonly by: "challenge" } | {
  readonly by: "ping";
  readonly signature: SignatureMethod;
};

export interface VerificationPorts {
  readonly outbound: Outbound;
  /** Who asked for it, for the shares of look-ups. */
  readonly requester?: string;
  /** Default: by challenge. */
  readonly method?: VerificationMethod;
  /** Monotonic ms. */
  readonly now: () => number;
  /** ms since 1970: the time in a ping, and what a date in Retry-After is compared with. */
  readonly clock: () => number;
  /** A fresh challenge each time: `createChallenge` of shared/random.ts. */
  readonly challenge: () => string;
  /** Resolves after `ms`, or as soon as `signal` aborts. */
  readonly pause: (ms: number, signal?: AbortSignal) => Promise<void>;
  /** Default: each try at once. */
  readonly inTurn?: InTurn;
  /** The last try has ended so long after the call, ms. Default 60 s. */
  readonly withinMs?: number;
  readonly signal?: AbortSignal;
}

/** Runs one try when there is a place for it; undefined if there is none within `waitMs`, or `signal` fired. `tries` counts from 1. */
export type InTurn = <T>(
  ask: () => Promise<T>,
  turn: { readonly tries: number; readonly waitMs: number },
) => Promise<T | undefined>;

export type Verification =
  | {
    readonly kind: "result";
    readonly verified: boolean;
    /** Absent if verified. */
    readonly outcome?: VerificationOutcome;
    /** Why not, in words that the subscriber may read. Absent if verified. */
    readonly reason?: string;
    /** `now()` when the GET that decided was sent: the lease counts from there (A3.7). */
    readonly challengedAt: number;
    /** 0: there was no place in time, and the callback was not asked. */
    readonly tries: number;
    /** The callback wants to be asked again, later than `withinMs` allows. Never true if verified. */
    readonly later: boolean;
    /** The guard refused the callback's address: nothing was sent. */
    readonly forbidden: boolean;
  }
  /** The signal fired first: nothing is known, and nothing may be reported. */
  | { readonly kind: "aborted" };

const PAUSES_MS = [1_000, 4_000];
const TRY_MS = 10_000;
const WITHIN_MS = 60_000;
/** What a try has at least. No pause ends later than this before the end. */
const LAST_TRY_MS = 5_000;
/** Room for the page of a 5xx, so that the hub sees its status; the challenge itself is 43 bytes. */
const MAX_ANSWER_BYTES = 65_536;
/** The first try starts so long before the end at the latest, ms: it has its whole time, and a little is left to report what came of it. */
const FIRST_TRY_MS = 15_000;

/** What the subscriber reads where the callback was never asked. */
export const NOT_ASKED = "the hub could not ask in time, as too much of this requester was waiting";

/** Asks the callback, at most three times (WIRE §2). Never rejects. */
export async function verifyIntent(intent: VerifiableIntent, ports: VerificationPorts): Promise<Verification> {
  const { now, pause, signal, inTurn = (ask) => ask(), withinMs = WITHIN_MS } = ports;
  const endsAt = now() + withinMs;
  let last: Verification = notAsked(now());
  for (let tries = 1;; tries++) {
    const waitMs = Math.max(0, endsAt - (tries === 1 ? FIRST_TRY_MS : LAST_TRY_MS) - now());
    const tried = await inTurn(() => ask(intent, ports, endsAt), { tries, waitMs });
    // Without a place for another try, what the try before it brought is the result.
    if (tried === undefined) return signal?.aborted === true ? { kind: "aborted" } : last;
    const { answer, challenge, challengedAt } = tried;
    if (answer.kind === "failed" && answer.code === "aborted") return { kind: "aborted" };
    const { reason, retry, outcome } = judge(answer, byPing(intent, ports.method) === undefined ? challenge : null);
    const result = { kind: "result", challengedAt, tries } as const;
    if (reason === null) return { ...result, verified: true, later: false, forbidden: false };
    const askedMs = retry ? retryAfterMs(answer, ports.clock()) : 0;
    const pauseMs = PAUSES_MS[tries - 1];
    const leftMs = endsAt - LAST_TRY_MS - now();
    if (!retry || pauseMs === undefined || pauseMs > leftMs) {
      const forbidden = answer.kind === "failed" && answer.code === "forbidden";
      // A name without an address takes as long: how names resolve inside this network is not told by the time either (WIRE §7).
      if (forbidden) { for (const ms of PAUSES_MS) await pause(ms, signal); }
      if (signal?.aborted === true) return { kind: "aborted" };
      return { ...result, verified: false, outcome, reason, later: askedMs > Math.max(0, leftMs), forbidden };
    }
    last = { ...result, verified: false, outcome, reason, later: askedMs > leftMs, forbidden: false };
    // A callback that asks for more time than there is gets what there is.
    await pause(Math.min(Math.max(pauseMs, askedMs), leftMs), signal);
    if (signal?.aborted === true) return { kind: "aborted" };
  }
}

function notAsked(challengedAt: number): Verification {
  const why = { verified: false, outcome: "failed", reason: NOT_ASKED } as const;
  return { kind: "result", challengedAt, tries: 0, later: false, forbidden: false, ...why };
}

interface Try {
  readonly answer: OutboundAnswer;
  readonly challenge: string;
  readonly challengedAt: number;
}

async function ask(intent: VerifiableIntent, ports: VerificationPorts, endsAt: number): Promise<Try> {
  const challenge = ports.challenge();
  const challengedAt = ports.now();
  const answer = await ports.outbound.call({
    path: "verification",
    ...await question(intent, challenge, ports),
    deadlineMs: Math.min(TRY_MS, Math.max(LAST_TRY_MS, endsAt - challengedAt)),
    maxBytes: MAX_ANSWER_BYTES,
    requester: ports.requester,
    ...(ports.signal === undefined ? {} : { signal: ports.signal }),
  });
  return { answer, challenge, challengedAt };
}

function byPing({ mode }: VerifiableIntent, method: VerificationMethod | undefined) {
  return method?.by === "ping" && mode === "subscribe" ? method : undefined;
}

async function question(
  intent: VerifiableIntent,
  challenge: string,
  { method, clock }: VerificationPorts,
): Promise<Pick<OutboundRequest, "method" | "url" | "headers" | "body">> {
  const ping = byPing(intent, method);
  if (ping === undefined) return { method: "GET", url: verificationUrl(intent, challenge) };
  return {
    method: "POST",
    url: intent.callback,
    ...await createPing(intent, { challenge, method: intent.signature ?? ping.signature, nowMs: clock() }),
  };
}

/** Answers that say "not now", and not "no": of a server that is busy, and of what stands in front of it and limits rates. */
const NOT_NOW: ReadonlySet<number> = new Set([408, 425, 429]);

interface Judgement {
  readonly reason: string | null;
  readonly retry: boolean;
  /** Where it was not confirmed. */
  readonly outcome: VerificationOutcome;
}

/**
 * `reason` null: confirmed. `retry`: no complete answer, a 5xx, or "not now"; any other answer is the subscriber's own no.
 * `challenge` is what the body must be; null: any 2xx confirms.
 */
function judge(answer: OutboundAnswer, challenge: string | null): Judgement {
  if (answer.kind === "failed") {
    const { code } = answer;
    // A body past 64 KiB was an answer, and not the challenge.
    const outcome = code === "too_large" ? "refused" : "failed";
    return { reason: whyNoAnswer(answer), retry: code === "timeout" || code === "network", outcome };
  }
  const { status, body } = answer;
  // §5.3.1: only a 2xx whose body is the challenge, exactly, confirms; redirects are not followed.
  const retry = status >= 500 || NOT_NOW.has(status);
  if (status < 200 || status > 299) return { reason: `status ${status}`, retry, outcome: "refused" };
  if (challenge === null || equals(body, challenge)) return { reason: null, retry: false, outcome: "refused" };
  return { reason: `status ${status}, but the body is not the challenge`, retry: false, outcome: "refused" };
}

/** What the subscriber may read of a call without a complete answer. */
function whyNoAnswer({ code, told }: Extract<OutboundAnswer, { kind: "failed" }>): string {
  switch (code) {
    case "timeout":
      return "no complete answer in time";
    case "too_large":
      return "an answer of more than 64 KiB";
    case "forbidden":
      return NO_ADDRESS;
    default:
      return told ?? "no complete answer";
  }
}

/** How long the callback wants not to be asked, ms; 0 if it does not say. */
function retryAfterMs(answer: OutboundAnswer, time: number): number {
  const text = answer.kind === "answer" ? answer.headers["retry-after"] : undefined;
  return Math.max(0, (text === undefined ? undefined : parseRetryAfter(text, time)) ?? time) - time;
}

function equals(body: Uint8Array, challenge: string): boolean {
  // A challenge is ASCII, so its characters are its bytes.
  if (body.length !== challenge.length) return false;
  return body.every((byte, index) => byte === challenge.charCodeAt(index));
}
