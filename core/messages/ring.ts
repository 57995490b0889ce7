// The newest messages of each partition: a lane that stands among them joins the tail in one synchronous step (A4.1).
import { type Message, sizeOf } from "./message.ts";

/** The most bytes of messages that are held. */
export const RING_BYTES = 8 * 1024 * 1024;

/** An array is cut when it begins with more empty places than these. */
const MOST_EMPTY = 1_024;

/** What is held of one partition. */
interface PartitionRing {
  /** Every message from this offset to the tail is held. */
  from: number;
  /** The first `head` places are empty, so that dropped messages do not stay in memory. */
  messages: (Message | undefined)[];
  head: number;
  /** The offset of each topic's newest message that is held. */
  readonly newest: Map<string, number>;
}

export class Ring {
  readonly #partitions: PartitionRing[];
  /** The messages of all partitions in order of arrival: the oldest is dropped first. */
  #order: (Message | undefined)[] = [];
  #orderHead = 0;
  #bytes = 0;

  /** `from`: where the tail begins, per partition. */
  constructor(from: readonly number[]) {
    this.#partitions = from.map((offset) => ({ from: offset, messages: [], head: 0, newest: new Map() }));
  }

  add(message: Message): void {
    const { messages, newest } = this.#partitions[message.partition]!;
    messages.push(message);
    newest.set(message.topicId, message.offset);
    this.#order.push(message);
    this.#bytes += sizeOf(message);
    while (this.#bytes > RING_BYTES) {
      const oldest = this.#order[this.#orderHead]!;
      this.#order[this.#orderHead++] = undefined;
      this.#bytes -= sizeOf(oldest);
      const part = this.#partitions[oldest.partition]!;
      part.from = oldest.offset + 1;
      if (part.newest.get(oldest.topicId) === oldest.offset) part.newest.delete(oldest.topicId);
      part.messages[part.head++] = undefined;
      if (part.head > MOST_EMPTY && part.head * 2 > part.messages.length) {
        part.messages = part.messages.slice(part.head);
        part.head = 0;
      }
    }
    if (this.#orderHead > MOST_EMPTY && this.#orderHead * 2 > this.#order.length) {
      this.#order = this.#order.slice(this.#orderHead);
      this.#orderHead = 0;
    }
  }

  /** The tail jumped to this offset: messages before it are not here. */
  skipTo(partition: number, offset: number): void {
    const part = this.#partitions[partition]!;
    part.from = Math.max(part.from, offset);
  }

  /** Every message of a partition from this offset on is held. */
  reachesTo(partition: number): number {
    return this.#partitions[partition]!.from;
  }

  /** Whether a message of the topic at or after an offset is held. */
  has(partition: number, topicId: string, offset: number): boolean {
    return (this.#partitions[partition]!.newest.get(topicId) ?? -1) >= offset;
  }

  /** The messages from this offset on, oldest first; undefined if some of them are no longer held. */
  since(partition: number, offset: number): Message[] | undefined {
    const part = this.#partitions[partition]!;
    if (offset < part.from) return undefined;
    let low = part.head;
    let high = part.messages.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (part.messages[middle]!.offset < offset) low = middle + 1;
      else high = middle;
    }
    // From `low` on no place is empty.
    return part.messages.slice(low) as Message[];
  }
}
