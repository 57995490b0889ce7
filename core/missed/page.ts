// GET /messages: one page of what a subscriber missed (WIRE §5). Reading moves nothing.
import { encodeCursor } from "../messages/cursor.ts";
import type { Topic } from "../requests/topics.ts";
import { encodeMissed } from "./missed-message.ts";
import type { ReadTopic } from "./topic-messages.ts";

export interface PageRequest {
  readonly topic: Topic;
  /** The first offset wanted. */
  readonly from: number;
  /** Before this offset; what stands there is not read. */
  readonly end: number;
  readonly limit: number;
}

export interface Page {
  /** `MissedMessages` as JSON, in parts. */
  readonly parts: readonly Uint8Array[];
  readonly bytes: number;
}

/** One answer has about so many bytes, or one message; then `more` says that there are more. */
export const PAGE_BYTES = 8 * 1024 * 1024;
/** So long a page looks for messages in a log without an index by topic, ms; the next request goes on from there. */
const SEARCH_MS = 3_000;
const CHUNK_BYTES = 1024 * 1024;

/** Composes a page; `monotonic` in ms. `more` is true if there is another message, or if there may be. */
export async function readPage(
  { topic, from, end, limit }: PageRequest,
  { read, now }: { read: ReadTopic; now: () => number },
): Promise<Page> {
  const begun = now();
  const messages: Uint8Array[] = [];
  let bytes = 0;
  let next = from;
  let more = false;
  while (next < end && !more) {
    const chunk = await read(topic, next, end, CHUNK_BYTES);
    for (const message of chunk.messages) {
      const encoded = Buffer.from(`${messages.length === 0 ? "" : ","}${encodeMissed(message)}`);
      // The first one that has no room says that there is more, and is where the next page begins.
      more = messages.length === limit || (messages.length > 0 && bytes + encoded.length > PAGE_BYTES);
      if (more) break;
      messages.push(encoded);
      bytes += encoded.length;
      next = message.offset + 1;
    }
    if (more) break;
    // A full page does not look on through a log without an index, only to say that there is no more.
    next = Math.max(next, chunk.next);
    more = next < end && (messages.length === limit || now() - begun > SEARCH_MS);
  }
  // The cursor names the message before: what follows it is what this page did not bring, and nothing else.
  const cursor = encodeCursor(topic.id, { partition: topic.partition, offset: next - 1 });
  const [head, tail] = [Buffer.from('{"messages":['), Buffer.from(`],"next":"${cursor}","more":${more}}`)];
  return { parts: [head, ...messages, tail], bytes: bytes + head.length + tail.length };
}
