// What the `events` stream carries: accepted operations from outside (ARCHITECTURE §2), as JSON.
import * as v from "valibot";
import type { Asking, ClientIdentity, VerificationOutcome } from "../../shared/core-api.ts";
import { parseHttpUrl } from "../../shared/http-url.ts";
import { SIGNATURE_METHODS, type SignatureMethod } from "../../shared/signature-methods.ts";
import { KEYS_KEPT_MS } from "./ids.ts";
import { textOf } from "../log/log.ts";

interface EventHead {
  /** The operation's id: a second copy of the operation changes nothing (A3.8). */
  readonly id: string;
  /** When the core appended it, ms since 1970. */
  readonly time: number;
}

export interface RegisterEvent extends EventHead {
  readonly type: "register";
  readonly topic: string;
  /** The end of the topic's `messages` partition at that time: `earliest` reaches back to here. */
  readonly end: number;
  /** The client that is to own it; none: the anonymous client. */
  readonly client?: ClientIdentity;
}
/** Appended to every partition of `events` (A3.9). */
export interface DeregisterEvent extends EventHead {
  readonly type: "deregister";
  readonly topic: string;
}
export interface IntentEvent extends EventHead {
  readonly type: "intent";
  readonly mode: "subscribe" | "unsubscribe";
  readonly topic: string;
  readonly callback: string;
  /** The end of the topic's `messages` partition before the intent was appended (A3.6). */
  readonly end: number;
  /** The offset that `hub.start` named, if the subscribe had one. */
  readonly start?: number;
  readonly leaseMs?: number;
  /** Sealed (ARCHITECTURE §5). */
  readonly secret?: string;
  /** How deliveries are signed; absent: as `SIGNATURE` says. */
  readonly signature?: SignatureMethod;
  /** Sealed as the secret is. */
  readonly sealedToken?: string;
  /** In clear: of events that were written before it was sealed. */
  readonly verifyToken?: string;
  readonly concurrency?: number;
  /** The client that asked; none: the anonymous client, whose address `requester` names. */
  readonly client?: ClientIdentity;
  readonly requester?: string;
  /** Its requester has the subscription, by its client, its address or its secret, as the core saw it before it appended this (A3.6). */
  readonly isOwn?: true;
  /** A policy marked it as verified, and AUTO_VERIFY lets that count: the fold decides (A3.6). */
  readonly marked?: true;
  /** Its edge cannot verify it: the owner does so at once (A3.6). */
  readonly unpinned?: true;
  /** The subscribe was refused by validation (§5.2): nothing is verified, a denied notice is owed. */
  readonly denied?: string;
}
export interface ResultEvent extends EventHead {
  readonly type: "result";
  readonly intent: string;
  readonly topic: string;
  readonly callback: string;
  readonly verified: boolean;
  /** Only if it was not verified: why, and the same in words that the subscriber may read, at most 200 characters. */
  readonly outcome?: VerificationOutcome;
  readonly reason?: string;
  /** When the challenge that was answered was sent, ms since 1970 by the core's clock: the lease counts from there (A3.7). */
  readonly challengedAt: number;
  /** Only of a verified unsubscribe: the end of the topic's `messages` partition. */
  readonly end?: number;
}
/** An operator ended a subscription. */
export interface RevokeEvent extends EventHead {
  readonly type: "revoke";
  readonly topic: string;
  readonly callback: string;
  readonly reason: string;
}
/** The signature that a request was admitted by: a second request with it changes nothing (A3.8). */
export interface Signed {
  /** A hash of the signature. */
  readonly id: string;
  /** X-Subscriber-Timestamp, s since 1970. */
  readonly at: number;
}
/** A pull consumer's commit (WIRE §5): everything before `next` is done. An ack backwards changes nothing. */
export interface AckEvent extends EventHead {
  readonly type: "ack";
  readonly topic: string;
  readonly callback: string;
  readonly next: number;
  readonly signed?: Signed;
}
/** The subscription is to be pushed to again, at once (WIRE §5): from this offset, or from its position. */
export interface ResumeEvent extends EventHead {
  readonly type: "resume";
  readonly topic: string;
  readonly callback: string;
  readonly from?: number;
  /** For how long a second event with this id changes nothing, ms. */
  readonly keptMs: number;
}
/** Dead letters are to be sent again (WIRE §5): those at [from, end) of the subscription's partition of `dead-letters`. */
export interface ReplayEvent extends EventHead {
  readonly type: "replay";
  readonly topic: string;
  readonly callback: string;
  readonly from: number;
  readonly end: number;
  /** For how long a second event with this id changes nothing, ms. */
  readonly keptMs: number;
  readonly signed?: Signed;
}
/** A topic changed and is to be fetched; its pinger is named as that of an intent. */
export interface PingEvent extends EventHead, Asking {
  readonly type: "ping";
  readonly topic: string;
}

export type TopicEvent = RegisterEvent | DeregisterEvent | PingEvent;
export type SubscriptionEvent = IntentEvent | ResultEvent | RevokeEvent | AckEvent | ResumeEvent | ReplayEvent;
export type HubEvent = TopicEvent | SubscriptionEvent;

/** A topic is hashed, shown and put into URLs, where a lone surrogate would throw. */
export const TOPIC_NAME = v.pipe(
  v.string(),
  v.minLength(1),
  v.maxLength(16_384),
  v.check((text) => text.isWellFormed(), "it has a lone surrogate"),
);
/** A callback that can be called. */
export const CALLBACK_URL = v.pipe(
  TOPIC_NAME,
  v.check(isCallable, "it is not an http or https URL that can be called"),
);
/** 10 years, the longest lease that can be set (WIRE §8), so that every expiry is a date. */
export const LEASE_MS = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(315_360_000_000));
export const CONCURRENCY = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(64));
export const SIGNATURE = v.picklist(SIGNATURE_METHODS);
export const VERIFY_TOKEN = v.pipe(v.string(), v.maxLength(4_096), v.check((text) => text.isWellFormed()));

const CLIENT_NAME = v.pipe(
  v.string(),
  v.minLength(1),
  v.maxLength(2_048),
  v.check((text) => text.isWellFormed()),
);
export const CLIENT = v.object({
  issuer: CLIENT_NAME,
  userId: CLIENT_NAME,
  claim: v.exactOptional(CLIENT_NAME),
  name: v.exactOptional(CLIENT_NAME),
});
/** `requesterIdOf`. */
export const REQUESTER = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{16}$/));

export const OUTCOME = v.picklist(["refused", "failed"]);

const DATE_MS = v.pipe(v.number(), v.minValue(-8e15), v.maxValue(8e15));
const OFFSET = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const REASON = v.pipe(v.string(), v.check((text) => text.isWellFormed()));
const head = { id: v.pipe(v.string(), v.minLength(1)), time: DATE_MS, topic: TOPIC_NAME };

const SIGNED = v.object({
  id: v.pipe(v.string(), v.minLength(1), v.maxLength(64)),
  at: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
});
const KEPT_MS = v.pipe(v.number(), v.minValue(0), v.maxValue(KEYS_KEPT_MS));

const EVENT = v.variant("type", [
  v.object({ type: v.literal("register"), ...head, end: OFFSET, client: v.exactOptional(CLIENT) }),
  v.object({ type: v.literal("deregister"), ...head }),
  v.object({
    type: v.literal("ping"),
    ...head,
    client: v.exactOptional(CLIENT),
    requester: v.exactOptional(REQUESTER),
  }),
  v.object({
    type: v.literal("intent"),
    ...head,
    mode: v.picklist(["subscribe", "unsubscribe"]),
    callback: CALLBACK_URL,
    end: OFFSET,
    start: v.exactOptional(OFFSET),
    leaseMs: v.exactOptional(LEASE_MS),
    secret: v.exactOptional(v.string()),
    signature: v.exactOptional(SIGNATURE),
    sealedToken: v.exactOptional(v.string()),
    verifyToken: v.exactOptional(VERIFY_TOKEN),
    concurrency: v.exactOptional(CONCURRENCY),
    client: v.exactOptional(CLIENT),
    requester: v.exactOptional(REQUESTER),
    isOwn: v.exactOptional(v.literal(true)),
    marked: v.exactOptional(v.literal(true)),
    unpinned: v.exactOptional(v.literal(true)),
    denied: v.exactOptional(REASON),
  }),
  v.object({
    type: v.literal("result"),
    ...head,
    intent: v.string(),
    callback: CALLBACK_URL,
    verified: v.boolean(),
    outcome: v.exactOptional(OUTCOME),
    reason: v.exactOptional(v.pipe(REASON, v.maxLength(200))),
    challengedAt: DATE_MS,
    end: v.exactOptional(OFFSET),
  }),
  v.object({ type: v.literal("revoke"), ...head, callback: CALLBACK_URL, reason: REASON }),
  v.object({ type: v.literal("ack"), ...head, callback: CALLBACK_URL, next: OFFSET, signed: v.exactOptional(SIGNED) }),
  v.object({
    type: v.literal("resume"),
    ...head,
    callback: CALLBACK_URL,
    from: v.exactOptional(OFFSET),
    keptMs: KEPT_MS,
  }),
  v.object({
    type: v.literal("replay"),
    ...head,
    callback: CALLBACK_URL,
    from: OFFSET,
    end: OFFSET,
    keptMs: KEPT_MS,
    signed: v.exactOptional(SIGNED),
  }),
]);

export function encodeEvent(event: HubEvent): Uint8Array {
  return Buffer.from(JSON.stringify(event));
}

/**
 * Decodes an event. Every decoded event can be folded, and its URLs can be called: nothing later checks them again (§6.6).
 * @throws {Error} if the bytes are not an event: the shard sets such a record aside
 */
export function decodeEvent(value: Uint8Array | null): HubEvent {
  if (value === null) throw new Error("an event without a value");
  const json: unknown = JSON.parse(textOf(value));
  const result = v.safeParse(EVENT, json);
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new Error(`not an event: its ${v.getDotPath(issue) ?? "value"} is wrong: ${issue.message}`);
}

function isCallable(url: string): boolean {
  try {
    parseHttpUrl(url);
    return true;
  } catch {
    return false;
  }
}
