// From a token to its client: a JWT is verified by its signature, any other token by asking its issuer. The result is kept for
// a while, and requests that carry the same token at the same time share one verification.

import { Flights, type FlightsOptions } from "../../shared/flights.ts";
import type { Metrics } from "../../shared/metrics.ts";
import { HubError } from "../answers/hub-error.ts";
import { type AudienceRules, checkAudience } from "./audience.ts";
import { type Client, clientOf } from "./client.ts";
import type { Introspect } from "./introspection.ts";
import { isJwt, type VerifyJwt } from "./jwt.ts";
import { createTokenCache } from "./token-cache.ts";

/** How much memory the tokens that are remembered may take, bytes. */
export interface TokenMemory {
  readonly tokenBytes: number;
  readonly refusedTokenBytes: number;
}

export interface AccessTokenOptions extends AudienceRules {
  /** Undefined where no issuer is configured. */
  readonly verifyJwt?: VerifyJwt;
  /** Undefined where no introspection endpoint is configured. */
  readonly introspect?: Introspect;
  readonly rolesClaim: string;
  /** ms since 1970. */
  readonly clock: () => number;
  readonly metrics: Metrics;
  readonly memory: TokenMemory;
  /** How requests with the same token share one verification. */
  readonly flights?: FlightsOptions | undefined;
}

/** @throws {HubError} "invalid_token", "unavailable" */
export type VerifyAccessToken = (token: string) => Promise<Client>;

/** How long a verified token counts without being verified again, never past its end: a key or a token may be revoked. */
const JWT_KEPT_MS = 300_000;
const INTROSPECTED_KEPT_MS = 60_000;
/** How long the issuer is not asked again about a token that is not active. */
const REFUSED_KEPT_MS = 10_000;

export function createVerifyAccessToken(options: AccessTokenOptions): VerifyAccessToken {
  const { verifyJwt, introspect, rolesClaim, clock, metrics, memory } = options;
  const verified = createTokenCache<Client>(clock, memory.tokenBytes);
  const refused = createTokenCache<HubError>(clock, memory.refusedTokenBytes);
  const pending = new Flights<Client>(options.flights);
  const outcomes = metrics.counter("tidings_tokens_total", "Access tokens by what came of them", ["outcome"]);

  async function verify(token: string): Promise<Client> {
    const asJwt = verifyJwt !== undefined && isJwt(token);
    const look = asJwt ? verifyJwt : introspect;
    if (look === undefined) {
      throw new HubError("invalid_token", "The access token is not a JWT, and this hub accepts no other tokens.");
    }
    try {
      const { issuer, claims } = await look(token);
      checkAudience(claims, options, clock());
      const client = clientOf(claims, issuer, rolesClaim);
      const keptMs = asJwt ? JWT_KEPT_MS : INTROSPECTED_KEPT_MS;
      verified.set(token, client, Math.min(client.expiresAt, clock() + keptMs));
      return client;
    } catch (error) {
      // A JWT is cheap to verify again, and its keys may have come meanwhile.
      if (!asJwt && error instanceof HubError && error.code === "invalid_token") {
        refused.set(token, error, clock() + REFUSED_KEPT_MS);
      }
      throw error;
    }
  }

  return async (token) => {
    const known = verified.get(token);
    if (known !== undefined) {
      outcomes.inc({ outcome: "remembered" });
      return known;
    }
    try {
      const before = refused.get(token);
      if (before !== undefined) throw before;
      const client = await pending.join(token, () => verify(token));
      outcomes.inc({ outcome: "verified" });
      return client;
    } catch (error) {
      const away = error instanceof HubError && error.code === "unavailable";
      outcomes.inc({ outcome: away ? "unavailable" : "refused" });
      throw error;
    }
  };
}
