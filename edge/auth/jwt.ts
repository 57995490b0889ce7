// Verifying a JWT (RFC 7519, RFC 8725) by its issuer's keys.

import { decodeJwt, decodeProtectedHeader, errors, jwtVerify } from "jose";
import type { JWTVerifyGetKey, JWTVerifyOptions } from "jose";
import { HubError } from "../answers/hub-error.ts";
import type { Claims } from "./client.ts";

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
  readonly issuers: ReadonlyMap<string, JWTVerifyGetKey>;
  /** ms since 1970. */
  readonly clock: () => number;
}

/** The claims of a JWT whose signature, issuer and times are right. @throws {HubError} "invalid_token", "unavailable" */
export type VerifyJwt = (token: string) => Promise<{ readonly issuer: string; readonly claims: Claims }>;

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
  return async (token) => {
    const issuer = issuerOf(token);
    const keys = issuer === undefined ? undefined : issuers.get(issuer);
    if (issuer === undefined || keys === undefined) {
      throw new HubError("invalid_token", "The access token is not from an issuer that this hub trusts.");
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
      return { issuer, claims: await verify(token, keys, options) };
    } catch (error) {
      throw refusalOf(error);
    }
  };
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

/** The issuer that a token claims. It only chooses the keys; it is compared again once the signature is verified. */
function issuerOf(token: string): string | undefined {
  try {
    return decodeJwt(token).iss;
  } catch {
    return undefined;
  }
}

/** The refusal for an error of jose: it names the claim or the rule that was broken, and never repeats the token's text. */
function refusalOf(error: unknown): HubError {
  if (error instanceof HubError) return error;
  const refused = (sentence: string) => new HubError("invalid_token", sentence, { cause: error });
  if (error instanceof errors.JWTExpired) return refused("The access token has expired; get a new one.");
  if (error instanceof errors.JWTClaimValidationFailed) {
    return refused(`The access token's claim ${error.claim} is missing or wrong.`);
  }
  if (error instanceof errors.JOSEAlgNotAllowed) {
    return refused(`The access token's algorithm is not one of ${ALGORITHMS.join(", ")}.`);
  }
  return refused("The access token's signature cannot be verified.");
}
