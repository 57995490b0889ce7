// One topic's messages as a subscriber reads them (WIRE §5): a chunk at a time from the log, or from the tail's memory where that
// reaches back far enough (A4.1), and each as a line of JSON.
import { isUtf8 } from "node:buffer";
import type { MissedMessage } from "../../shared/core-api.ts";
import type { ReadMessages } from "../messages/read-messages.ts";
import { type Message, sizeOf } from "../messages/message.ts";
import type { Tail } from "../messages/tail.ts";
import type { Topic } from "../requests/topics.ts";

export interface TopicChunk {
  readonly messages: readonly Message[];
  /** Where to go on, at most `end`. */
  readonly next: number;
}

/**
 * Reads the topic's messages from an offset on, before `end`, without repeats: about `maxBytes`, but at least one message. An empty
 * chunk whose `next` is below `end` is a step on the way: there may be messages after it.
 */
export type ReadTopic = (topic: Topic, from: number, end: number, maxBytes: number) => Promise<TopicChunk>;

export interface TopicReaderOptions {
  readonly tail: Pick<Tail, "recent">;
  readonly readMessages: ReadMessages;
}

export function createReadTopic({ tail, readMessages }: TopicReaderOptions): ReadTopic {
  return async ({ id, partition }, from, end, maxBytes) => {
    const recent = tail.recent(partition, from);
    if (recent !== undefined) {
      return cut(recent.filter(({ topicId, offset }) => topicId === id && offset < end), end, maxBytes);
    }
    const { messages, next } = await readMessages(partition, from, { maxBytes, keys: new Set([id]) });
    return { messages: messages.filter(({ offset }) => offset < end), next: Math.min(next, end) };
  };
}

function cut(messages: readonly Message[], end: number, maxBytes: number): TopicChunk {
  let bytes = 0;
  for (const [index, message] of messages.entries()) {
    bytes += sizeOf(message);
    if (index > 0 && bytes > maxBytes) return { messages: messages.slice(0, index), next: message.offset };
  }
  return { messages, next: end };
}

/** A message as one line of JSON, a `MissedMessage`. */
export function encodeMissed({ id, cursor, publishedAt, contentType, body }: Message): string {
  const head = { id, cursor, publishedAt: new Date(publishedAt).toISOString(), contentType };
  // Bytes that are not UTF-8 would be changed by text.
  const missed: MissedMessage = isUtf8(body)
    ? { ...head, body: body.toString("utf8") }
    : { ...head, bodyBase64: body.toString("base64") };
  return JSON.stringify(missed);
}
