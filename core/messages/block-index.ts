// The block index of this process: the blocks in its replica (the store), and the newest ones in memory. The tail fills it. The tail,
// catch-up and reads of missed messages ask it which messages are repeats (A4.4), and where a topic has messages (A4.2).
import type { Batch, Log, LogRecord } from "../log/log.ts";
import { BLOCK_OFFSETS, blockOf, type BlockStore, type Keyed, type TopicInBlock } from "./block.ts";
import { isKeyed, MESSAGE_HEADERS } from "./message.ts";
import { type BlockToWrite, RecentBlocks, startOf } from "./recent-blocks.ts";

export interface BlockIndexOptions {
  readonly log: Pick<Log, "read" | "start">;
  readonly store: BlockStore;
  /** How long a key is remembered, ms: min(24 h, RETENTION). */
  readonly rememberMs: number;
  /** Whether this process has the shard that writes a partition's blocks. Default: yes, as the one process of an embedded log has. */
  readonly owns?: (partition: number) => boolean;
  /** A block is finished: the shard of its partition writes it, if it is here. To write it twice changes nothing. */
  readonly write: (record: BlockToWrite) => void;
}

/** The offsets of a batch's repeats. */
export type Repeats = ReadonlySet<number>;

const NONE: Repeats = new Set();
const NOTHING_FOUND: ReadonlyMap<string, Keyed> = new Map();
const CHUNK_BYTES = 4 * 1024 * 1024;
/** The most blocks that wait for the store while the index reads the log again. */
const MOST_WAITING = 64;

/**
 * Opens the index, and reads the part of the log again that no block covers, up to where the tail begins.
 * @throws {LogError} "unavailable", "closed"
 */
export async function openBlockIndex(options: BlockIndexOptions, to: readonly number[]): Promise<BlockIndex> {
  const { log, store } = options;
  const next = await Promise.all(to.map(async (_, partition) => {
    const newest = await store.newestBlock(partition);
    return Math.max(newest === undefined ? 0 : (newest + 1) * BLOCK_OFFSETS, await log.start("messages", partition));
  }));
  const index = new BlockIndex(options, next);
  for (const [partition, end] of to.entries()) {
    for (let from = next[partition]!; from < end;) {
      const chunk = await log.read("messages", partition, from, { maxBytes: CHUNK_BYTES });
      await index.pass({ stream: "messages", partition, ...chunk });
      from = chunk.next;
      await index.storeCatchesUp(partition);
    }
  }
  return index;
}

// Every lookup asks memory first: a block that leaves memory meanwhile is in the store already.
export class BlockIndex {
  readonly #options: BlockIndexOptions;
  readonly #recent: readonly RecentBlocks[];
  #stored: (() => void)[] = [];
  readonly #unwatch: () => void;

  constructor(options: BlockIndexOptions, nexts: readonly number[]) {
    const { store, rememberMs, write } = options;
    this.#options = options;
    this.#recent = nexts.map((next, partition) => new RecentBlocks({ partition, next, rememberMs, write }));
    this.#unwatch = store.onBlock((partition, block) => {
      if (this.#recent[partition]?.stored(block) === true) this.#wake();
    });
  }

  /** Everything of a partition before this offset is in the index: no read goes further. */
  reach(partition: number): number {
    return this.#recent[partition]!.next;
  }

  // ── filling ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Takes in what the tail brings, and returns the repeats among it; at once if no message has a key. A partition's batches come one at
   * a time; the same batch again changes nothing.
   */
  pass(batch: Batch): Repeats | Promise<Repeats> {
    const keyed = batch.records.filter(isKeyed);
    if (keyed.length > 0) return this.#passKeyed(batch, keyed);
    this.#recent[batch.partition]!.add(batch, NOTHING_FOUND);
    return NONE;
  }

  async #passKeyed(batch: Batch, keyed: readonly LogRecord[]): Promise<Repeats> {
    const { partition } = batch;
    const recent = this.#recent[partition]!;
    const old = keyed.filter(({ offset }) => offset < recent.next);
    const repeats = old.length === 0 ? NONE : await this.repeats(partition, old[0]!.offset, old.at(-1)!.offset + 1);
    const found = await this.#newest(partition, keyed.filter(({ offset }) => offset >= recent.next));
    // From here to the end it is one synchronous step.
    return new Set([...repeats, ...recent.add(batch, found)]);
  }

  /** The newest message that stands before these in the index, by id. */
  async #newest(partition: number, keyed: readonly LogRecord[]): Promise<Map<string, Keyed>> {
    const recent = this.#recent[partition]!;
    const found = new Map<string, Keyed>();
    const unknown: string[] = [];
    for (const { headers } of keyed) {
      const id = headers[MESSAGE_HEADERS.id]!;
      const newest = recent.keyed(id).at(-1);
      if (newest === undefined) unknown.push(id);
      else found.set(id, newest);
    }
    if (unknown.length > 0) {
      for (const one of await this.#options.store.keyed(partition, unknown)) {
        // Another process may have written blocks that this one has not passed. Those blocks have these very messages, and a message is
        // not its own repeat.
        if (one.offset < recent.next && one.offset > (found.get(one.id)?.offset ?? -1)) found.set(one.id, one);
      }
    }
    return found;
  }

  /** Finished blocks that the store lacks. A partition's new writer asks for them, after its replica has read the written ones (A3.2). */
  unwritten(partition: number): BlockToWrite[] {
    return this.#recent[partition]!.unwritten;
  }

  /** Resolves when few blocks of a partition wait for the store; at once if this process does not write them. */
  async storeCatchesUp(partition: number): Promise<void> {
    const { owns } = this.#options;
    while (this.#recent[partition]!.waiting > MOST_WAITING && owns?.(partition) !== false) {
      await new Promise<void>((resolve) => this.#stored.push(resolve));
    }
  }

  close(): void {
    this.#unwatch();
    this.#wake();
  }

  #wake(): void {
    for (const resolve of this.#stored.splice(0)) resolve();
  }

  // ── repeats ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The offsets of repeats from `from` on, before `to`, which the index must reach. */
  async repeats(partition: number, from: number, to: number): Promise<Repeats> {
    const found = new Set<number>();
    const { blocks } = this.#recent[partition]!;
    for (const block of blocks) {
      for (const { offset, first } of block.keyed) {
        if (first !== undefined && offset >= from && offset < to) found.add(offset);
      }
    }
    if (from < startOf(blocks)) {
      for (const offset of await this.#options.store.repeats(partition, from, to)) found.add(offset);
    }
    return found;
  }

  /** How many of a topic's messages from an offset on are repeats. */
  async countRepeats(partition: number, topicId: string, from: number): Promise<number> {
    const { blocks } = this.#recent[partition]!;
    let count = 0;
    for (const block of blocks) {
      for (const { offset, topicId: of, first } of block.keyed) {
        if (first !== undefined && of === topicId && offset >= from) count++;
      }
    }
    const before = startOf(blocks);
    return from >= before ? count : count + await this.#options.store.countRepeats(partition, topicId, from, before);
  }

  /** The first message of a key that is still remembered at `now` (ms since 1970), so that another with it would be its repeat. */
  async remembered(partition: number, id: string, now: number): Promise<Keyed | undefined> {
    const all = await this.#occurrences(partition, id);
    const newest = all.at(-1);
    if (newest === undefined || now - newest.time >= this.#options.rememberMs) return undefined;
    return firstOf(newest, all);
  }

  /** For a keyed message that the index has passed: the first message with its key, which may be the message itself. */
  async firstOf(partition: number, id: string, offset: number): Promise<Keyed | undefined> {
    const inMemory = this.#recent[partition]!.keyed(id).find((keyed) => keyed.offset === offset);
    if (inMemory !== undefined && inMemory.first === undefined) return inMemory;
    const all = await this.#occurrences(partition, id);
    const found = all.find((keyed) => keyed.offset === offset);
    return found && firstOf(found, all);
  }

  /** All messages of a key, oldest first. */
  async #occurrences(partition: number, id: string): Promise<Keyed[]> {
    const inMemory = this.#recent[partition]!.keyed(id);
    const stored = await this.#options.store.keyed(partition, [id]);
    const all = new Map([...stored, ...inMemory].map((keyed) => [keyed.offset, keyed]));
    return [...all.values()].toSorted((a, b) => a.offset - b.offset);
  }

  // ── topics ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Where a topic has messages from an offset on, block by block, at most `limit` blocks. `until`: complete before this offset. */
  async places(
    partition: number,
    topicId: string,
    from: number,
    limit: number,
  ): Promise<{ readonly places: readonly TopicInBlock[]; readonly until: number }> {
    const { blocks, next: until } = this.#recent[partition]!;
    const fromBlock = blockOf(from);
    const firstInMemory = blocks[0]!.number;
    const rest = blocks.flatMap((block) => block.number < fromBlock ? [] : block.place(topicId) ?? []);
    if (fromBlock >= firstInMemory) return { places: rest, until };
    const places = await this.#options.store.places(partition, topicId, fromBlock, limit);
    // A block that was stored meanwhile is in both.
    const stored = places.filter(({ block }) => block < firstInMemory);
    if (stored.length < limit) return { places: [...stored, ...rest], until };
    return { places: stored, until: (stored.at(-1)!.block + 1) * BLOCK_OFFSETS };
  }

  /** The topics that may have a message in a partition from an offset on, in whole blocks. `until`: complete before this offset. */
  async topicsFrom(partition: number, from: number): Promise<{ readonly topics: Set<string>; readonly until: number }> {
    const { blocks, next: until } = this.#recent[partition]!;
    const fromBlock = blockOf(from);
    const topics = new Set(blocks.flatMap((block) => block.number < fromBlock ? [] : [...block.topics()]));
    for (const topicId of await this.#options.store.topicsFrom(partition, fromBlock)) topics.add(topicId);
    return { topics, until };
  }
}

function firstOf(keyed: Keyed, all: readonly Keyed[]): Keyed {
  return all.find(({ offset }) => offset === keyed.first) ?? keyed;
}
