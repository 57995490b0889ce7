// The headers of a request that mean something to the hub: its Idempotency-Key, and those that travel with the message.

import { IDEMPOTENCY_KEY } from "../../shared/core-api.ts";
import { headerBytes, MESSAGE_HEAD_MAX_BYTES, MESSAGE_HEADERS_MAX, topicBytes } from "../../shared/request-head.ts";
import { HubError, quoted } from "../answers/hub-error.ts";

/** WIRE §3: the allow-list of the publisher's own headers, without credentials and hop-by-hop headers; `ce-*` travel too. */
const ALLOWED = ["content-language", "content-encoding", "x-hub-messageid", "tracestate"];

/** A message as a publisher sent it. */
export interface SentMessage {
  readonly topic: string;
  readonly contentType: string;
  readonly headers: Headers;
}

/**
 * The publisher's headers that travel with a message, lower-case names; null if there are none.
 * @throws {HubError} "invalid_request", naming the longest, if a delivery would have more headers than common servers take (WIRE §3)
 */
export function publisherHeaders({ topic, contentType, headers }: SentMessage): Record<string, string> | null {
  let kept: Record<string, string> | null = null;
  const parts: [name: string, bytes: number][] = [
    ["hub.topic", topicBytes(topic)],
    ["Content-Type", headerBytes("content-type", contentType)],
  ];
  headers.forEach((value, name) => {
    if (!ALLOWED.includes(name) && !name.startsWith("ce-")) return;
    parts.push([name, headerBytes(name, value)]);
    (kept ??= {})[name] = value;
  });
  if (parts.length > MESSAGE_HEADERS_MAX) {
    throw new HubError(
      "invalid_request",
      `${parts.length - 2} headers are to travel with the message; send at most ${MESSAGE_HEADERS_MAX - 2} of ${
        ALLOWED.join(", ")
      } and ce-*: many servers refuse more than 100 in all.`,
    );
  }
  refuseLong(parts);
  return kept;
}

function refuseLong(parts: readonly (readonly [name: string, bytes: number])[]): void {
  const size = parts.reduce((sum, [, bytes]) => sum + bytes, 0);
  if (size <= MESSAGE_HEAD_MAX_BYTES) return;
  const [name, bytes] = parts.reduce((longest, part) => part[1] > longest[1] ? part : longest);
  throw new HubError(
    "invalid_request",
    `${name} takes ${bytes} bytes of the headers of a delivery; hub.topic, Content-Type, ${
      ALLOWED.join(", ")
    } and ce-* may take ` +
      `${MESSAGE_HEAD_MAX_BYTES} together, and take ${size}: many servers refuse more.`,
  );
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

/**
 * The Last-Event-ID (WIRE §5), for the core to read; null if none was sent.
 * @throws {HubError} "invalid_request" if no cursor can look like it
 */
export function lastEventId(headers: Headers): string | null {
  const last = headers.get("last-event-id");
  if (last === null || /^[A-Za-z0-9_-]{0,64}$/.test(last)) return last;
  throw new HubError("invalid_request", `Last-Event-ID must be a cursor; ${quoted(last)} is not a cursor of this hub.`);
}
