// What a subscriber asks about its own subscription (WIRE §5): which one, and how it shows that it may.

import type { Caller } from "../../shared/core-api.ts";
import { hexOf } from "../../shared/encoding.ts";
import type { Parameters } from "../syntax/form.ts";
import { HubError } from "../answers/hub-error.ts";
import { fitsInBytes, parseTopic } from "../syntax/topic.ts";

export interface Pair {
  readonly topic: string;
  readonly callback: string;
}

/** Reads `topic` and `callback`. @throws {HubError} "invalid_request", naming the parameter */
export function parsePair(parameters: Parameters): Pair {
  const topic = parseTopic("topic", parameters.first("topic"));
  const callback = parameters.first("callback") ?? "";
  if (callback === "") {
    throw new HubError("invalid_request", "callback is missing; send the callback of the subscription.");
  }
  if (!fitsInBytes(callback, 2_048)) throw new HubError("invalid_request", "callback is longer than 2048 bytes.");
  return { topic, callback };
}

const TIMESTAMP = "X-Subscriber-Timestamp";
const SIGNATURE = "X-Subscriber-Signature";

/** A request as it was sent. */
export interface SentRequest {
  readonly method: string;
  /** Of the request line. Where the runtime does not tell it (Deno, Bun), the URL as its parser writes it. */
  readonly target: string;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

/**
 * The signature of a request, for the core to check; undefined if there is none.
 * @throws {HubError} "unauthorized" if there is half of one
 */
export async function signatureOf({ method, target, headers, body }: SentRequest): Promise<Caller | undefined> {
  const timestamp = headers.get(TIMESTAMP);
  const signature = headers.get(SIGNATURE);
  if (timestamp === null && signature === null) return undefined;
  if (timestamp === null) throw new HubError("unauthorized", `${TIMESTAMP} is missing; send it with ${SIGNATURE}.`);
  if (signature === null) throw new HubError("unauthorized", `${SIGNATURE} is missing; send it with ${TIMESTAMP}.`);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", body as BufferSource));
  return {
    kind: "signature",
    method,
    ...pathAndQueryOf(target),
    timestamp,
    signature,
    bodySha256: hexOf(digest),
  };
}

function pathAndQueryOf(target: string): { path: string; query: string } {
  const [, path = "", query = ""] = /^(?:https?:\/\/[^/?#]*)?([^?#]*)(?:\?([^#]*))?/i.exec(target) ?? [];
  return { path, query };
}
