// Who asks for something, as the shares know it: the client of a token, else the address that the request came from.

import { clientKeyOf } from "../client-key.ts";
import type { Asking } from "../core-api.ts";
import { base64UrlOf } from "../encoding.ts";
import type { Claim } from "./standing.ts";

/** Who asks, taken out of an operation, an event or a record. */
export function whoAsks({ client, requester }: Asking): Asking {
  return { ...(client === undefined ? {} : { client }), ...(requester === undefined ? {} : { requester }) };
}

/** An address as operations and records name it (`Asking`): 16 of `A–Z a–z 0–9 _ -`. The log does not hold the address itself. */
export async function requesterIdOf(address: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(`tidings requester ${address}`));
  return base64UrlOf(new Uint8Array(hash).subarray(0, 12));
}

/** What operations and questions say of who asks where no token says it. `address` as the limits know it. */
export async function anonymousAt(address: string | undefined): Promise<Pick<Asking, "requester">> {
  return address === undefined ? {} : { requester: await requesterIdOf(address) };
}

/** Who asks, where nobody can tell. */
export const NOBODY = "";

/** The claim of a request where nobody can tell who asks. */
export const NOBODYS: Claim = { requester: NOBODY, host: "", standing: "new" };

/** The requester in a claim; `NOBODY` where neither is known. An edge names an address by itself or by its id, and never both in one pool. */
export function requesterOf({ client, requester }: Asking): string {
  if (client !== undefined) return `client ${clientKeyOf(client)}`;
  return requester === undefined ? NOBODY : `address ${requester}`;
}
