// What a setting's text may be, and what it means: one schema and one phrase per kind of value.
import ipaddr from "ipaddr.js";
import * as v from "valibot";
import { parseHttpUrl } from "../http-url.ts";
import { canMatch } from "../topic-patterns.ts";
import { canonicalNetwork, isPlainHost } from "./addresses.ts";
import { holdsKeys, MASK, withoutPrivateHalves } from "./masking.ts";

/** Where a tier listens. `host` has no brackets; port 0 means any free one. */
export interface Listen {
  readonly host: string;
  readonly port: number;
}

/** A kind of value: `allowed` follows "must be", `schema` takes the environment's text. */
export interface Value<T> {
  readonly allowed: string;
  /** The words from which one is chosen; undefined if any other text is possible. */
  readonly words?: readonly string[];
  readonly schema: v.GenericSchema<string, T>;
  /** What `--print-config` shows of it; default what `withoutSecrets` leaves. */
  readonly printed?: (written: string) => string;
  /** What to write instead of a wrong text, if that can be known. */
  readonly hint?: (written: string) => string | undefined;
  /** The kind of place on the disk that the text names; undefined if it names none. A launcher lets a tier reach just these places. */
  readonly place?: (text: string) => Place | undefined;
}

/** A file to read, a file of keys to read and to replace, a directory to read and to write. */
export type Place = "file" | "keys" | "directory";

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds from `500ms`, `60s`, `15m`, `12h`, `7d`, within bounds written the same way. */
export function duration(min: string, max: string): Value<number> {
  const [low, high] = [durationMs(min), durationMs(max)];
  return {
    allowed: `a duration from ${min} to ${max}, written like 500ms, 60s, 15m, 12h or 7d`,
    schema: v.pipe(v.string(), v.transform(durationMs), v.minValue(low), v.maxValue(high)),
  };
}

/** A decimal integer from `min` to `max`. */
export function integer(min: number, max: number, unit = ""): Value<number> {
  return {
    allowed: `a whole number${unit === "" ? "" : ` of ${unit}`} from ${min} to ${max}`,
    schema: v.pipe(v.string(), v.regex(/^[0-9]{1,15}$/), v.transform(Number), v.minValue(min), v.maxValue(max)),
  };
}

/** Milliseconds from a whole number of seconds. */
export function seconds(min: number, max: number): Value<number> {
  const { allowed, schema } = integer(min, max, "seconds");
  return { allowed, schema: v.pipe(schema, v.transform((value) => value * 1000)) };
}

export function oneOf<const T extends readonly string[]>(words: T): Value<T[number]> {
  return { allowed: `one of ${words.join(", ")}`, words, schema: v.pipe(v.string(), v.picklist(words)) };
}

export function text(allowed: string, pattern: RegExp): Value<string> {
  return { allowed, schema: v.pipe(v.string(), v.regex(pattern)) };
}

/** The path of a file to read. What the file should hold is no path: it would be shown and logged as one. */
export const file: Value<string> = { ...text("a path", /^(?![^]*-----BEGIN )[^\0]+$/), place: () => "file" };

/** The path of a file to read, or one word instead. */
export function fileOr(word: string): Value<string> {
  return { ...file, place: (text) => text === word ? undefined : "file" };
}

export const directory: Value<string> = { ...file, place: () => "directory" };

/** Keys as JSON, or the path of a file with them. */
export function keys(allowed: string): Value<string> {
  return {
    ...text(`${allowed} or a path`, /^[^\0]+$/),
    place: (text) => isJson(text) ? undefined : "keys",
    printed: withoutPrivateHalves,
  };
}

/** Whether a setting of keys holds them itself, and not a path. */
export function isJson(text: string): boolean {
  return text.trimStart().startsWith("{");
}

export const listen: Value<Listen> = {
  allowed: "host:port, an IPv6 host in brackets, for example 127.0.0.1:9191 or [::1]:9191",
  schema: v.pipe(
    v.string(),
    v.regex(/^(\[[0-9A-Fa-f:.]+\]|[^\s:[\]/]+):[0-9]{1,5}$/),
    v.transform((written) => {
      const colon = written.lastIndexOf(":");
      return { host: written.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(written.slice(colon + 1)) };
    }),
    v.check(({ host, port }) => {
      return port <= 65535 && (host.includes(":") ? ipaddr.IPv6.isValid(host) : isPlainHost(host));
    }),
  ),
};

/** As `listen`, or the empty text: nowhere. */
export const listenOrNowhere: Value<Listen | undefined> = {
  allowed: `${listen.allowed}, or empty: nowhere`,
  schema: v.union([v.pipe(v.literal(""), v.transform(() => undefined)), listen.schema]),
};

export const httpUrl: Value<string> = {
  allowed: "an absolute http or https URL",
  schema: v.pipe(v.string(), v.check(isUrl)),
};

/** It stands in the headers of each delivery, which have room for so much of it (WIRE §3). */
export const hubUrl: Value<string> = {
  allowed: "an absolute http or https URL of at most 256 characters",
  schema: v.pipe(v.string(), v.maxLength(256), v.check(isUrl)),
};

export const httpOrigins: Value<readonly string[]> = {
  allowed: "a comma-separated list of absolute http or https URLs without a path",
  schema: v.pipe(
    v.string(),
    v.transform(split),
    v.minLength(1),
    v.array(v.pipe(v.string(), v.check((url) => isUrl(url) && /^[^/]*\/\/[^/?]*\/?$/.test(url)))),
    v.transform((urls) => urls.map((url) => url.replace(/\/$/, ""))),
  ),
};

/** Issuers are names: they are compared byte for byte with a token's `iss` (RFC 8414 §2: no query, no fragment). */
export const issuers: Value<readonly string[]> = {
  allowed: "a comma-separated list of absolute http or https URLs without a query",
  schema: v.pipe(
    v.string(),
    v.transform(split),
    v.minLength(1),
    v.array(v.pipe(v.string(), v.check((url) => isUrl(url) && !url.includes("?")))),
  ),
};

export const httpUrls: Value<readonly string[]> = {
  allowed: "a comma-separated list of absolute http or https URLs",
  schema: v.pipe(v.string(), v.transform(split), v.minLength(1), v.array(v.pipe(v.string(), v.check(isUrl)))),
};

export const words: Value<readonly string[]> = {
  allowed: "a comma-separated list, not empty",
  schema: v.pipe(v.string(), v.transform(split), v.minLength(1)),
};

const NAMED_CLAIM = /^(sub|preferred_username|client_id):(?=.)/;
type NamedClaim = "sub" | "preferred_username" | "client_id";

/** A callback origin that belongs to a client. `issuer` is undefined where there is but one. */
export interface ClientOrigin {
  readonly issuer: string | undefined;
  /** The claim that `userId` is of; undefined: `preferred_username` if the token has one, else the claim that names its client. */
  readonly claim: NamedClaim | undefined;
  readonly userId: string;
  /** scheme://host:port, the port always written. */
  readonly origin: string;
}

export const clientOrigins: Value<readonly ClientOrigin[]> = {
  allowed: "a comma-separated list of user=origin, or issuer user=origin, for example partner-a=https://a.example",
  schema: v.pipe(
    v.string(),
    v.transform(split),
    v.minLength(1),
    v.array(v.pipe(
      v.string(),
      v.regex(/^(?:https?:\/\/\S+ +)?[^\s=][^=]*=https?:\/\/[^/?#@\s]+\/?$/i),
      v.check((written) => isUrl(written.slice(written.lastIndexOf("=") + 1))),
      v.transform((written) => {
        const at = written.lastIndexOf("=");
        const { origin } = parseHttpUrl(written.slice(at + 1));
        const client = written.slice(0, at);
        const [, issuer, user = client] = /^(https?:\/\/\S+) +(\S.*)$/i.exec(client) ?? [];
        const claim = NAMED_CLAIM.exec(user)?.[1] as NamedClaim | undefined;
        return { issuer, claim, userId: user.replace(NAMED_CLAIM, ""), origin };
      }),
    )),
  ),
};

export const brokers: Value<readonly string[]> = {
  allowed: "a comma-separated list of host:port",
  schema: v.pipe(
    v.string(),
    v.transform(split),
    v.minLength(1),
    v.array(v.pipe(
      v.string(),
      v.regex(/^(\[[0-9A-Fa-f:.]+\]|[^\s:[\]/]+):[0-9]{1,5}$/),
      v.check((at) => isPlainHost(at.slice(0, at.lastIndexOf(":")))),
    )),
  ),
};

export const cidrs: Value<readonly string[]> = {
  allowed: "a comma-separated list of networks such as 10.0.0.0/8 or fd00::/8 (empty: none)",
  schema: v.pipe(
    v.string(),
    v.transform(split),
    v.array(v.pipe(v.string(), v.check((cidr) => canonicalNetwork(cidr) === cidr))),
  ),
  hint: (written) => {
    const wrong = split(written).find((cidr) => canonicalNetwork(cidr) !== cidr);
    const right = wrong === undefined ? undefined : canonicalNetwork(wrong);
    return right === undefined ? undefined : `write ${wrong} as ${right}`;
  },
};

/** Topics, or patterns of them with `*`; one that no topic can match is a typing error. */
export const topicPatterns: Value<readonly string[]> = {
  allowed: "a comma-separated list of topics, or of patterns with *, each of which a topic can match",
  schema: v.pipe(v.string(), v.transform(split), v.array(v.pipe(v.string(), v.check(canMatch)))),
  // Topics are no secrets, and their queries tell them apart.
  printed: (written) => holdsKeys(written) ? MASK : written,
};

/** Whether a listening host or a URL's host is this machine only. */
export function isLoopback(host: string): boolean {
  if (host.toLowerCase() === "localhost") return true;
  return ipaddr.isValid(host) && ipaddr.process(host).range() === "loopback";
}

/** Whether a URL names this machine only; one that cannot be parsed does not. */
export function isLoopbackUrl(url: string): boolean {
  return URL.canParse(url) && isLoopback(new URL(url).hostname.replace(/^\[|\]$/g, ""));
}

function durationMs(written: string): number {
  const match = /^([0-9]{1,9})(ms|s|m|h|d)$/.exec(written);
  // NaN is below every minimum and above every maximum, so it fails the schema's bounds.
  return match === null ? Number.NaN : Number(match[1]) * (UNITS[match[2] ?? ""] ?? Number.NaN);
}

// Not parseHttpUrl: a URL that follows a listen address may have its port 0, "any free one".
function isUrl(url: string): boolean {
  const [, host] = /^https?:\/\/([^\s#@\\/?:]*)(?:[/?:][^\s#@\\]*)?$/i.exec(url) ?? [];
  return host !== undefined && URL.canParse(url) && isPlainHost(host);
}

function split(list: string): string[] {
  return list.split(",").map((item) => item.trim()).filter((item) => item !== "");
}
