// The token side of ACCESS=token, put together from settings: issuers with their keys, introspection, audience, policy.

import { getLogger } from "@logtape/logtape";
import type { JSONWebKeySet } from "jose";
import type { FlightsOptions } from "../../shared/flights.ts";
import type { HttpClient } from "../../shared/http-client.ts";
import type { PlacesOptions } from "../../shared/places.ts";
import type { Metrics } from "../../shared/metrics.ts";
import type { Settings } from "../../shared/settings/settings.ts";
import type { TokenAccess } from "./access.ts";
import { createVerifyAccessToken, type TokenMemory } from "./access-token.ts";
import { createIntrospect } from "./introspection.ts";
import { type AskIssuer, createAskIssuer } from "./issuer-client.ts";
import { createVerifyJwt } from "./jwt.ts";
import { createKeySet } from "./key-set.ts";
import { discoverJwksUrl } from "./issuer-metadata.ts";
import { POLICIES } from "./policies.ts";

export interface ProviderOptions {
  readonly settings: Pick<
    Settings,
    | "issuer"
    | "jwksUrl"
    | "audience"
    | "policy"
    | "rolesClaim"
    | "introspectionUrl"
    | "introspectionClientId"
    | "introspectionClientSecret"
  >;
  readonly http: Pick<HttpClient, "stream">;
  readonly metrics: Metrics;
  /** ms since 1970. */
  readonly clock: () => number;
  /** Monotonic ms. */
  readonly now: () => number;
  /** How much memory the tokens that it remembers may take. */
  readonly memory: TokenMemory & Pick<PlacesOptions, "lostAfterMs">;
  /** How requests share what is asked of an issuer. */
  readonly flights?: FlightsOptions | undefined;
}

/** Nothing is fetched before the first token comes: the hub can start while its identity provider is down. */
export function createTokenAccess(
  { settings, http, metrics, clock, now, memory, flights }: ProviderOptions,
): TokenAccess {
  const { issuer: issuers, introspectionUrl: url, introspectionClientId, introspectionClientSecret } = settings;
  const ask = createAskIssuer(http);
  if (settings.audience.includes("*")) {
    getLogger(["tidings", "edge", "auth"]).warn(
      "TIDINGS_AUDIENCE=* accepts every token of {issuers}, for any audience",
      { issuers: [...issuers, url].filter(Boolean).join(", ") },
    );
  }
  const keySets = issuers.map((issuer, index) => {
    const load = createLoad(issuer, settings.jwksUrl[index], ask);
    return [issuer, createKeySet({ issuer, load, now, flights })] as const;
  });
  const introspection = url === undefined ? {} : {
    introspect: createIntrospect({
      url,
      clientId: introspectionClientId ?? "",
      clientSecret: introspectionClientSecret ?? "",
      issuers,
      ask,
      places: { now, lostAfterMs: memory.lostAfterMs },
    }),
  };
  const verify = createVerifyAccessToken({
    ...(issuers.length === 0 ? {} : { verifyJwt: createVerifyJwt({ issuers: new Map(keySets), clock }) }),
    ...introspection,
    audience: settings.audience,
    matchAzp: settings.policy === "mosip",
    rolesClaim: settings.rolesClaim,
    clock,
    metrics,
    memory,
    flights,
  });
  return { verify, policy: POLICIES[settings.policy] };
}

/** The keys' URL is discovered anew each time, since it may change; the last known URL is used while discovery fails. */
function createLoad(issuer: string, fixed: string | undefined, ask: AskIssuer): () => Promise<JSONWebKeySet> {
  let known = fixed;
  return async () => {
    if (fixed === undefined) {
      known = await discoverJwksUrl(issuer, ask).catch((error: unknown) => {
        if (known === undefined) throw error;
        return known;
      });
    }
    const { keys } = await ask({ url: known! });
    if (!Array.isArray(keys)) throw new Error(`${known} has no "keys"`);
    return { keys } as JSONWebKeySet;
  };
}
