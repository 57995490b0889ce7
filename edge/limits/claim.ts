// Whose share of the edge's pools a request takes (ARCHITECTURE §4 "Fair shares").

import type { ClientIdentity } from "../../shared/core-api.ts";
import { NOBODYS, requesterOf } from "../../shared/shares/requester.ts";
import type { Claim } from "../../shared/shares/standing.ts";
import { networkOf } from "./client-address.ts";

/**
 * The claim of a client, else of an address (`clientAddress`). Who owns a network of IPv6 has any number of addresses, so its /48 is the
 * requester, and the /64 what the requester's share is parted among.
 */
export function claimOf(client: ClientIdentity | undefined, address: string | undefined): Claim {
  if (client !== undefined) return claim(requesterOf({ client }));
  if (address === undefined) return NOBODYS;
  const network = networkOf(address);
  return network === undefined
    ? claim(requesterOf({ requester: address }))
    : claim(requesterOf({ requester: network }), address);
}

function claim(requester: string, host = ""): Claim {
  return { requester, host, standing: "new" };
}
