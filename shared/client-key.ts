// A client as one text, for hashes and maps (WIRE §6): two clients never have the same one.

import type { ClientIdentity } from "./core-api.ts";

/**
 * "" for the anonymous client. The JSON of issuer, claim and user id; it has no NUL, so it is never the text of a client from before
 * claims were recorded: issuer NUL user id.
 */
export function clientKeyOf(client: ClientIdentity | undefined): string {
  if (client === undefined) return "";
  const { issuer, claim, userId } = client;
  return claim === undefined ? `${issuer}\0${userId}` : JSON.stringify([issuer, claim, userId]);
}

/** The client as it was recorded before claims were; undefined if no claim is known of it now. */
export function formerClientOf(client: ClientIdentity | undefined): ClientIdentity | undefined {
  if (client?.claim === undefined) return undefined;
  return { issuer: client.issuer, userId: client.name ?? client.userId };
}
