// Verifying a JWT (RFC 7519, RFC 8725) by its issuer's keys.

import { decodeJwt, decodeProtectedHeader, errors, jwtVerify } from "jose";
import type { JWTVerifyGetKey, JWTVerifyOptions } from "jose";
import type { Claim } from "../../shared/shares/standing.ts";
import { HubError } from "../answers/hub-error.ts";
import { expired, notYetValid } from "./audience.ts";
import type { Claims } from "./client.ts";
import type { KeySet } from "./key-set.ts";
import { seenIn, shown, TokenRefusal, type TokenRefusalOptions } from "./token-refusal.ts";

/** RFC 8725 §3.1: signatures by a private key only, so neither `none` nor an HMAC made with a public key. */
export const ALGORITHMS: readonly string[] = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
];

export interface JwtVerifierOptions {
  /** Issuers by their name, exactly as in `iss`, with their keys. */
  readonly issuers: ReadonlyMap<string, Pick<KeySet, "find" | "renew" | "unusable">>;
  /** ms since 1970. */
  readonly clock: () => number;
}

/** The claims of a JWT whose signature, issuer and times are right. @throws {TokenRefusal}; {HubError} "unavailable" */
export type VerifyJwt = (token: string, claim?: Claim) => Promise<{ readonly issuer: string; readonly claims: Claims }>;

/** Whether a token is a JWT by its form: three parts, the first a JSON header that names an algorithm. */
export function isJwt(token: string): boolean {
  if (token.split(".").length !== 3) return false;
  try {
    return typeof decodeProtectedHeader(token).alg === "string";
  } catch {
    return false;
  }
}

export function createVerifyJwt({ issuers, clock }: JwtVerifierOptions): VerifyJwt {
  const names = [...issuers.keys()].join(", ");
  return async (token, claim) => {
    const claims = claimsOf(token);
    // It only chooses the keys; it is compared again once the signature is verified.
    const issuer = claims?.["iss"];
    const keys = typeof issuer === "string" ? issuers.get(issuer) : undefined;
    if (typeof issuer !== "string" || keys === undefined) {
      throw new TokenRefusal(
        "issuer",
        `The access token is not from an issuer that this hub trusts: its iss is ${shown(issuer)}.`,
        { seen: seenIn(claims), expected: `TIDINGS_ISSUER (${names}) in iss` },
      );
    }
    const options: JWTVerifyOptions = {
      algorithms: [...ALGORITHMS],
      issuer,
      // A token without an end would be good for ever.
      requiredClaims: ["exp"],
      currentDate: new Date(clock()),
      // For nbf only: checkAudience() judges exp without it.
      clockTolerance: 5,
    };
    try {
      return { issuer, claims: await verifyByAll(token, keysFor(keys, claim), options) };
    } catch (error) {
      throw refusalOf(error, claims ?? {}, issuer) ?? keys.unusable(error);
    }
  };
}

/** The keys as this requester asks for them. */
function keysFor({ find, renew }: Pick<KeySet, "find" | "renew">, claim: Claim | undefined) {
  return {
    find: ((header, token) => find(header, token, claim)) satisfies JWTVerifyGetKey,
    renew: () => renew(claim),
  };
}

/** A token that does not name its key may be by one that the hub does not know yet. */
async function verifyByAll(
  token: string,
  keys: { readonly find: JWTVerifyGetKey; readonly renew: () => Promise<void> },
  options: JWTVerifyOptions,
): Promise<Claims> {
  try {
    return await verify(token, keys.find, options);
  } catch (error) {
    const mayBeNew = error instanceof errors.JWSSignatureVerificationFailed &&
      decodeProtectedHeader(token).kid === undefined;
    if (!mayBeNew) throw error;
    await keys.renew();
    return await verify(token, keys.find, options);
  }
}

async function verify(token: string, keys: JWTVerifyGetKey, options: JWTVerifyOptions): Promise<Claims> {
  try {
    return (await jwtVerify(token, keys, options)).payload;
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
    // No kid, and several keys that fit: any of them may have signed.
    for await (const key of error) {
      try {
        return (await jwtVerify(token, key, options)).payload;
      } catch (wrong) {
        if (!(wrong instanceof errors.JWSSignatureVerificationFailed)) throw wrong;
      }
    }
    throw new errors.JWSSignatureVerificationFailed();
  }
}

/** What a token claims, before anything of it is verified. */
function claimsOf(token: string): Claims | undefined {
  try {
    return decodeJwt(token);
  } catch {
    return undefined;
  }
}

/**
 * The refusal for an error of jose: it names the claim or the rule that was broken, and never repeats the token's text. Undefined
 * if the fault is not the token's.
 */
function refusalOf(error: unknown, claims: Claims, issuer: string): HubError | undefined {
  if (error instanceof HubError) return error;
  const seen = seenIn(claims);
  const refused = (
    reason: TokenRefusal["reason"],
    sentence: string,
    expected: NonNullable<TokenRefusalOptions["expected"]>,
  ) => new TokenRefusal(reason, sentence, { cause: error, seen, expected });
  if (error instanceof errors.JWTExpired) return expired(claims);
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === "nbf" && error.reason === "check_failed") return notYetValid(claims);
    return refused("claims", `The access token's claim ${error.claim} is missing or wrong.`, `a right ${error.claim}`);
  }
  const algorithms = ALGORITHMS.join(", ");
  if (error instanceof errors.JOSEAlgNotAllowed) {
    return refused("algorithm", `The access token's algorithm is not one of ${algorithms}.`, `one of ${algorithms}`);
  }
  const key = `a signature by one of the keys of ${issuer}`;
  if (error instanceof errors.JWKSNoMatchingKey) {
    return refused(
      "signature",
      "The access token's signature cannot be verified: its issuer has no such key, or has it no longer; get a new one.",
      key,
    );
  }
  // The rest of jose's errors are about the token's form and its signature.
  if (error instanceof errors.JOSEError) {
    return refused("signature", "The access token's signature cannot be verified.", key);
  }
  return undefined;
}
