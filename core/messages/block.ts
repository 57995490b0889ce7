// A block: what stands in 1,000 offsets of one partition of `messages`, without the bodies (ARCHITECTURE §2, A4.2, A4.4). Finished blocks
// are written to the log, and found in the replica.
import { textOf } from "../log/log.ts";

export const BLOCK_OFFSETS = 1_000;
/** If a topic has more messages in a block, the whole block is read; otherwise each message is read by itself. */
const MOST_PLACES = 16;

const TOPIC_ID_LENGTH = 43;

/** A message that was published with an idempotency key. */
export interface Keyed {
  readonly offset: number;
  readonly topicId: string;
  /** The message id, a hash of client, topic and key. */
  readonly id: string;
  /** When the log took it, ms since 1970. */
  readonly time: number;
  /** base64url(SHA-256(body)). */
  readonly sha256: string;
  /** The offset of the message that this one repeats, which itself is not a repeat; undefined: this message is not a repeat. */
  readonly first: number | undefined;
}

/** Where a topic has messages in a block. */
export interface TopicInBlock {
  readonly block: number;
  /** The offsets of its messages; undefined: so many that the block is read whole. */
  readonly offsets: readonly number[] | undefined;
}

/** The number of the block that an offset is in. */
export function blockOf(offset: number): number {
  return Math.floor(offset / BLOCK_OFFSETS);
}

/** The store in which finished blocks are looked up, after they were followed from the log (core/replica/blocks.ts). */
export interface BlockStore {
  /** The newest block of a partition; undefined if there is none. */
  newestBlock(partition: number): Promise<number | undefined>;
  /** Every message with one of these ids, as far as blocks are kept. */
  keyed(partition: number, ids: readonly string[]): Promise<Keyed[]>;
  /** The offsets of repeats from `from` on, before `to`. */
  repeats(partition: number, from: number, to: number): Promise<number[]>;
  /** How many repeats a topic has from the offset `from` on, before the offset `before`. */
  countRepeats(partition: number, topicId: string, from: number, before: number): Promise<number>;
  /** The blocks that have the topic, from a block on, in order, at most `limit`. */
  places(partition: number, topicId: string, fromBlock: number, limit: number): Promise<TopicInBlock[]>;
  /** The topics that have a message in a block of a partition from this one on; only if the log has no index by key. */
  topicsFrom(partition: number, fromBlock: number): Promise<string[]>;
  /** Calls `stored` when a block can be found here. Returns a function that ends this. */
  onBlock(stored: (partition: number, block: number) => void): () => void;
}

/** A block while it is filled, and until the store has it. */
export class Block {
  readonly number: number;
  readonly #topics = new Map<string, number[]>();
  readonly #keyed = new Map<number, Keyed>();
  /** When its last message was appended, ms since 1970. */
  time = 0;
  isEmpty = true;

  constructor(number: number) {
    this.number = number;
  }

  add({ offset, key, time }: { offset: number; key: string; time: number }, keyed?: Keyed): void {
    this.isEmpty = false;
    this.time = Math.max(this.time, time);
    // A record that is not of our making is of no topic (§6.6).
    if (key.length !== TOPIC_ID_LENGTH) return;
    const offsets = this.#topics.get(key);
    if (offsets === undefined) this.#topics.set(key, [offset]);
    else if (offsets.length <= MOST_PLACES) offsets.push(offset);
    if (keyed !== undefined) this.#keyed.set(offset, keyed);
  }

  get keyed(): Iterable<Keyed> {
    return this.#keyed.values();
  }
  topics(): Iterable<string> {
    return this.#topics.keys();
  }
  place(topicId: string): TopicInBlock | undefined {
    const offsets = this.#topics.get(topicId);
    if (offsets === undefined) return undefined;
    return { block: this.number, offsets: offsets.length > MOST_PLACES ? undefined : offsets };
  }
}

/** A block as JSON in the stream; offsets count from the start of the block. */
interface BlockRecord {
  readonly block: number;
  readonly time: number;
  /** Topic ids, with their offsets or null for many. */
  readonly topics: readonly (readonly [topicId: string, offsets: readonly number[] | null])[];
  /** `topic` is an index in `topics`; `first`, null unless it is a repeat, is an offset in the log. */
  readonly keyed: readonly (readonly [
    offset: number,
    topic: number,
    id: string,
    time: number,
    sha256: string,
    first: number | null,
  ])[];
}

export function encodeBlock(block: Block): Uint8Array {
  const from = block.number * BLOCK_OFFSETS;
  const topicIds = [...block.topics()];
  const indexOf = new Map(topicIds.map((topicId, index) => [topicId, index]));
  const record: BlockRecord = {
    block: block.number,
    time: block.time,
    topics: topicIds.map((topicId) => [topicId, block.place(topicId)!.offsets?.map((offset) => offset - from) ?? null]),
    keyed: [...block.keyed].map(({ offset, topicId, id, time, sha256, first }) => [
      offset - from,
      indexOf.get(topicId)!,
      id,
      time,
      sha256,
      first ?? null,
    ]),
  };
  return Buffer.from(JSON.stringify(record));
}

export interface DecodedBlock {
  readonly number: number;
  readonly time: number;
  readonly topics: readonly { readonly topicId: string; readonly offsets: readonly number[] | undefined }[];
  readonly keyed: readonly Keyed[];
}

/** Blocks are written by this code: they are parsed, and not checked again. */
export function decodeBlock(value: Uint8Array): DecodedBlock {
  const { block, time, topics, keyed } = JSON.parse(textOf(value)) as BlockRecord;
  const from = block * BLOCK_OFFSETS;
  return {
    number: block,
    time,
    topics: topics.map(([topicId, offsets]) => ({ topicId, offsets: offsets?.map((offset) => from + offset) })),
    keyed: keyed.map(([offset, topic, id, time, sha256, first]) => ({
      offset: from + offset,
      topicId: topics[topic]![0],
      id,
      time,
      sha256,
      first: first ?? undefined,
    })),
  };
}
