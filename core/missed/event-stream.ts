// GET /messages as events (WIRE §5): the backlog, then all that follows, each message once and in log order. The log is read only
// as fast as the reader takes. The number of open streams is bounded: each holds a connection of an edge, and memory
// (ARCHITECTURE §6.7).
import type { Message } from "../messages/message.ts";
import type { Tail } from "../messages/tail.ts";
import { Refusal } from "../requests/refusal.ts";
import type { Topic } from "../requests/topics.ts";
import type { Place } from "../../shared/shares/accounts.ts";
import { FairShares } from "../../shared/shares/fair-shares.ts";
import type { Claim } from "../../shared/shares/standing.ts";
import type { ReadMemory } from "./memory.ts";
import { encodeMissed, type ReadTopic } from "./topic-messages.ts";

export interface EventStreamOptions {
  readonly topic: Topic;
  /** The first offset wanted. */
  readonly from: number;
  readonly read: ReadTopic;
  readonly tail: Pick<Tail, "watch" | "next">;
  readonly memory: ReadMemory;
  /** Whose share of the memory it takes. */
  readonly claim: Claim;
  /** Aborted when nothing more may be sent: the reader has gone, the subscription has ended, or its secret has changed. */
  readonly signal: AbortSignal;
  readonly heartbeatMs: number;
}

/** A part holds about so many bytes of messages; a larger message is a part of its own. */
const PART_BYTES = 64 * 1024;
/** A reader whose stream broke waits this long before it comes back, ms. */
const RETRY_MS = 2_000;
const HEARTBEAT = Buffer.from(":\n\n");

/** The stream's text as UTF-8, a part each time that it is asked for one. Heartbeats are comments; `id` is the message's cursor. */
export async function* eventStream(options: EventStreamOptions): AsyncGenerator<Uint8Array, void, void> {
  const { topic, read, tail, memory, claim, signal, heartbeatMs } = options;
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
        const reservation = await memory.reserve(claim, 2 * PART_BYTES, { signal });
        if (reservation === undefined) return;
        try {
          const chunk = await read(topic, next, end, PART_BYTES);
          if (signal.aborted) return;
          next = chunk.next;
          // In a log without an index the next message may be far away.
          if (chunk.messages.length === 0 && heartbeatIn() > 0) continue;
          const part = chunk.messages.length === 0 ? HEARTBEAT : Buffer.from(chunk.messages.map(eventOf).join(""));
          reservation.resize(part.length);
          // The generator goes on when the reader has taken the part.
          yield part;
          spokenAt = performance.now();
        } finally {
          reservation.release();
        }
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
      // The tail has passed only other topics' messages meanwhile, up to the first message of this topic that it offered.
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
  // JSON.stringify makes no line breaks, so the data is one line.
  return `id: ${message.cursor}\ndata: ${encodeMissed(message)}\n\n`;
}

/** Open streams of this process. */
const MOST = 1_000;
/** Open streams of one subscription: when a reader comes back, its old stream may still be open. */
const MOST_OF_ONE = 8;

/** An open stream as it is counted. */
interface Counted {
  /** Idempotent. */
  readonly leave: () => void;
  /** Ends the stream; its reader comes back after a while. */
  readonly end: () => void;
}

/** Counts the open streams, in fair shares of who reads. Where there is no place, who has most loses one to who has fewer. */
export class OpenStreams {
  readonly #shares: FairShares<never>;
  readonly #mostOfOne: number;
  readonly #counts = new Map<string, number>();
  /** By who reads, the oldest first. */
  readonly #open = new Map<string, Set<Counted>>();

  constructor(most = MOST, mostOfOne = MOST_OF_ONE) {
    this.#shares = new FairShares({ most, of: { proven: 0, slow: 0, new: most, failing: 0 } });
    this.#mostOfOne = mostOfOne;
  }

  get open(): number {
    return this.#shares.used;
  }

  /**
   * Counts a stream of a subscription; `end` ends it for another's sake. The returned function says that it has ended. Idempotent.
   * @throws {Refusal} "overloaded", "too_many"
   */
  enter(subscriptionId: string, claim: Claim, end: () => void): () => void {
    const count = this.#counts.get(subscriptionId) ?? 0;
    if (count >= this.#mostOfOne) {
      throw new Refusal("too_many", `This subscription has ${this.#mostOfOne} event streams already; close one first`);
    }
    const place = this.#shares.tryEnter(claim) ?? this.#placeOfMost(claim);
    if (place === undefined) {
      throw new Refusal(
        "overloaded",
        "You have your share of the event streams that the hub takes; ask again later, or without Accept",
      );
    }
    this.#counts.set(subscriptionId, (this.#counts.get(subscriptionId) ?? 0) + 1);
    const own = this.#open.get(claim.requester) ?? new Set();
    this.#open.set(claim.requester, own);
    const leave = () => {
      if (!own.delete(stream)) return;
      if (own.size === 0) this.#open.delete(claim.requester);
      this.#shares.leave(place);
      this.#leave(subscriptionId);
    };
    const stream = { leave, end };
    own.add(stream);
    return leave;
  }

  #placeOfMost(claim: Claim): Place | undefined {
    let most: Set<Counted> | undefined;
    const least = (this.#open.get(claim.requester)?.size ?? 0) + 1;
    for (const streams of this.#open.values()) if (streams.size > (most?.size ?? least)) most = streams;
    const oldest = most?.values().next().value;
    if (oldest === undefined) return undefined;
    oldest.leave();
    oldest.end();
    return this.#shares.enterAnyway(claim);
  }

  #leave(subscriptionId: string): void {
    const left = this.#counts.get(subscriptionId)! - 1;
    if (left === 0) this.#counts.delete(subscriptionId);
    else this.#counts.set(subscriptionId, left);
  }
}
