// Who a verified token speaks for: its claims, read once (WIRE §6).

import { HubError } from "../answers/hub-error.ts";

export interface Client {
  readonly issuer: string;
  /** `preferred_username`, or `sub`. */
  readonly userId: string;
  readonly roles: ReadonlySet<string>;
  readonly scopes: ReadonlySet<string>;
  /** ms since 1970; Infinity if introspection names no end. */
  readonly expiresAt: number;
}

/** The payload of a JWT whose signature is right, or the answer of an introspection endpoint. */
export type Claims = Readonly<Record<string, unknown>>;

const MOST_USER_ID_CHARACTERS = 1_024;

/**
 * Reads the claims that policies are made of. `rolesClaim` is a claim's name, or a path of names with dots between them.
 * @throws {HubError} "invalid_token" if they name nobody
 */
export function clientOf(claims: Claims, issuer: string, rolesClaim: string): Client {
  const userId = [claims["preferred_username"], claims["sub"]].find((name) => typeof name === "string" && name !== "");
  if (typeof userId !== "string") {
    throw new HubError("invalid_token", "The access token names no user: it has neither preferred_username nor sub.");
  }
  if (userId.length > MOST_USER_ID_CHARACTERS || !userId.isWellFormed()) {
    throw new HubError("invalid_token", "The access token's user id is too long or is not text.");
  }
  return {
    issuer,
    userId,
    roles: wordsOf(claimAt(claims, rolesClaim)),
    // `scp` is what Microsoft's and Okta's tokens call it.
    scopes: new Set([...wordsOf(claims["scope"]), ...wordsOf(claims["scp"])]),
    expiresAt: typeof claims["exp"] === "number" ? claims["exp"] * 1_000 : Infinity,
  };
}

function claimAt(claims: Claims, path: string): unknown {
  // A claim's name may itself contain dots, as a URL does.
  if (Object.hasOwn(claims, path)) return claims[path];
  let found: unknown = claims;
  for (const name of path.split(".")) {
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, name)) return undefined;
    found = (found as Claims)[name];
  }
  return found;
}

/** A list of words, or one text with spaces between them; anything else grants nothing. */
function wordsOf(claim: unknown): ReadonlySet<string> {
  const words: readonly unknown[] = typeof claim === "string" ? claim.split(" ") : Array.isArray(claim) ? claim : [];
  return new Set(words.filter((word): word is string => typeof word === "string" && word !== ""));
}
