// The publisher's Idempotency-Key (WIRE §1): with the same key, content of one topic is the same message.

import { IDEMPOTENCY_KEY } from "../../shared/core-api.ts";
import { HubError } from "../answers/hub-error.ts";

/**
 * The key; null if none was sent.
 * @throws {HubError} "invalid_request" if it is not 1–255 visible ASCII characters
 */
export function idempotencyKey(headers: Headers): string | null {
  const key = headers.get("idempotency-key");
  if (key === null || IDEMPOTENCY_KEY.test(key)) return key;
  throw new HubError("invalid_request", "Idempotency-Key must be 1 to 255 visible ASCII characters, sent once.");
}
