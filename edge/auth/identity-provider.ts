// The token side of ACCESS=token, put together from settings: issuers with their keys, introspection, audience, policy.

import { getLogger } from "@logtape/logtape";
import type { JSONWebKeySet } from "jose";
import type { FlightsOptions } from "../../shared/flights.ts";
import type { HttpClient } from "../../shared/http-client.ts";
import type { Metrics } from "../../shared/metrics.ts";
import type { Settings } from "../../shared/settings/settings.ts";
import type { TokenAccess } from "./access.ts";
import { createVerifyAccessToken, type TokenMemory } from "./access-token.ts";
import { createIntrospect } from "./introspection.ts";
import { type AskIssuer, createAskIssuer } from "./issuer-client.ts";
import { createVerifyJwt } from "./jwt.ts";
import { createKeySet, type KeySetOptions } from "./key-set.ts";
import { discoverJwksUrl } from "./issuer-metadata.ts";
import type { LineLog } from "./log-text.ts";
import { lostAfter } from "../../shared/shares/fair-shares.ts";
import { POLICIES } from "./policies.ts";
import { createTokenBook } from "./token-book.ts";

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
  readonly memory: TokenMemory & { readonly lostAfterMs: number };
  /** How requests share what is asked of an issuer. */
  readonly flights?: FlightsOptions | undefined;
  /** Default: the edge's own. */
  readonly logger?: LineLog;
  /** What a fetch of keys, or a question about a token, may take, ms. Default 5 s. */
  readonly deadlineMs?: number;
}

/** Nothing is fetched before `fetchKeys` is called or a token comes: the hub can start while its identity provider is down. */
export function createTokenAccess(options: ProviderOptions): TokenAccess {
  const { settings, http, metrics, clock, now, memory, flights, deadlineMs } = options;
  const { issuer: issuers, introspectionUrl: url, introspectionClientId, introspectionClientSecret } = settings;
  const { logger = getLogger(["tidings", "edge", "auth"]) } = options;
  const ask = createAskIssuer(http);
  const keep = flights?.keep;
  if (settings.audience.includes("*")) {
    logger.warn(
      "TIDINGS_AUDIENCE=* accepts every token of {issuers}, for any audience",
      { issuers: [...issuers, url].filter(Boolean).join(", ") },
    );
  }
  const keySets = new Map(issuers.map((issuer, index) => {
    const load = createLoad(issuer, settings.jwksUrl[index], ask, now);
    return [issuer, createKeySet({ issuer, load, logger, now, deadlineMs, keep })] as const;
  }));
  const introspection = url === undefined ? {} : {
    introspect: createIntrospect({
      url,
      clientId: introspectionClientId ?? "",
      clientSecret: introspectionClientSecret ?? "",
      issuers,
      ask,
      logger,
      now,
      lost: lostAfter(memory.lostAfterMs, now),
      deadlineMs,
      keep,
    }),
  };
  const book = createTokenBook({ metrics, logger, now });
  const verify = createVerifyAccessToken({
    ...(issuers.length === 0 ? {} : { verifyJwt: createVerifyJwt({ issuers: keySets, clock }) }),
    ...introspection,
    audience: settings.audience,
    matchAzp: settings.policy === "mosip",
    rolesClaim: settings.rolesClaim,
    clock,
    book,
    memory,
    flights,
  });
  return {
    verify,
    policy: POLICIES[settings.policy],
    book,
    fetchKeys: async () => {
      await Promise.all(Array.from(keySets.values(), (keys) => keys.fetch()));
    },
  };
}

/**
 * The keys' URL is discovered anew each time, since it may change; the last known URL is used while discovery fails. All of it has one
 * deadline.
 */
function createLoad(
  issuer: string,
  fixed: string | undefined,
  ask: AskIssuer,
  now: () => number,
): KeySetOptions["load"] {
  let known = fixed;
  return async (withinMs) => {
    const until = now() + withinMs;
    const within = (ms: number): AskIssuer => (call) => ask({ ...call, withinMs: ms - now() });
    if (fixed === undefined) {
      // Half of the time is for the keys, where it is known where they are.
      const half = known === undefined ? until : until - withinMs / 2;
      known = await discoverJwksUrl(issuer, within(half)).catch((error: unknown) => {
        if (known === undefined) throw error;
        return known;
      });
    }
    const { keys } = await within(until)({ url: known! });
    if (!Array.isArray(keys)) throw new Error(`${known} has no "keys"`);
    return { keys } as JSONWebKeySet;
  };
}
