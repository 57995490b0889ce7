// Who a verified token speaks for: its claims, read once (WIRE §6).

import { type Seen, seenIn, TokenRefusal } from "./token-refusal.ts";

export interface Client {
  readonly issuer: string;
  /** `preferred_username`, or `sub`. */
  readonly userId: string;
  readonly roles: ReadonlySet<string>;
  readonly scopes: ReadonlySet<string>;
  /** ms since 1970; Infinity if introspection names no end. */
  readonly expiresAt: number;
  /** What its token says of itself, for log lines. */
  readonly seen?: Seen;
}

/** The payload of a JWT whose signature is right, or the answer of an introspection endpoint. */
export type Claims = Readonly<Record<string, unknown>>;

const MOST_USER_ID_CHARACTERS = 1_024;

/**
 * Reads the claims that policies are made of. `rolesClaim` is a claim's name, or a path of names with dots between them.
 * @throws {TokenRefusal} "claims" if they name nobody
 */
export function clientOf(claims: Claims, issuer: string, rolesClaim: string): Client {
  const userId = [claims["preferred_username"], claims["sub"]].find((name) => typeof name === "string" && name !== "");
  if (typeof userId !== "string") {
    throw new TokenRefusal(
      "claims",
      "The access token names no user: it has neither preferred_username nor sub.",
      { seen: seenIn(claims), expected: "a preferred_username or a sub" },
    );
  }
  if (userId.length > MOST_USER_ID_CHARACTERS || !userId.isWellFormed()) {
    throw new TokenRefusal("claims", "The access token's user id is too long or is not text.", {
      seen: seenIn(claims),
      expected: `a user id of at most ${MOST_USER_ID_CHARACTERS} characters`,
    });
  }
  return {
    issuer,
    userId,
    roles: wordsOf(claimAt(claims, rolesClaim)),
    // `scp` is what Microsoft's and Okta's tokens call it.
    scopes: new Set([...wordsOf(claims["scope"]), ...wordsOf(claims["scp"])]),
    expiresAt: typeof claims["exp"] === "number" ? claims["exp"] * 1_000 : Infinity,
    seen: seenIn(claims),
  };
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
