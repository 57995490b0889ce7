// What requests of a fuzz are made of: drafts of nearly right ones, and the ways in which they go wrong. Seeded, so that what
// fails once fails again.

import type { Random } from "../support/load/random.ts";
import type { RawRequest } from "./raw-client.ts";
import { STRANGE_TEXT } from "./strange.ts";

/** What a fuzz has to go by. */
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

/** How a request says who sends it: what counts, what did or will, what never does, what is none; or a subscriber's signature. */
export type Credential = "none" | "valid" | "signed" | "stale" | "forged" | "broken";

export interface FuzzRequest extends RawRequest {
  /** Method and path, as a route has them; "other" where there is none. */
  readonly endpoint: string;
  readonly credential: Credential;
  /** Nothing in it may open this endpoint: a 2xx would be a hole. */
  readonly mayNot: boolean;
}

export type MakeRequest = (random: Random) => FuzzRequest | Promise<FuzzRequest>;

export const FORM = "application/x-www-form-urlencoded";
export const METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "PROPFIND"];

/** Method and path as a table of routes has them. */
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
  // Raw bytes where text is expected, now and then.
  return random.chance(0.97) ? Buffer.from(encoded) : Buffer.from(`${encoded}&\u00ff\u00fe=\u0000`, "latin1");
}

/** A request in its bytes. Its framing is right but for one in two hundred, so that connections last. */
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

/** What would end the header is taken out, but for one in a hundred. */
export function headerSafe(random: Random, value: string): string {
  return random.chance(0.99) ? value.replace(/[\r\n\0]/g, "").slice(0, 4_000) : value.slice(0, 4_000);
}
