// Why a token was refused: the reason by its name, the sentence for the client, and what an operator needs to see what is wrong.

import { HubError } from "../answers/hub-error.ts";

/** Why a request was refused for its token, or for want of one: a label of `tidings_tokens_total`. */
export type RefusalReason =
  | "missing"
  /** It is not a token, or not one that this hub takes. */
  | "malformed"
  /** A cookie's token from a web page. */
  | "cookie"
  | "issuer"
  | "audience"
  | "signature"
  | "algorithm"
  | "expired"
  | "not_yet_valid"
  /** Another claim is missing or wrong. */
  | "claims"
  | "not_active"
  /** The token is good, and the policy wants more. */
  | "role"
  | "scope"
  | "partner";

/** For whom a token says that it is, as JSON in ASCII of bounded length. Nothing of it need be true. */
export interface Seen {
  readonly iss: string;
  readonly aud: string;
  readonly azp: string;
}

export interface TokenRefusalOptions extends ErrorOptions {
  readonly seen?: Seen | undefined;
  /** What the hub takes instead, for its operator. */
  readonly expected?: string | undefined;
}

const CODES: Partial<Record<RefusalReason, "unauthorized" | "insufficient_scope">> = {
  missing: "unauthorized",
  role: "insufficient_scope",
  scope: "insufficient_scope",
  partner: "insufficient_scope",
};
const SUBJECT = /^The access token\b/;
const IN_COOKIE = /^The access token in the cookie\b/;

/** A refusal of which the token is the cause, and nothing else. Its sentence begins with "The access token" if there is one. */
export class TokenRefusal extends HubError {
  readonly reason: RefusalReason;
  readonly seen: Seen | undefined;
  readonly expected: string | undefined;
  constructor(reason: RefusalReason, message: string, options: TokenRefusalOptions = {}) {
    super(CODES[reason] ?? "invalid_token", message, options);
    this.name = "TokenRefusal";
    this.reason = reason;
    this.seen = options.seen;
    this.expected = options.expected;
  }

  /** The same refusal of a token that came in a cookie: its client may not know that it sends one. */
  inCookie(): TokenRefusal {
    const { reason, message, seen, expected } = this;
    if (IN_COOKIE.test(message)) return this;
    const told = message.replace(SUBJECT, "The access token in the cookie");
    return new TokenRefusal(reason, told, { seen, expected, cause: this });
  }

  /** The characters that it keeps. */
  get length(): number {
    const { message, seen } = this;
    return message.length + (seen === undefined ? 0 : seen.iss.length + seen.aud.length + seen.azp.length);
  }
}

const MOST_CHARACTERS = 100;
const MOST_SHOWN = 200;
const MOST_AUDIENCES = 5;

/** What the claims say, for a log line: a stranger may have written them. */
export function seenIn(claims: Readonly<Record<string, unknown>> | undefined): Seen {
  const { iss, aud, azp } = claims ?? {};
  return { iss: shown(iss), aud: shown(aud), azp: shown(azp) };
}

/** A claim as JSON in ASCII, at most 203 characters. Of what is neither text nor a list of texts it tells only the kind. */
export function shown(claim: unknown): string {
  if (claim === undefined) return "none";
  if (typeof claim === "string") return clipped(inAscii(claim), MOST_SHOWN);
  if (!Array.isArray(claim)) return claim === null ? "null" : `not text but ${typeof claim}`;
  const texts = claim.slice(0, MOST_AUDIENCES).map((one) => typeof one === "string" ? inAscii(one) : "...");
  return clipped(`[${texts.join(", ")}${claim.length > MOST_AUDIENCES ? ", ..." : ""}]`, MOST_SHOWN);
}

function inAscii(text: string): string {
  return JSON.stringify(clipped(text, MOST_CHARACTERS)).replace(/[^\x20-\x7e]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

function clipped(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most)}...` : text;
}
