// A published message as lanes hold it: parsed once from its log record, and shared by reference.
import type { Place } from "../../shared/shares/accounts.ts";
import { encodeCursor } from "./cursor-text.ts";
import type { LogRecord } from "../log/log.ts";

/** Header names of a `messages` record. */
export const MESSAGE_HEADERS = {
  id: "id",
  contentType: "content-type",
  topic: "topic",
  traceparent: "traceparent",
  /** base64url(SHA-256(body)); only if the message was published with an idempotency key. */
  sha256: "sha256",
  /** JSON object: headers that travel with the message (WIRE §3). */
  extra: "headers",
} as const;

export interface Message {
  readonly partition: number;
  readonly offset: number;
  readonly topicId: string;
  /** The message id: `webhook-id`, the same on every attempt. */
  readonly id: string;
  readonly cursor: string;
  /** Published with an idempotency key: the block index knows whether it is a repeat (A4.4). */
  readonly keyed: boolean;
  /** When it was appended, ms since 1970. */
  readonly publishedAt: number;
  readonly body: Buffer;
  readonly contentType: string;
  readonly traceparent: string | undefined;
  /** The `Link` header that a fetched topic advertised; undefined: the target's own is sent. */
  readonly link: string | undefined;
  /** The publisher's allow-listed headers, name and value in turn. */
  readonly extra: readonly string[];
  /** How many lanes hold it: its bytes count once (§6.7). */
  holders: number;
  /** While lanes hold it: its bytes in the memory of lanes, as its first holder's. */
  held: Place | undefined;
}

/** The length of base64url(SHA-256), as a topic id and the hash of a body are. */
const HASH_LENGTH = 43;

/** Whether a record has an idempotency key, and its hash, topic id and message id can be ours (§6.6). */
export function isKeyed({ key, headers }: LogRecord): boolean {
  const id = headers[MESSAGE_HEADERS.id];
  return headers[MESSAGE_HEADERS.sha256]?.length === HASH_LENGTH && key.length === HASH_LENGTH &&
    id !== undefined && id.length > 0 && id.length <= 64 && sendable(id) !== undefined;
}

const NONE: readonly string[] = [];
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/** Headers that frame a request are the transport's. */
const FRAMING =
  /^(?:connection|content-length|content-type|expect|host|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade)$/i;

/**
 * The message of a record. Never throws: a record that is not of our making loses what no request can carry (§6.6). A request with it
 * would fail at every attempt, and hold up its lane for ever.
 */
export function toMessage(record: LogRecord): Message {
  const { headers, value } = record;
  const extra: string[] = [];
  let link: string | undefined;
  const encoded = headers[MESSAGE_HEADERS.extra];
  if (encoded !== undefined) {
    for (const [name, text] of Object.entries(parseHeaders(encoded))) {
      if (typeof text !== "string" || !VALUE.test(text) || !NAME.test(name) || FRAMING.test(name)) continue;
      if (name === "link") link = text;
      else extra.push(name, text);
    }
  }
  return {
    partition: record.partition,
    offset: record.offset,
    topicId: record.key,
    id: sendable(headers[MESSAGE_HEADERS.id]) || `${record.partition}-${record.offset}`,
    cursor: encodeCursor(record.key, record),
    keyed: isKeyed(record),
    publishedAt: record.time,
    body: value === null ? Buffer.alloc(0) : Buffer.from(value.buffer, value.byteOffset, value.byteLength),
    contentType: sendable(headers[MESSAGE_HEADERS.contentType]) ?? "application/octet-stream",
    traceparent: sendable(headers[MESSAGE_HEADERS.traceparent]),
    link,
    extra: extra.length === 0 ? NONE : extra,
    holders: 0,
    held: undefined,
  };
}

function sendable(text: string | undefined): string | undefined {
  return text !== undefined && VALUE.test(text) ? text : undefined;
}

function parseHeaders(encoded: string): object {
  try {
    const parsed: unknown = JSON.parse(encoded);
    return typeof parsed === "object" && parsed !== null && !Array.isArray(parsed) ? parsed : {};
  } catch {
    return {};
  }
}

/** About the bytes that a message takes in memory. */
export function sizeOf(message: Message): number {
  return message.body.length + 512;
}
