// Where an access token may stand in a request (WIRE §6), and what several of them mean. Pure: nothing is verified here.

import { HubError } from "../answers/hub-error.ts";
import { TokenRefusal } from "./token-refusal.ts";

/** b64token, RFC 6750 §2.1. */
const TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/;
const JWT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;

export interface SentToken {
  readonly token: string;
  /** Only a cookie carries it. */
  readonly inCookie: boolean;
}

/**
 * The token of a request; undefined if there is none.
 * @throws {HubError} "invalid_request" if there are different ones; {TokenRefusal} "malformed", "cookie"
 */
export function accessTokenOf(headers: Headers): SentToken | undefined {
  const inHeader = fromAuthorization(headers.get("authorization"));
  const inCookie = fromCookie(headers.get("cookie"));
  const distinct = new Set([...inHeader, ...inCookie]);
  if (distinct.size > 1) {
    throw new HubError("invalid_request", "Authorization and Cookie carry different tokens; send one.");
  }
  const [token] = distinct;
  if (token === undefined) return undefined;
  const isCookie = inHeader.length === 0;
  if (token === MALFORMED) {
    const what = isCookie
      ? "The access token in the cookie is not a JWT; send one, or remove the cookie Authorization."
      : "Authorization carries no access token; send Bearer and the token.";
    throw new TokenRefusal("malformed", what);
  }
  // A browser sends its cookies with the requests of any site's page; such a page may not act as the user.
  if (isCookie && comesFromAnotherSite(headers)) {
    throw new TokenRefusal(
      "cookie",
      "The access token in the cookie is not taken from a web page; send it in Authorization.",
      { expected: "no Origin, and no Sec-Fetch-Site of another site, beside a cookie's token" },
    );
  }
  return { token, inCookie: isCookie };
}

/** Stands for text that is not a token. */
const MALFORMED = "";

function fromAuthorization(value: string | null): string[] {
  if (value === null) return [];
  // Headers joins a header that was sent twice by a comma, which no token has.
  return value.split(",").map((part) => {
    const written = part.trim();
    const token = /^bearer +(\S+)$/i.exec(written)?.[1];
    if (token !== undefined) return TOKEN.test(token) ? token : MALFORMED;
    // MOSIP's clients also send the token without a scheme. Only a JWT is taken so, since other text may be another scheme.
    return JWT.test(written) ? written : MALFORMED;
  });
}

function fromCookie(value: string | null): string[] {
  if (value === null) return [];
  return value.split(/[;,]/).flatMap((pair) => {
    const trimmed = pair.trim();
    if (!trimmed.startsWith(COOKIE_NAME)) return [];
    const written = withoutQuotes(trimmed.slice(COOKIE_NAME.length).trim());
    // A logout leaves an empty cookie behind.
    if (written === "" || written.includes('"')) return [];
    return [JWT.test(written) ? written : MALFORMED];
  });
}

const COOKIE_NAME = "Authorization=";

/** Without a quotation mark at its beginning and one at its end. */
function withoutQuotes(text: string): string {
  const from = text.startsWith('"') ? 1 : 0;
  return text.slice(from, text.length > from && text.endsWith('"') ? -1 : undefined);
}

function comesFromAnotherSite(headers: Headers): boolean {
  const site = headers.get("sec-fetch-site");
  return headers.has("origin") || (site !== null && site !== "none" && site !== "same-origin");
}
