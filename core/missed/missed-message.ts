// A message as whoever missed it reads it (WIRE §5).
import { isUtf8 } from "node:buffer";
import type { MissedMessage } from "../../shared/core-api.ts";
import type { Message } from "../messages/message.ts";

/** One line of JSON. */
export function encodeMissed({ id, cursor, publishedAt, contentType, body }: Message): string {
  const head = { id, cursor, publishedAt: new Date(publishedAt).toISOString(), contentType };
  // Bytes that are no UTF-8 would not come back from text.
  const missed: MissedMessage = isUtf8(body)
    ? { ...head, body: body.toString("utf8") }
    : { ...head, bodyBase64: body.toString("base64") };
  return JSON.stringify(missed);
}
