// The allow-list of the publisher's own headers that travel with the message (WIRE §3): no credentials, no hop-by-hop headers.

import { HubError } from "../answers/hub-error.ts";

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
