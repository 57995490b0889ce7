// How the tiers know each other (ARCHITECTURE §5): an edge opens a session with a token signed by its own key; from then on
// each request carries a MAC under the session's key over everything in it that the core trusts.
import { CALLER_HEADER } from "./core-api.ts";

/** The audience of the token that opens one session: an EdDSA JWT with `iat`, `jti` and the `kid` of the edge's key. */
export const SESSION_AUDIENCE = "tidings-core";
export const SESSION_ALGORITHM = "EdDSA";
/** How far the clocks of edge and core may be apart, ms. */
export const CLOCK_SKEW_MS = 60_000;

/** What the core answers when it has opened a session. */
export interface SessionAnswer {
  readonly session: string;
  /** 32 random bytes, base64url. */
  readonly key: string;
  readonly expiresInMs: number;
  /** The core's public keys; secrets are sealed to the first one. */
  readonly jwks: { readonly keys: readonly object[] };
}

/**
 * The header of every request in a session: a `SessionTicket`, its parts joined by dots. It is one header, since each header
 * costs time.
 */
export const SESSION_HEADER = "x-tidings-session";

export interface SessionTicket {
  readonly session: string;
  /** When it was signed, ms since 1970 by the edge's clock. */
  readonly time: string;
  /** The edge counts the requests of a session from 1 on; a retry of an operation is a request of its own. */
  readonly number: string;
  /** base64url of the HMAC-SHA256. */
  readonly mac: string;
}

export function writeTicket({ session, time, number, mac }: SessionTicket): string {
  return `${session}.${time}.${number}.${mac}`;
}

/** The ticket in a header; undefined if there is none. */
export function readTicket(header: string | null): SessionTicket | undefined {
  const parts = /^([A-Za-z0-9_-]{22})\.([0-9]{1,15})\.([1-9][0-9]{0,14})\.([A-Za-z0-9_-]{43})$/.exec(header ?? "");
  if (parts === null) return undefined;
  const [, session, time, number, mac] = parts as unknown as [string, string, string, string, string];
  return { session, time, number, mac };
}

/** All that a core reads of a request's headers, in the order in which it is signed. */
const TRUSTED_HEADERS: readonly string[] = ["accept", CALLER_HEADER];

export interface SignedParts extends Omit<SessionTicket, "mac"> {
  readonly method: string;
  /** Path and query as sent. */
  readonly target: string;
  readonly header: (name: string) => string | null | undefined;
}

/** The text that the MAC covers before the body: one line a part, then an empty line. No part can contain a line break. */
export function sessionText({ method, target, session, time, number, header }: SignedParts): string {
  let text = `tidings-1\n${method}\n${target}\n${session}\n${time}\n${number}`;
  for (const name of TRUSTED_HEADERS) {
    const value = header(name);
    if (value !== null && value !== undefined) text += `\n${name}:${value}`;
  }
  return `${text}\n\n`;
}
