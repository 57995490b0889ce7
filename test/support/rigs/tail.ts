// A topic's messages and a tail that offers them, without a log; a test moves it by hand.
import { encodeCursor } from "../../../core/messages/cursor-text.ts";
import type { Message } from "../../../core/messages/message.ts";
import type { Tail } from "../../../core/messages/tail.ts";
import type { ReadTopic } from "../../../core/missed/topic-messages.ts";
import { topicIdOf } from "../../../core/state/ids.ts";

export interface TestTail extends Pick<Tail, "watch" | "next"> {
  readonly topic: { readonly id: string; readonly partition: number };
  /** Counts its calls in `reads`; one call reads at most `chunk` offsets. */
  readonly read: ReadTopic;
  readonly reads: { readonly from: number; readonly end: number }[];
  readonly watching: number;
  /** Called in the middle of each read. */
  onRead: () => Promise<void> | void;
  /** Offers messages of the topic; a number is so many messages of other topics. */
  offer(...bodies: (string | number)[]): void;
}

export function createTail({ chunk = 3 }: { readonly chunk?: number } = {}): TestTail {
  const topic = { id: topicIdOf("t"), partition: 0 };
  const log: (Message | null)[] = [];
  const watchers = new Set<(message: Message) => void>();
  const reads: { from: number; end: number }[] = [];
  const tail: TestTail = {
    topic,
    reads,
    get watching() {
      return watchers.size;
    },
    next: () => log.length,
    watch: (_topicId, heard) => {
      watchers.add(heard);
      return () => void watchers.delete(heard);
    },
    onRead: () => {},
    read: async (_topic, from, end) => {
      reads.push({ from, end });
      await tail.onRead();
      const next = Math.min(end, from + chunk);
      return { messages: log.slice(from, next).filter((message) => message !== null), next };
    },
    offer: (...bodies) => {
      for (const body of bodies) {
        if (typeof body === "number") {
          for (let other = 0; other < body; other++) log.push(null);
          continue;
        }
        const message = messageOf(body, log.length, topic.id);
        // As the real tail does: watchers hear of a message before it counts as passed.
        for (const heard of watchers) heard(message);
        log.push(message);
      }
    },
  };
  return tail;
}

export function messageOf(body: string, offset: number, topicId: string): Message {
  return {
    partition: 0,
    offset,
    topicId,
    id: `id-${offset}`,
    cursor: encodeCursor(topicId, { partition: 0, offset }),
    keyed: false,
    publishedAt: 1_800_000_000_000 + offset,
    body: Buffer.from(body),
    contentType: "text/plain",
    traceparent: undefined,
    link: undefined,
    extra: [],
    holders: 0,
    held: undefined,
  };
}
