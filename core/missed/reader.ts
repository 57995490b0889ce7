// Whose share of the core's reading a request takes (ARCHITECTURE §4 "Fair shares").
import type { Caller, TextSigner } from "../../shared/core-api.ts";
import { requesterOf, whoAsks } from "../../shared/shares/requester.ts";
import type { Claim } from "../../shared/shares/standing.ts";
import type { KnownSubscription } from "../requests/admission.ts";

/**
 * A token's client; for a signature who made the subscription, since only its owner can sign; for anyone the address that asks. Within it
 * the subscriptions part the share.
 */
export function readerOf(caller: Caller | TextSigner, { id, record }: KnownSubscription): Claim {
  return { requester: requesterOfReader(caller, record), host: id, standing: "new" };
}

function requesterOfReader(caller: Caller | TextSigner, record: KnownSubscription["record"]): string {
  switch (caller.kind) {
    case "client":
    case "operator":
      return requesterOf({ client: caller });
    case "anyone":
      return requesterOf(caller);
    case "signature":
    case "text": {
      // A record of before names neither.
      return requesterOf({ ...whoAsks(caller), ...whoAsks(record) });
    }
  }
}
