// Ids are hashes, so that no name of the log is ever built from what a client sends (ARCHITECTURE §2).
import { createHash } from "node:crypto";
import type { Asking, ClientIdentity } from "../../shared/core-api.ts";
import { identityOf } from "../../shared/identity.ts";

/** base64url(SHA-256(topic)), 43 characters; never begins with "~" (no base64url character is one). */
export function topicIdOf(topic: string): string {
  return createHash("sha256").update(identityOf(topic)).digest("base64url");
}

/**
 * Whether what was recorded is of the client that asks. All requests without a token are of the anonymous client. A record from before
 * claims were recorded is compared with what was recorded then (WIRE §6).
 */
export function isSameClient(recorded: ClientIdentity | undefined, asking: ClientIdentity | undefined): boolean {
  if (recorded === undefined || asking === undefined) return recorded === asking;
  if (recorded.issuer !== asking.issuer) return false;
  if (recorded.claim === undefined) return recorded.userId === (asking.name ?? asking.userId);
  return recorded.claim === asking.claim && recorded.userId === asking.userId;
}

/** A client as a record keeps it. */
export function recordedClient({ issuer, userId, claim }: ClientIdentity): ClientIdentity {
  return { issuer, userId, ...(claim === undefined ? {} : { claim }) };
}

/** Who asked, as a record keeps it. */
export function recordedAsking({ client, requester }: Asking): Asking {
  return {
    ...(client === undefined ? {} : { client: recordedClient(client) }),
    ...(requester === undefined ? {} : { requester }),
  };
}

/** An Idempotency-Key is remembered for at most this long, ms: that of a message (A4.4) and that of a replay (A3.8). */
export const KEYS_KEPT_MS = 86_400_000;

/** "msg_" and base64url(SHA-256(topic id NUL key NUL client)): the id of a message with an idempotency key (A4.4). */
export function keyedMessageIdOf(client: string, topicId: string, key: string): string {
  return `msg_${createHash("sha256").update(`${topicId}\0${key}\0${client}`).digest("base64url")}`;
}

/** base64url(SHA-256(topic NUL callback)), 43 characters. */
export function subscriptionIdOf(topic: string, callback: string): string {
  return createHash("sha256").update(`${identityOf(topic)}\0${identityOf(callback)}`).digest("base64url");
}

/**
 * Whether a record's key is another id than its spelling has: it was made when fewer spellings were one. Without a callback, of a
 * topic. Only a spelling that is not its own identity is hashed, so a million of the others cost little.
 */
export function hasOldId(key: string, topic: string, callback?: string): boolean {
  if (callback === undefined) return identityOf(topic) !== topic && key !== topicIdOf(topic);
  const isNormal = identityOf(topic) === topic && identityOf(callback) === callback;
  return !isNormal && key !== subscriptionIdOf(topic, callback);
}
