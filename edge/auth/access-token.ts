// From a token to its client: a JWT is verified by its signature, any other token by asking its issuer. The result is kept for
// a while, and requests that carry the same token at the same time share one verification.

import { Flights, type FlightsOptions } from "../../shared/flights.ts";
import { NOBODYS } from "../../shared/shares/requester.ts";
import type { Claim } from "../../shared/shares/standing.ts";
import { HubError } from "../answers/hub-error.ts";
import { type AudienceRules, checkAudience } from "./audience.ts";
import { type Client, clientOf } from "./client.ts";
import type { Introspect } from "./introspection.ts";
import { isJwt, type VerifyJwt } from "./jwt.ts";
import type { TokenBook } from "./token-book.ts";
import { createTokenCache } from "./token-cache.ts";
import { TokenRefusal } from "./token-refusal.ts";

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
  /** Counts what came of each token that was not refused. */
  readonly book: Pick<TokenBook, "count">;
  readonly memory: TokenMemory;
  /** How requests with the same token share one verification. */
  readonly flights?: FlightsOptions | undefined;
}

export interface Verification {
  /** Who sent the token. Default nobody knows. */
  readonly claim?: (() => Claim) | undefined;
  /** ms since 1970: an older answer of introspection does not count, except that of a question that is under way. Default any does. */
  readonly askedSince?: number;
}

/** @throws {TokenRefusal} if the token is bad; {HubError} "unavailable" if that is not known */
export type VerifyAccessToken = (token: string, verification?: Verification) => Promise<Client>;

/** How long a verified token counts without being verified again, never past its end: a key or a token may be revoked. */
const JWT_KEPT_MS = 300_000;
const INTROSPECTED_KEPT_MS = 60_000;
/** How long a request waits for what another one finds out about the same JWT, ms: its keys' provider may hang (key-set.ts). */
const JWT_PATIENCE_MS = 1_000;
/** How long the issuer is not asked again about a token that is not active. */
const REFUSED_KEPT_MS = 10_000;
/** How long it is known that a token was active: such ones have a share of their own of the questions to the issuer. */
const ACTIVE_KEPT_MS = 86_400_000;

export function createVerifyAccessToken(options: AccessTokenOptions): VerifyAccessToken {
  const { verifyJwt, introspect, rolesClaim, clock, book, memory } = options;
  const verified = createTokenCache<Client>(clock, memory.tokenBytes);
  const refused = createTokenCache<TokenRefusal>(clock, memory.refusedTokenBytes);
  const active = createTokenCache<true>(clock, memory.tokenBytes / 4);
  const introspections = new Flights<Client>(options.flights);
  const { patienceMs = JWT_PATIENCE_MS } = options.flights ?? {};
  const verifications = new Flights<Client>({
    ...options.flights,
    patienceMs: Math.min(patienceMs, JWT_PATIENCE_MS),
  });
  const isOwnJwt = (token: string) => verifyJwt !== undefined && isJwt(token);

  async function verify(token: string, claim: Claim): Promise<Client> {
    const asJwt = isOwnJwt(token);
    const look = asJwt ? verifyJwt : introspect;
    if (look === undefined) {
      throw new TokenRefusal("malformed", "The access token is not a JWT, and this hub accepts no other tokens.", {
        expected: "a JWT, since TIDINGS_INTROSPECTION_URL is not set",
      });
    }
    const askedAt = asJwt ? {} : { askedAt: clock() };
    try {
      const { issuer, claims } = await look(token, active.get(token) ? { ...claim, standing: "proven" } : claim);
      checkAudience(claims, options, clock());
      // A token that a client got for itself may have no sub in an answer of introspection; a JWT has one (RFC 9068 §2.2).
      const byClientId = !asJwt && claims["sub"] === undefined;
      const client = { ...clientOf(claims, issuer, { rolesClaim, byClientId }), ...askedAt };
      if (!asJwt) active.set(token, true, Math.min(client.expiresAt, clock() + ACTIVE_KEPT_MS));
      const keptMs = asJwt ? JWT_KEPT_MS : INTROSPECTED_KEPT_MS;
      verified.set(token, client, Math.min(client.expiresAt, clock() + keptMs));
      return client;
    } catch (error) {
      // A JWT is cheap to verify again, and its keys may have come meanwhile.
      if (!asJwt && error instanceof TokenRefusal) {
        verified.forget(token);
        active.forget(token);
        refused.set(token, error, clock() + REFUSED_KEPT_MS, error.length);
      }
      throw error;
    }
  }

  return async (token, { claim = () => NOBODYS, askedSince = -Infinity } = {}) => {
    const known = verified.get(token);
    if (known !== undefined && (known.askedAt ?? Infinity) >= askedSince) {
      book.count("remembered");
      return known;
    }
    try {
      const before = refused.get(token);
      if (before !== undefined) throw before;
      const pending = isOwnJwt(token) ? verifications : introspections;
      const client = await pending.join(token, () => verify(token, claim()));
      book.count("verified");
      return client;
    } catch (error) {
      if (error instanceof HubError && error.code === "unavailable") book.count("unavailable");
      throw error;
    }
  };
}
