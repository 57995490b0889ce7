// How a subscriber shows without a token that it may ask about its own subscription (WIRE §5): it signs the request.

import type { Caller } from "../../shared/core-api.ts";
import { hexOf } from "../../shared/encoding.ts";
import { HubError } from "../answers/hub-error.ts";

const TIMESTAMP = "X-Subscriber-Timestamp";
const SIGNATURE = "X-Subscriber-Signature";

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
 * @throws {HubError} "unauthorized" if one of its two headers is missing
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
