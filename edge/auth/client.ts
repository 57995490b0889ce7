// Who a verified token speaks for: its claims, read once (WIRE §6).

import { type Seen, seenIn, TokenRefusal } from "./token-refusal.ts";

export interface Client {
  readonly issuer: string;
  /** The claim that names the client, and its value: together with the issuer they are its identity. */
  readonly claim: ClientClaim;
  readonly userId: string;
  /** `preferred_username`, which policies and settings name it by. Another client may have the same one. */
  readonly name?: string;
  readonly roles: ReadonlySet<string>;
  readonly scopes: ReadonlySet<string>;
  /** ms since 1970; Infinity if introspection names no end. */
  readonly expiresAt: number;
  /** When its issuer was asked about the token, ms since 1970; absent for a JWT, which nobody was asked about. */
  readonly askedAt?: number;
  /** What its token says of itself, for log lines. */
  readonly seen?: Seen;
}

/** The payload of a JWT whose signature is right, or the answer of an introspection endpoint. */
export type Claims = Readonly<Record<string, unknown>>;

/** The claims that may name a client; the first one that a token has does. */
export const CLIENT_CLAIMS = ["sub", "preferred_username", "client_id"] as const;
export type ClientClaim = typeof CLIENT_CLAIMS[number];

const MOST_USER_ID_CHARACTERS = 1_024;

export interface ClientRules {
  /** A claim's name, or a path of names with dots between them. */
  readonly rolesClaim: string;
  /** Whether a token without `sub` and `preferred_username` speaks for its `client_id`. */
  readonly byClientId?: boolean;
}

/**
 * Reads the claims that identity and policies are made of.
 * @throws {TokenRefusal} "claims" if they name nobody
 */
export function clientOf(claims: Claims, issuer: string, { rolesClaim, byClientId = false }: ClientRules): Client {
  const name = textAt(claims, "preferred_username");
  // No claim may spell the name that another one gives: the claim is part of the identity (WIRE §6).
  const claim = CLIENT_CLAIMS.find((one) => textAt(claims, one) !== undefined && (one !== "client_id" || byClientId));
  if (claim === undefined) {
    throw new TokenRefusal(
      "claims",
      "The access token names no user: it has neither sub nor preferred_username.",
      { seen: seenIn(claims), expected: "a sub or a preferred_username" },
    );
  }
  return {
    issuer,
    claim,
    userId: textAt(claims, claim)!,
    ...(name === undefined ? {} : { name }),
    roles: wordsOf(claimAt(claims, rolesClaim)),
    // `scp` is what Microsoft's and Okta's tokens call it.
    scopes: new Set([...wordsOf(claims["scope"]), ...wordsOf(claims["scp"])]),
    expiresAt: typeof claims["exp"] === "number" ? claims["exp"] * 1_000 : Infinity,
    seen: seenIn(claims),
  };
}

/** A claim that is a text; undefined if there is none. @throws {TokenRefusal} "claims" if it is too long to keep */
function textAt(claims: Claims, claim: ClientClaim): string | undefined {
  const text = claims[claim];
  if (typeof text !== "string" || text === "") return undefined;
  if (text.length > MOST_USER_ID_CHARACTERS || !text.isWellFormed()) {
    throw new TokenRefusal("claims", `The access token's ${claim} is too long or is not text.`, {
      seen: seenIn(claims),
      expected: `a ${claim} of at most ${MOST_USER_ID_CHARACTERS} characters`,
    });
  }
  return text;
}

/**
 * The claim at a path. A name may itself contain dots, as a URL or a client id does: at each step the longest name that is there
 * counts, and a shorter one if the rest of the path is not under it. Each claim on the way is looked at once.
 */
function claimAt(within: unknown, path: string): unknown {
  if (typeof within !== "object" || within === null) return undefined;
  for (let end = path.length; end > 0; end = path.lastIndexOf(".", end - 1)) {
    const name = path.slice(0, end);
    if (!Object.hasOwn(within, name)) continue;
    const claim = (within as Claims)[name];
    const found = end === path.length ? claim : claimAt(claim, path.slice(end + 1));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A list of words, or one text with spaces between them; anything else grants nothing. */
function wordsOf(claim: unknown): ReadonlySet<string> {
  const words: readonly unknown[] = typeof claim === "string" ? claim.split(" ") : Array.isArray(claim) ? claim : [];
  return new Set(words.filter((word): word is string => typeof word === "string" && word !== ""));
}
