// GET /messages as events (WIRE §5): the backlog, then whatever comes, each message once and in log order. What the reader
// does not take is not read from the log either.
import type { Message } from "../messages/message.ts";
import type { Tail } from "../messages/tail.ts";
import type { Topic } from "../requests/topics.ts";
import type { MemoryBudget } from "./memory-budget.ts";
import { encodeMissed } from "./missed-message.ts";
import type { ReadTopic } from "./topic-messages.ts";

export interface EventStreamOptions {
  readonly topic: Topic;
  /** The first offset wanted. */
  readonly from: number;
  readonly read: ReadTopic;
  readonly tail: Pick<Tail, "watch" | "next">;
  readonly budget: MemoryBudget;
  /** Aborted when nothing more may be sent: the reader is gone, the subscription has ended, or its secret has changed. */
  readonly signal: AbortSignal;
  readonly heartbeatMs: number;
}

/** What one part is made of; a message of its size is a part of its own. */
const PART_BYTES = 64 * 1024;
/** How long a reader waits before it comes back, ms. */
const RETRY_MS = 2_000;
const HEARTBEAT = Buffer.from(":\n\n");

/** The stream's text as UTF-8, one part for each time it is asked. Heartbeats are comments; `id` is the message's cursor. */
export async function* eventStream(options: EventStreamOptions): AsyncGenerator<Uint8Array, void, void> {
  const { topic, read, tail, budget, signal, heartbeatMs } = options;
  /** The first of the topic's messages that the tail offered since `next` had reached it. */
  let heard: number | undefined;
  let wake = () => {};
  const unwatch = tail.watch(topic.id, ({ offset }) => {
    heard ??= offset;
    wake();
  });
  const onAbort = () => wake();
  signal.addEventListener("abort", onAbort);
  let next = options.from;
  let spokenAt = performance.now();
  const heartbeatIn = () => Math.max(0, spokenAt + heartbeatMs - performance.now());
  try {
    yield Buffer.from(`retry: ${RETRY_MS}\n\n`);
    while (!signal.aborted) {
      const end = tail.next(topic.partition);
      if (next < end) {
        using reservation = await budget.reserve(2 * PART_BYTES, signal);
        if (reservation === undefined) return;
        const chunk = await read(topic, next, end, PART_BYTES);
        if (signal.aborted) return;
        next = chunk.next;
        // In a log without an index the next message may be far.
        if (chunk.messages.length === 0 && heartbeatIn() > 0) continue;
        const part = chunk.messages.length === 0 ? HEARTBEAT : Buffer.from(chunk.messages.map(eventOf).join(""));
        reservation.resize(part.length);
        // Goes on when the reader has taken it.
        yield part;
        spokenAt = performance.now();
        continue;
      }
      heard = undefined;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, heartbeatIn());
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      if (signal.aborted) return;
      // All that the tail has passed meanwhile was of other topics, up to what was heard.
      next = Math.max(next, heard ?? tail.next(topic.partition));
      if (heartbeatIn() > 0) continue;
      yield HEARTBEAT;
      spokenAt = performance.now();
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    unwatch();
  }
}

function eventOf(message: Message): string {
  // JSON has no line breaks of its own, so the data is one line.
  return `id: ${message.cursor}\ndata: ${encodeMissed(message)}\n\n`;
}
