// The headers of a request that mean something to the hub: its Idempotency-Key, and those that travel with the message.

import { IDEMPOTENCY_KEY } from "../../shared/core-api.ts";
import { HubError } from "../answers/hub-error.ts";

/** WIRE §3: the allow-list of the publisher's own headers, without credentials and hop-by-hop headers; `ce-*` travel too. */
const ALLOWED = ["content-language", "content-encoding", "x-hub-messageid", "tracestate"];
const MAX_BYTES = 16 * 1_024;

/**
 * The headers that travel, lower-case names; null if there are none.
 * @throws {HubError} "invalid_request" if they are over 16 KiB together
 */
export function publisherHeaders(headers: Headers): Record<string, string> | null {
  let kept: Record<string, string> | null = null;
  let size = 0;
  headers.forEach((value, name) => {
    if (!ALLOWED.includes(name) && !name.startsWith("ce-")) return;
    size += name.length + value.length;
    (kept ??= {})[name] = value;
  });
  if (size > MAX_BYTES) {
    throw new HubError(
      "invalid_request",
      `The headers ${ALLOWED.join(", ")} and ce-* are longer than ${MAX_BYTES} bytes together.`,
    );
  }
  return kept;
}

/**
 * The Idempotency-Key (WIRE §1), by which the core knows a repeat; null if none was sent.
 * @throws {HubError} "invalid_request" if it is not 1–255 visible ASCII characters
 */
export function idempotencyKey(headers: Headers): string | null {
  const key = headers.get("idempotency-key");
  if (key === null || IDEMPOTENCY_KEY.test(key)) return key;
  throw new HubError("invalid_request", "Idempotency-Key must be 1 to 255 visible ASCII characters, sent once.");
}
