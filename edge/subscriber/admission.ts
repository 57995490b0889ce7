// What all requests about one subscription have in common (WIRE §5): the edge finds out who asks, and applies that client's
// limit.

import type { Exchange } from "../../shared/serve.ts";
import { anonymousAt } from "../../shared/shares/requester.ts";
import { subscriberRefusalOf } from "../answers/answers.ts";
import type { Access, Asker } from "../auth/access.ts";
import type { ClientRoute, Limits } from "../limits/limits.ts";

/** A signature is over the exchange's target. */
export type Endpoint = (request: Request, exchange: Exchange) => Promise<Response>;

export interface AdmissionPorts {
  readonly access: Pick<Access, "callerOf">;
  readonly limits: Pick<Limits, "admitClient" | "addressOf" | "claimOf">;
}

/** Who asks about a subscription to `topic`; `body` is what a signature covers. @throws {HubError} */
export async function admit(
  { access, limits }: AdmissionPorts,
  { method, headers, url }: Request,
  exchange: Exchange,
  { topic, body, route }: { readonly topic: string; readonly body: Uint8Array; readonly route: ClientRoute },
): Promise<Asker> {
  const { target = url } = exchange;
  const asker = await access.callerOf({ method, target, headers, body }, topic, () => {
    return limits.claimOf({ headers }, exchange);
  });
  const { caller } = asker;
  // Only the core can tell whose signature it is; signed requests are limited by their address.
  if (caller.kind === "anyone" || caller.kind === "signature") {
    return { ...asker, caller: { ...caller, ...await anonymousAt(limits.addressOf({ headers }, exchange)) } };
  }
  limits.admitClient(caller, route);
  return asker;
}

/** The endpoint, with what it throws turned into an answer. */
export function answering(endpoint: Endpoint): Endpoint {
  return async (request, exchange) => {
    try {
      return await endpoint(request, exchange);
    } catch (error) {
      return subscriberRefusalOf(error);
    }
  };
}
