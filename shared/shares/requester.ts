// Who asks for something, as the shares know it: the client of a token, else the address that the request came from.

import type { ClientIdentity } from "../core-api.ts";

/** Who asks, where nobody can tell. */
export const NOBODY = "";

/** The requester of a client, or of an address (`addressRequester`); `NOBODY` without both. */
export function requesterOf(client: ClientIdentity | undefined, address: string | undefined): string {
  if (client !== undefined) return `client ${client.issuer}\0${client.userId}`;
  return address === undefined ? NOBODY : `address ${address}`;
}
