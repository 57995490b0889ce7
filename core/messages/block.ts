// A block: what stands in 1,000 offsets of one partition of `messages`, without its bodies (ARCHITECTURE §2, A4.2, A4.4).

export const BLOCK_OFFSETS = 1_000;
/** A topic with more messages in a block is read by reading the block; with fewer, each is read by itself. */
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
  /** Of a repeat: the offset of the message it repeats, which is none itself. */
  readonly first: number | undefined;
}

/** Where a topic stands in a block. */
export interface TopicInBlock {
  readonly block: number;
  /** The offsets of its messages; undefined: so many that the block is read whole. */
  readonly offsets: readonly number[] | undefined;
}

/** Of which block an offset is. */
export function blockOf(offset: number): number {
  return Math.floor(offset / BLOCK_OFFSETS);
}

/** A block while it is filled, and until it is followed from the log. */
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
    // Whatever else may stand in the log is of no topic (§6.6).
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

/** As JSON in the stream; the offsets are those within the block. */
interface BlockRecord {
  readonly block: number;
  readonly time: number;
  /** Topic ids, with their offsets or null for many. */
  readonly topics: readonly (readonly [topicId: string, offsets: readonly number[] | null])[];
  /** The topic by its place in `topics`; the last term, of a repeat, is the whole offset of its first. */
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

/** Blocks are our own, written by this code: they are parsed, not checked again. */
export function decodeBlock(value: Uint8Array): DecodedBlock {
  const text = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString();
  const { block, time, topics, keyed } = JSON.parse(text) as BlockRecord;
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
