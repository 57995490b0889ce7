// One topic's messages from the log, a chunk at a time: from the tail's memory where it reaches back far enough (A4.1).
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
 * The topic's messages from an offset on, before `end`, without repeats: about `maxBytes` of them, at least one if the chunk
 * holds any. An empty chunk with `next` below `end` is only a step of the way.
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
