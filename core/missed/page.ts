// GET /messages: one page of what a subscriber missed (WIRE §5). Reading moves nothing.
import { encodeCursor } from "../messages/cursor-text.ts";
import type { Topic } from "../requests/topics.ts";
import { createTurns } from "../../shared/turn.ts";
import { encodeMissed, type ReadTopic } from "./topic-messages.ts";

export interface PageRequest {
  readonly topic: Topic;
  /** The first offset wanted. */
  readonly from: number;
  /** The first offset that is not read. */
  readonly end: number;
  readonly limit: number;
}

export interface Page {
  /** JSON, in parts. */
  readonly parts: readonly Uint8Array[];
  readonly bytes: number;
}

/** A page has at most about so many bytes, or one larger message. */
export const PAGE_BYTES = 8 * 1024 * 1024;
/** A page looks for messages at most this long in a log without an index by topic, ms; the next request goes on from there. */
const SEARCH_MS = 3_000;
const CHUNK_BYTES = 1024 * 1024;
const WRITE_BYTES = 64 * 1024;

/** Composes a page, `MissedMessages`; `now` is monotonic, ms. Its `more` is true if there is another message, or if there may be one. */
export async function readPage(
  { topic, from, end, limit }: PageRequest,
  { read, now }: { read: ReadTopic; now: () => number },
): Promise<Page> {
  const begun = now();
  const messages: Uint8Array[] = [];
  let bytes = 0;
  let next = from;
  let more = false;
  const turn = createTurns();
  while (next < end && !more) {
    await turn();
    const chunk = await read(topic, next, end, CHUNK_BYTES);
    for (const message of chunk.messages) {
      const encoded = Buffer.from(`${messages.length === 0 ? "" : ","}${encodeMissed(message)}`);
      // The next page begins at the first message without room in this one.
      more = messages.length === limit || (messages.length > 0 && bytes + encoded.length > PAGE_BYTES);
      if (more) break;
      messages.push(encoded);
      bytes += encoded.length;
      next = message.offset + 1;
    }
    if (more) break;
    // A full page does not search on in a log without an index only to find that there are no more messages.
    next = Math.max(next, chunk.next);
    more = next < end && (messages.length === limit || now() - begun > SEARCH_MS);
  }
  // The cursor names the last offset that was looked at: exactly what this page did not bring follows it.
  const cursor = encodeCursor(topic.id, { partition: topic.partition, offset: next - 1 });
  const [head, tail] = [Buffer.from('{"messages":['), Buffer.from(`],"next":"${cursor}","more":${more}}`)];
  return { parts: [head, ...messages, tail], bytes: bytes + head.length + tail.length };
}

/** The parts of a page, small ones joined: a page of a thousand messages is not a thousand writes. */
export async function* writesOf(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void, void> {
  let from = 0;
  let bytes = 0;
  for (const [index, part] of parts.entries()) {
    bytes += part.length;
    if (bytes < WRITE_BYTES && index < parts.length - 1) continue;
    yield Buffer.concat(parts.slice(from, index + 1));
    from = index + 1;
    bytes = 0;
  }
}
