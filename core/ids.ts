// Ids are hashes, so that no name of the log is ever built from what a client sends (ARCHITECTURE §2).
import { createHash } from "node:crypto";
import { identityOf } from "../shared/identity.ts";

/** base64url(SHA-256(topic)), 43 characters; never begins with "~" (no base64url character is one). */
export function topicIdOf(topic: string): string {
  return createHash("sha256").update(identityOf(topic)).digest("base64url");
}

/** "msg_" and base64url(SHA-256(topic id NUL key NUL client)): the id of a message with an idempotency key (A4.4). */
export function keyedMessageIdOf(client: string, topicId: string, key: string): string {
  return `msg_${createHash("sha256").update(`${topicId}\0${key}\0${client}`).digest("base64url")}`;
}

/** base64url(SHA-256(topic NUL callback)), 43 characters. */
export function subscriptionIdOf(topic: string, callback: string): string {
  return createHash("sha256").update(`${identityOf(topic)}\0${identityOf(callback)}`).digest("base64url");
}
