// The consolidated state: one record a topic, one a subscription, kept in the compacted streams and in the replica.
import type { ClientIdentity } from "../../shared/core-api.ts";
import type { IntentEvent } from "./events.ts";

/** Ids of operations folded lately, with their times, so that a retry changes nothing (A3.8). */
export type RecentOperations = readonly (readonly [id: string, time: number])[];

export interface TopicRecord {
  /** As first registered. */
  readonly topic: string;
  /** The `events` offset of the last change. */
  readonly version: number;
  /** Nothing before this offset of its `messages` partition is this topic's: it was registered there. */
  readonly start: number;
  /** When it was deregistered, ms; a record that has it is a tombstone. */
  readonly endedAt?: number;
  /** Who made it; none: the anonymous client. */
  readonly client?: ClientIdentity;
  readonly operations: RecentOperations;
  /** A ping asked for a fetch that has not been made yet. */
  readonly fetchOwed?: FetchOwed;
  /** What the last fetch brought, for conditional requests. */
  readonly fetched?: Fetched;
}

export interface FetchOwed {
  /** The `events` offset of the newest ping. */
  readonly ping: number;
  /** When the oldest ping that waits was made, ms. */
  readonly since: number;
}

export interface Fetched {
  readonly etag?: string;
  readonly lastModified?: string;
  /** Hex SHA-256 of the body and its type: unchanged bytes are not delivered again. */
  readonly sha256: string;
}

/** An accepted intent that waits for its result; `time` is when it was accepted, ms. */
export type PendingIntent = Omit<IntentEvent, "type" | "denied"> & { readonly offset: number };

/** `pending`: never verified yet. The rest is what WIRE §5 shows (`parked` is a lane's, not the subscription's). */
export type SubscriptionPhase =
  | "pending"
  | "active"
  | "expired"
  | "unsubscribed"
  | "gone"
  | "revoked"
  | "deregistered";

export interface SubscriptionRecord {
  /** As the subscriber sent them with the intent that was verified last. */
  readonly topic: string;
  readonly callback: string;
  readonly phase: SubscriptionPhase;
  readonly version: number;
  /** The offset of the intent that created it: one life from its verified intent to its end. */
  readonly life: number;
  /** Where this life begins in the topic's `messages` partition. */
  readonly start: number;
  /** The offset of the newest intent that verified, -1 if none has. */
  readonly verified: number;
  readonly expiresAt: number;
  /** Sealed (ARCHITECTURE §5). */
  readonly secret?: string;
  /** Whose it is: the client of the intent that was verified last; none: the anonymous one. */
  readonly client?: ClientIdentity;
  readonly concurrency: number;
  readonly endedAt?: number;
  /** The end of the `messages` partition at the last unsubscribe, or where the lane stood at a 410: nothing before it is for a later life (§6.4). */
  readonly unsubscribedAt?: number;
  /** At most 4, in log order. */
  readonly pending: readonly PendingIntent[];
  /** A denied notice is owed (§5.2), to the callback of the record or of the refused intent. */
  readonly notice?: Notice;
  readonly operations: RecentOperations;
  /** Requests that act once: their ids, and until when a copy changes nothing, ms (A3.8). */
  readonly requests?: readonly (readonly [id: string, until: number])[];
  /** Replays that are owed, in the order in which they were asked for; at most 64. */
  readonly replays?: readonly Replay[];
}

/** Dead letters that are still to be sent again: places in the subscription's partition of `dead-letters`. */
export interface Replay {
  /** The first that was not tried yet. */
  readonly from: number;
  /** What was given up from here on is not meant. */
  readonly end: number;
}

export interface Notice {
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
  /** Since when every attempt failed, ms. */
  readonly failingSince: number;
  /** Attempts in a row that failed. */
  readonly failures: number;
  readonly lastError: string;
  /** The message that failed last, and how often. */
  readonly offset: number;
  readonly attempts: number;
  readonly refusals: number;
  readonly firstAt: number;
}

/** A message that was given up, as `dead-letters` has it with the life of the subscription. */
export interface DeadLetter {
  /** Of the message. */
  readonly id: string;
  /** Where the message stands in `messages`. */
  readonly partition: number;
  readonly offset: number;
  readonly reason: string;
  /** Of the last answer; 0 if there was none. */
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
  return JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString()) as T;
}
