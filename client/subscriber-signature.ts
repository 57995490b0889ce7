// The signature by which a subscriber asks about its subscription without a token (WIRE §5). WebCrypto only, as signature.ts.

import { hexOf } from "../shared/encoding.ts";

export interface RequestToSign {
  readonly method: string;
  /** Path and query as they stand in the request line. */
  readonly target: string;
  /** Default empty. */
  readonly body?: Uint8Array<ArrayBuffer> | string;
  /** The values of these headers, if they are sent. */
  readonly idempotencyKey?: string;
  readonly lastEventId?: string;
  /** Whether `Accept: text/event-stream` is sent. */
  readonly events?: boolean;
}

/** The two headers to send. Sign each request anew: a move acts once by its signature. `nowMs` is ms since 1970. */
export async function signRequest(
  secret: string,
  { method, target, body = "", idempotencyKey = "", lastEventId = "", events = false }: RequestToSign,
  nowMs: number = Date.now(),
): Promise<{ "X-Subscriber-Timestamp": string; "X-Subscriber-Signature": string }> {
  const timestamp = String(Math.floor(nowMs / 1_000));
  const [path = "", query = ""] = target.split(/\?(.*)/s, 2);
  const bytes = typeof body === "string" ? encode(body) : body;
  const hash = hexOf(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
  const form = events ? "text/event-stream" : "";
  const text = [method, path, query, timestamp, hash, idempotencyKey, lastEventId, form].join("\n");
  const key = await crypto.subtle.importKey("raw", encode(secret), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const signature = new Uint8Array(await crypto.subtle.sign("HMAC", key, encode(text)));
  return {
    "X-Subscriber-Timestamp": timestamp,
    "X-Subscriber-Signature": `v2=${btoa(String.fromCharCode(...signature))}`,
  };
}

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
