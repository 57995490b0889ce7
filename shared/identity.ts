// When two spellings name the same topic or callback (§5.1.1, WIRE "Words"). The form that is compared is made here; it is never
// shown, echoed or called.

import { parseHttpUrl, UrlError } from "./http-url.ts";

const HTTP_URL = /^https?:\/\//i;
/** An octet from 0 to 255, as a URL's parser writes it. */
const OCTET = String.raw`(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)`;
/** A host that a URL's parser leaves as it is: lower case, no IDN, and no other way to write an IPv4 address. */
const HOST = String.raw`(?:(?:(?!xn--)[a-z0-9_-]+\.)*(?!xn--)[a-z_][a-z0-9_-]*|${OCTET}(?:\.${OCTET}){3})`;
/** An upper-case escape of a character that is not unreserved. */
const ESCAPE = "%(?:[0189A-F][0-9A-F]|2[0-9A-CF]|3[A-F]|40|5[BCDE]|60|7[BCDF])";
const PLAIN = String.raw`[!$&-;=?-Z[\]_a-z~]*`;
/** A URL that is its own identity. Most are: this test is their whole cost. */
const NORMAL = new RegExp(
  String.raw`^https?:\/\/${HOST}(?::(?!80\/|443\/)[1-9]\d{0,4})?\/${PLAIN}(?:${ESCAPE}${PLAIN})*$`,
);

/** Whether a topic or callback is an http(s) URL by its scheme. */
export function isHttpUrl(text: string): boolean {
  return HTTP_URL.test(text);
}

/**
 * The form of a topic or callback that ids and policy are made of. Of an http(s) URL: scheme and host as a URL's parser writes
 * them, no default port, a path of at least "/", escapes of unreserved characters (`A–Z a–z 0–9 - . _ ~`) decoded, other escapes
 * in upper case, and characters that a URL cannot have raw as their escapes. Names, and text that cannot be called, stay as they
 * are. Never throws.
 */
export function identityOf(topicOrCallback: string): string {
  if (!isHttpUrl(topicOrCallback) || NORMAL.test(topicOrCallback)) return topicOrCallback;
  try {
    const { scheme, origin, target } = parseHttpUrl(topicOrCallback);
    return originWithoutDefaultPort(scheme, origin) + normalEscapes(target);
  } catch (error) {
    if (error instanceof UrlError) return topicOrCallback;
    throw error;
  }
}

/**
 * The beginning of identities that a text before a `*` stands for. Scheme and host are in lower case; a port, and the path's
 * beginning, are compared as they are written: `https://example.com*` also fits `https://example.com:8443/`.
 */
export function identityOfPrefix(prefix: string): string {
  if (!isHttpUrl(prefix)) return prefix;
  if (!/^https?:\/\/[^/?]*[/?]/i.test(prefix)) return prefix.toLowerCase();
  // An escape that is cut short is not a stray "%".
  const [cut = ""] = /%[0-9A-Fa-f]?$/.exec(prefix) ?? [];
  return identityOf(prefix.slice(0, prefix.length - cut.length)) + cut.toUpperCase();
}

function originWithoutDefaultPort(scheme: string, origin: string): string {
  const port = scheme === "http" ? ":80" : ":443";
  return origin.endsWith(port) ? origin.slice(0, -port.length) : origin;
}

/** §5.1.1: "percent-encoded non-reserved characters" are decoded; escapes such as %2F stay, since they mean something else. */
function normalEscapes(target: string): string {
  // A "%" that begins no escape has no meaning that could be kept: "%%34%31" must not become "%41", which is "A".
  if (!target.includes("%") || /%(?![0-9A-Fa-f]{2})/.test(target)) return target;
  // Runs of escapes, as names in other scripts are, cost one step each.
  return target.replace(/(?:%[0-9A-Fa-f]{2})+/g, (run) => {
    const escapes = run.toUpperCase();
    return escapes.replace(UNRESERVED, (escape) => String.fromCharCode(parseInt(escape.slice(1), 16)));
  });
}

/** The upper-case escapes of `A–Z a–z 0–9 - . _ ~`. */
const UNRESERVED = /%(?:2[DE]|3[0-9]|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AE])/g;
