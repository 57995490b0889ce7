// How a subscriber shows without a token that it may ask about its own subscription (WIRE §5): it signs the request.

import type { Caller, SignedRequest } from "../../shared/core-api.ts";
import { hexOf } from "../../shared/encoding.ts";
import { HubError } from "../answers/hub-error.ts";
import { idempotencyKey, lastEventId } from "../syntax/request-headers.ts";

const TIMESTAMP = "X-Subscriber-Timestamp";
const SIGNATURE = "X-Subscriber-Signature";
/** A timestamp may be this far from the hub's clock, s (WIRE §5). */
const COUNTS_FOR_S = 300;

type Signer = Extract<Caller, { kind: "signature" }>;

/** A request as it was sent. */
export interface SentRequest {
  readonly method: string;
  /** The target of the request line. Where the runtime does not tell it (Deno, Bun), the URL as its parser writes it. */
  readonly target: string;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

/**
 * The signature of a request, for the core to check; undefined if there is none.
 * @throws {HubError} "unauthorized" if one of its two headers is missing or none; "invalid_request": another header is wrong
 */
export async function signatureOf({ method, target, headers, body }: SentRequest): Promise<Signer | undefined> {
  const timestamp = headers.get(TIMESTAMP);
  const signature = headers.get(SIGNATURE);
  if (timestamp === null && signature === null) return undefined;
  if (timestamp === null) throw new HubError("unauthorized", `${TIMESTAMP} is missing; send it with ${SIGNATURE}.`);
  if (signature === null) throw new HubError("unauthorized", `${SIGNATURE} is missing; send it with ${TIMESTAMP}.`);
  if (!/^[0-9]{1,12}$/.test(timestamp)) {
    throw new HubError("unauthorized", `${TIMESTAMP} must be the time in whole seconds since 1970.`);
  }
  if (!/^v[12]=[A-Za-z0-9+/]{43}=$/.test(signature)) {
    throw new HubError("unauthorized", `${SIGNATURE} must be v1= or v2= and the base64 of an HMAC-SHA256.`);
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", body as BufferSource));
  return {
    kind: "signature",
    method,
    ...pathAndQueryOf(target),
    timestamp,
    signature,
    bodySha256: hexOf(digest),
    headers: {
      idempotencyKey: idempotencyKey(headers) ?? "",
      lastEventId: lastEventId(headers) ?? "",
      events: asksForEvents(method, headers),
    },
  };
}

/**
 * When an answer that goes on by this signature ends, ms since 1970. `v1=` does not say that events were asked for, so whoever has a
 * signed request for a page may ask for events by it: these end when the signature does (WIRE §5).
 */
export function endOfSignature({ signature, timestamp }: Pick<SignedRequest, "signature" | "timestamp">): number {
  return signature.startsWith("v2=") ? Infinity : (Number(timestamp) + COUNTS_FOR_S) * 1_000;
}

const EVENTS = "text/event-stream";

/** Whether Accept names events at all: a client that wants JSON does not name them. */
export function asksForEvents(method: string, headers: Headers): boolean {
  if (method !== "GET") return false;
  const accept = headers.get("accept");
  return accept?.split(",").some((range) => range.split(";", 1)[0]!.trim().toLowerCase() === EVENTS) ?? false;
}

function pathAndQueryOf(target: string): { path: string; query: string } {
  const [, path = "", query = ""] = /^(?:https?:\/\/[^/?#]*)?([^?#]*)(?:\?([^#]*))?/i.exec(target) ?? [];
  return { path, query };
}
