// Content as it comes from an edge: a frame in, typed content out.
import * as v from "valibot";
import { CONTENT_HEAD_MAX_BYTES, openFrame } from "../../shared/content-frame.ts";
import { IDEMPOTENCY_KEY } from "../../shared/core-api.ts";
import { BodyTooLargeError } from "../../shared/request-body.ts";
import { CLIENT, TOPIC_NAME } from "../state/events.ts";
import { HEAD, parseWith } from "../requests/parse-operation.ts";
import type { Content } from "../requests/publish.ts";
import { Refusal } from "../requests/refusal.ts";

const CONTENT_HEAD = v.object({
  ...HEAD,
  // The same schema as in an operation: any other name could not be folded.
  topic: TOPIC_NAME,
  client: v.exactOptional(CLIENT),
  key: v.exactOptional(v.pipe(v.string(), v.regex(IDEMPOTENCY_KEY))),
  contentType: v.exactOptional(v.string(), "application/octet-stream"),
  headers: v.exactOptional(v.record(v.string(), v.string())),
  traceparent: v.exactOptional(v.string()),
});

/** The longest body of a request with content, bytes. */
export function frameMaxBytes(messageMaxBytes: number): number {
  return messageMaxBytes + CONTENT_HEAD_MAX_BYTES;
}

/** @throws {Refusal} "invalid_request" naming the field @throws {BodyTooLargeError} */
export function parseContent(frame: Uint8Array, messageMaxBytes: number): Content {
  const opened = openFrame(frame);
  if (opened === undefined) {
    throw new Refusal("invalid_request", "The content is not framed as shared/content-frame.ts says");
  }
  if (opened.body.length > messageMaxBytes) throw new BodyTooLargeError(messageMaxBytes);
  const { client, key, headers, traceparent, ...head } = parseWith(CONTENT_HEAD, opened.head);
  return {
    ...head,
    client,
    key,
    headers: headers === undefined ? undefined : JSON.stringify(headers),
    traceparent,
    body: opened.body,
  };
}
