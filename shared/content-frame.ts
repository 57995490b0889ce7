// Content between the tiers, as one body: four bytes that say how long the head is, the head as JSON, and the publisher's bytes
// untouched. A header for each field costs more than the field.
import type { ClientIdentity, OperationHead } from "./core-api.ts";

export interface ContentHead extends OperationHead {
  readonly topic: string;
  /** Who publishes; absent: the anonymous client. */
  readonly client?: ClientIdentity;
  /** The publisher's Idempotency-Key, verbatim (`IDEMPOTENCY_KEY`); absent: each operation is a message of its own. */
  readonly key?: string;
  /** The publisher's Content-Type, verbatim. */
  readonly contentType: string;
  /** The publisher's allow-listed headers, lower-case names (WIRE §3). */
  readonly headers?: Readonly<Record<string, string>>;
  /** W3C trace context that the delivery carries on. */
  readonly traceparent?: string;
}

/** Room for the topic, the headers and a key, all escaped as JSON may escape them. */
export const CONTENT_HEAD_MAX_BYTES = 128 * 1024;

const LENGTH_BYTES = 4;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

export function frameContent(head: ContentHead, body: Uint8Array): Uint8Array {
  const text = encoder.encode(JSON.stringify(head));
  const frame = new Uint8Array(LENGTH_BYTES + text.length + body.length);
  new DataView(frame.buffer).setUint32(0, text.length);
  frame.set(text, LENGTH_BYTES);
  frame.set(body, LENGTH_BYTES + text.length);
  return frame;
}

/** The head, not yet checked, and the body, a view of the frame; undefined if it is not a frame. */
export function openFrame(frame: Uint8Array): { readonly head: unknown; readonly body: Uint8Array } | undefined {
  if (frame.length < LENGTH_BYTES) return undefined;
  const length = new DataView(frame.buffer, frame.byteOffset).getUint32(0);
  const end = LENGTH_BYTES + length;
  if (length > CONTENT_HEAD_MAX_BYTES || end > frame.length) return undefined;
  try {
    return { head: JSON.parse(decoder.decode(frame.subarray(LENGTH_BYTES, end))), body: frame.subarray(end) };
  } catch {
    return undefined;
  }
}
