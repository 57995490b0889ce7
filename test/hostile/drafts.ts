// The drafts of nearly right requests, and the ways in which they go wrong. A seed makes the same requests again.

import type { Random } from "../support/load/random.ts";
import type { RawRequest } from "./raw-client.ts";
import { STRANGE_TEXT } from "./strange.ts";

/** The names and ids that requests draw from. */
export interface Ground {
  /** Callbacks that confirm, some that do not, and one where nobody listens. */
  readonly callbacks: readonly string[];
  readonly topics: readonly string[];
  /** Cursors and message ids that the hub gave out lately. */
  readonly cursors: readonly string[];
  readonly ids: readonly string[];
}

export interface Draft {
  method: string;
  target: string;
  headers: [string, string][];
  body: Buffer | undefined;
}

/** A request's credential. `stale` was valid or will be, `forged` never is, `broken` is not a credential; `signed` is a subscriber's signature. */
export type Credential = "none" | "valid" | "signed" | "stale" | "forged" | "broken";

export interface FuzzRequest extends RawRequest {
  /** Method and path of the route; "other" if there is no such route. */
  readonly endpoint: string;
  readonly credential: Credential;
  /** The credential does not open this endpoint: a 2xx would be a hole. */
  readonly mayNot: boolean;
}

export type MakeRequest = (random: Random) => FuzzRequest | Promise<FuzzRequest>;

export const FORM = "application/x-www-form-urlencoded";
export const METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "PROPFIND"];

/** Method and path of the route in `known`, or "other". */
export function endpointOf({ method, target }: Draft, known: ReadonlySet<string>): string {
  const path = target.split("?", 1)[0]!.replace(/(?<=.)\/$/, "");
  const endpoint = `${method === "HEAD" ? "GET" : method} ${path}`;
  return known.has(endpoint) ? endpoint : "other";
}

export function mostly(random: Random, value: string): string {
  return random.chance(0.9) ? value : random.pick(STRANGE_TEXT);
}

export function text(random: Random, parameters: readonly (readonly [string, string])[]): string {
  const encode = (value: string) =>
    random.chance(0.95) ? encodeURIComponent(value.toWellFormed()) : encodeURI(value.toWellFormed());
  return parameters.map(([name, value]) => `${encode(name)}=${encode(value)}`).join("&");
}

export function form(random: Random, parameters: readonly (readonly [string, string])[]): Buffer {
  const encoded = text(random, parameters);
  // Sometimes raw bytes stand where text is expected.
  return random.chance(0.97) ? Buffer.from(encoded) : Buffer.from(`${encoded}&\u00ff\u00fe=\u0000`, "latin1");
}

/** A request as bytes. The framing of one in two hundred is wrong; the others keep their connections. */
export function written(random: Random, { method, target, headers, body }: Draft): RawRequest {
  const length = body?.length ?? (method === "GET" || method === "HEAD" ? undefined : 0);
  const lines = [
    `${method} ${target} HTTP/1.1`,
    "Host: hub.example",
    ...headers.map(([name, value]) => `${name}: ${headerSafe(random, value)}`),
    ...(length === undefined
      ? []
      : [`Content-Length: ${random.chance(0.995) ? length : random.pick(["-1", "x", "9".repeat(30)])}`]),
  ];
  const bytes = Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"), body ?? Buffer.alloc(0)]);
  return { bytes, head: method === "HEAD" };
}

/** Removes line breaks from a header's value, except in one of a hundred. */
export function headerSafe(random: Random, value: string): string {
  return random.chance(0.99) ? value.replace(/[\r\n\0]/g, "").slice(0, 4_000) : value.slice(0, 4_000);
}
