// The newest messages of each partition, so that a lane can join the tail in one synchronous step (A4.1).
import { type Message, sizeOf } from "./message.ts";

/** Enough for any join at the tail. */
export const RING_BYTES = 8 * 1024 * 1024;

interface Part {
  /** Every message of the partition from this offset to the tail is held. */
  from: number;
  /** Its first `head` places are empty: what was dropped is not held here. */
  messages: (Message | undefined)[];
  head: number;
  /** The offset of each topic's newest message that is held. */
  readonly newest: Map<string, number>;
}

export class Ring {
  readonly #parts: Part[];
  /** All messages in order of arrival, to drop the oldest of any partition. */
  #order: (Message | undefined)[] = [];
  #orderHead = 0;
  #bytes = 0;

  /** `from`: where the tail begins, per partition. */
  constructor(from: readonly number[]) {
    this.#parts = from.map((offset) => ({ from: offset, messages: [], head: 0, newest: new Map() }));
  }

  add(message: Message): void {
    const { messages, newest } = this.#parts[message.partition]!;
    messages.push(message);
    newest.set(message.topicId, message.offset);
    this.#order.push(message);
    this.#bytes += sizeOf(message);
    while (this.#bytes > RING_BYTES) {
      const oldest = this.#order[this.#orderHead]!;
      this.#order[this.#orderHead++] = undefined;
      this.#bytes -= sizeOf(oldest);
      const part = this.#parts[oldest.partition]!;
      part.from = oldest.offset + 1;
      if (part.newest.get(oldest.topicId) === oldest.offset) part.newest.delete(oldest.topicId);
      part.messages[part.head++] = undefined;
      if (part.head > 1_024 && part.head * 2 > part.messages.length) {
        part.messages = part.messages.slice(part.head);
        part.head = 0;
      }
    }
    if (this.#orderHead > 1_024 && this.#orderHead * 2 > this.#order.length) {
      this.#order = this.#order.slice(this.#orderHead);
      this.#orderHead = 0;
    }
  }

  /** The tail jumped: what was before this offset is not to be had here. */
  skipTo(partition: number, offset: number): void {
    const part = this.#parts[partition]!;
    part.from = Math.max(part.from, offset);
  }

  /** From this offset of a partition on every message is held. */
  reachesTo(partition: number): number {
    return this.#parts[partition]!.from;
  }

  /** Whether a message of the topic is held that stands at or after an offset. */
  has(partition: number, topicId: string, offset: number): boolean {
    return (this.#parts[partition]!.newest.get(topicId) ?? -1) >= offset;
  }

  /** The messages from this offset on, oldest first; undefined if some of them are no longer held. */
  since(partition: number, offset: number): Message[] | undefined {
    const part = this.#parts[partition]!;
    if (offset < part.from) return undefined;
    let low = part.head;
    let high = part.messages.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (part.messages[middle]!.offset < offset) low = middle + 1;
      else high = middle;
    }
    // All places from `low` on are taken.
    return part.messages.slice(low) as Message[];
  }
}
