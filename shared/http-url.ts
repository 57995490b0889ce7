// http(s) URLs taken apart without re-writing them: a callback is called as it was given (WIRE "Words"), and `new URL().href` would
// also resolve dot segments.

export interface HttpUrl {
  readonly scheme: "http" | "https";
  /** Lower-case, without brackets around IPv6; percent-escapes untouched. */
  readonly host: string;
  readonly port: number;
  /** scheme://host[:port], as a connection pool's key. */
  readonly origin: string;
  /**
   * Path and query as given, at least "/": what stands in the request line. Only characters that RFC 3986 does not allow in any
   * place of a URL are percent-encoded: servers answer 400 to them (Node's to raw UTF-8, Tomcat also to the ASCII ones).
   */
  readonly target: string;
}

export class UrlError extends Error {}

/** `[` and `]` are not among them: many queries have them raw (`x[]=1`), and their escapes mean something else. */
const NOT_IN_A_URL = /(?:[^\u0000-\u007f]|["<>^`{|}])+/g;

const PATTERN = /^(https?):\/\/([^/?#]*)((?:[/?][^#]*)?)(#.*)?$/is;

/**
 * Takes an absolute http(s) URL apart.
 * @throws {UrlError} with a sentence that says what is wrong, to follow the parameter's name
 */
export function parseHttpUrl(url: string): HttpUrl {
  const match = PATTERN.exec(url);
  if (match === null) throw new UrlError("must be an absolute http or https URL");
  const [, rawScheme = "", authority = "", rest = "", fragment] = match;
  if (fragment !== undefined) throw new UrlError("must not have a fragment (#)");
  if (/[\u0000-\u0020\u007f\\]/.test(url) || !url.isWellFormed()) {
    throw new UrlError("has a character that a URL cannot have; percent-encode it");
  }
  if (authority.includes("@")) throw new UrlError("must not have credentials (user@)");
  const scheme = rawScheme.toLowerCase() as "http" | "https";
  const split = /^(\[[^\]]*\]|[^:]*)(?::([0-9]*))?$/.exec(authority);
  if (split === null || split[1] === "") throw new UrlError("has no valid host");
  let host: string;
  try {
    // The platform's own parser decides what the host means (127.1, IDN, upper case), so that the guard sees what the dial
    // sees.
    host = new URL(`${scheme}://${split[1]}/`).hostname;
  } catch {
    throw new UrlError("has no valid host");
  }
  const port = split[2] === undefined || split[2] === "" ? (scheme === "http" ? 80 : 443) : Number(split[2]);
  if (port < 1 || port > 65535) throw new UrlError("has a port outside 1–65535");
  const target = rest.startsWith("/") ? rest : `/${rest}`;
  const origin = `${scheme}://${host}:${port}`;
  return {
    scheme,
    host: host.replace(/^\[|\]$/g, ""),
    port,
    origin,
    target: target.replace(NOT_IN_A_URL, encodeURIComponent),
  };
}

/** Appends parameters after the callback's own query, never merging (§5.1.1): `?` if it has none, else `&`. */
export function appendQuery(url: string, parameters: readonly (readonly [string, string])[]): string {
  const ours = parameters.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join("&");
  return `${url}${url.includes("?") ? "&" : "?"}${ours}`;
}
