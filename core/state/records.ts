// The records of the streams that a shard's writer fills: the consolidated state (a record per topic, and one per subscription), positions
// of lanes, and dead letters. Compacted streams and the replica keep them.
import type { Asking, ClientIdentity, VerificationOutcome } from "../../shared/core-api.ts";
import type { SignatureMethod } from "../../shared/signature-methods.ts";
import type { IntentEvent } from "./events.ts";
import { textOf } from "../log/log.ts";

/** Ids of operations folded lately, with their times, so that a retry changes nothing (A3.8). */
export type RecentOperations = readonly (readonly [id: string, time: number])[];

export interface TopicRecord {
  /** The topic as it was first registered. */
  readonly topic: string;
  /** The `events` offset of the last change. */
  readonly version: number;
  /** The topic was registered at this offset of its `messages` partition: it has no message before it. */
  readonly start: number;
  /** When it was deregistered, ms; a record that has it is a tombstone. */
  readonly endedAt?: number;
  /** The client that registered it; none: the anonymous client. */
  readonly client?: ClientIdentity;
  readonly operations: RecentOperations;
  /**
   * No register made this topic, and it was last needed about then, ms: it is forgotten when it is not needed for the retention
   * (core/state/topic-use.ts).
   */
  readonly usedAt?: number;
  /** A ping asked for a fetch that is not done yet. */
  readonly fetchOwed?: FetchOwed;
  /** What the last fetch brought, for conditional requests. */
  readonly fetched?: Fetched;
}

export interface FetchOwed {
  /** The `events` offset of the newest ping. */
  readonly ping: number;
  /** When the oldest waiting ping was made, ms. */
  readonly since: number;
  /** Who pinged, as shares know it (`requesterOf`): the first 8. Absent: nobody known. */
  readonly requesters?: readonly string[];
}

export interface Fetched {
  readonly etag?: string;
  readonly lastModified?: string;
  /** Hex SHA-256 of the body and its type: unchanged bytes are not delivered again. */
  readonly sha256: string;
  /** The last fetch took long, or failed. */
  readonly slow?: true;
}

/** An accepted intent that waits for its result. `time`: when it was accepted, ms. */
export type PendingIntent = Omit<IntentEvent, "type" | "denied"> & { readonly offset: number };

/** `pending`: never verified yet. WIRE §5 shows the others; its `parked` is a state of the lane, not of the subscription. */
export type SubscriptionPhase =
  | "pending"
  | "active"
  | "expired"
  | "unsubscribed"
  | "gone"
  | "revoked"
  | "deregistered";

/** Whether the subscription was verified and has not ended; its lease may be over. */
export function isLive(phase: SubscriptionPhase): phase is "active" | "expired" {
  return phase === "active" || phase === "expired";
}

export interface SubscriptionRecord {
  /** Topic and callback as the subscriber spelled them in the intent that was verified last. */
  readonly topic: string;
  readonly callback: string;
  readonly phase: SubscriptionPhase;
  readonly version: number;
  /** A life lasts from the verified intent that began it to its end; it is named by that intent's offset. */
  readonly life: number;
  /** Where this life begins in the topic's `messages` partition. */
  readonly start: number;
  /** The offset of the newest intent that verified, -1 if none has. */
  readonly verified: number;
  readonly expiresAt: number;
  /** Sealed (ARCHITECTURE §5). */
  readonly secret?: string;
  /** How deliveries are signed; absent: as `SIGNATURE` says. */
  readonly signature?: SignatureMethod;
  /** The client of the intent that was verified last; none: the anonymous client, whose address `requester` names. */
  readonly client?: ClientIdentity;
  readonly requester?: string;
  readonly concurrency: number;
  readonly endedAt?: number;
  /**
   * The end of the `messages` partition at the last unsubscribe, or the lane's position at a 410. A later life gets nothing before it
   * (ARCHITECTURE §6.4).
   */
  readonly unsubscribedAt?: number;
  /** In log order; how many, `placeFor` says. */
  readonly pending: readonly PendingIntent[];
  /** The last verification, if it failed; kept for a day. */
  readonly lastVerification?: FailedVerification;
  /** A denied notice is owed (§5.2), to the callback of the record or of the refused intent. */
  readonly notice?: Notice;
  readonly operations: RecentOperations;
  /** Resumes and replays that act once: id, the time until which a copy changes nothing, ms, and a replay's signature (A3.8). */
  readonly requests?: readonly (readonly [id: string, until: number, signature?: string])[];
  readonly acks?: SignedAcks;
  /** Replays that are owed, in the order of the requests; at most 64. */
  readonly replays?: readonly Replay[];
}

/** The signed acks that have acted lately (A3.8). Times are those of their signatures, s since 1970. */
export interface SignedAcks {
  /** The newest by their times, at most 64. */
  readonly seen: readonly (readonly [signature: string, at: number])[];
  /** The newest time among those that `seen` had to forget. */
  readonly dropped?: number;
  /** Since the position went back, an ack signed then or before does not act. */
  readonly barred?: number;
}

export interface FailedVerification {
  /** When the result was appended, ms. */
  readonly at: number;
  readonly outcome: VerificationOutcome;
  readonly reason: string;
  /** Who asked, and the sealed secret of the subscribe that failed, if the pair had no live subscription: who may read this. */
  readonly by?: { readonly client?: ClientIdentity; readonly requester?: string; readonly secret?: string };
  /** The last ones of others who asked for the pair while nobody had it, the newest first; at most 3. */
  readonly others?: readonly Omit<FailedVerification, "others">[];
}

/** Dead letters that are still to be sent again: a range of offsets in the subscription's partition of `dead-letters`. */
export interface Replay {
  /** The first dead letter that was not tried yet. */
  readonly from: number;
  /** The range ends before this offset. */
  readonly end: number;
}

/** Names who asked for what was denied, too. */
export interface Notice extends Asking {
  readonly topic: string;
  readonly callback: string;
  readonly reason: string;
}

/** A lane's position, kept only while it is behind its shard's watermark (A4.3). */
export interface CursorRecord {
  readonly life: number;
  /** Everything before this offset is done. */
  readonly position: number;
  /** Offsets beyond `position` that are done too (concurrency above 1). */
  readonly beyond?: readonly number[];
  readonly gaps?: readonly { readonly from: number; readonly to: number }[];
  readonly health?: LaneHealth;
}

export interface LaneHealth {
  readonly parked?: boolean;
  /** Every attempt has failed since then, ms. */
  readonly failingSince: number;
  /** Attempts in a row that failed. */
  readonly failures: number;
  readonly lastError: string;
  /** The message that failed last, -1 if there is none; the next fields tell about it and its attempts. */
  readonly offset: number;
  readonly id?: string;
  readonly attempts: number;
  readonly refusals: number;
  /** Attempts that were answered with a status of 500 to 599, and those of them answered 500. */
  readonly answered5xx?: number;
  readonly answered500?: number;
  readonly firstAt: number;
}

/** A message that was given up, as `dead-letters` has it with the life of the subscription. */
export interface DeadLetter {
  /** The message's id. */
  readonly id: string;
  /** Where the message stands in `messages`. */
  readonly partition: number;
  readonly offset: number;
  readonly reason: string;
  /** The status of the last answer; 0 if there was none. */
  readonly status: number;
  readonly attempts: number;
  /** When the first attempt and the last one failed, ms since 1970. */
  readonly firstAt: number;
  readonly lastAt: number;
}

/** Key `~` of `topics`, `subscriptions` and `cursors`: how far the shard's owner is. */
export interface ShardProgress {
  /** The next `events` offset to fold. */
  readonly events: number;
  /** In `cursors` only: per partition of `messages`, the next offset not yet offered to the shard's lanes. */
  readonly watermarks?: readonly number[];
  /** In `cursors` only: the owner has stopped and writes nothing after this; the next owner need not wait (A3.3). */
  readonly released?: true;
  /** In `topics` only: ids of deregisters folded lately. */
  readonly operations?: RecentOperations;
}

export const SHARD_KEY = "~";
export const OWNER_KEY = "~owner";

export function encodeRecord(record: object): Uint8Array {
  return Buffer.from(JSON.stringify(record));
}

/** Records are our own, written by this code: they are parsed, not checked again. */
export function decodeRecord<T>(value: Uint8Array): T {
  return JSON.parse(textOf(value)) as T;
}
