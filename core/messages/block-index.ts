// The block index of this process: the blocks in its replica, those finished but not followed yet, and the one being filled.
// The tail fills it; tail, catch-up and missed-message reads ask it which messages are repeats, and where a topic stands.
import { isKeyed, MESSAGE_HEADERS } from "./message.ts";
import type { Batch, Log, LogRecord, ShardRecord } from "../log/log.ts";
import { Block, BLOCK_OFFSETS, blockOf, encodeBlock, type Keyed, type TopicInBlock } from "./block.ts";
import type { BlockStore } from "./block-store.ts";

export interface BlockIndexOptions {
  readonly log: Pick<Log, "read" | "start">;
  readonly store: BlockStore;
  /** How long a key is remembered, ms: min(24 h, RETENTION). */
  readonly rememberMs: number;
  /** Whether this process has the shard that writes a partition's blocks; default: yes, for the one process of an embedded log. */
  readonly owns?: (partition: number) => boolean;
  /** A block is complete: its partition's shard is to write it, if it is here. A second time it changes nothing. */
  readonly write: (record: BlockToWrite) => void;
}

export type BlockToWrite = ShardRecord & { readonly partition: number };

/** What a batch of the tail is joined with: the offsets of its repeats. */
export type Repeats = ReadonlySet<number>;

const NONE: Repeats = new Set();
const CHUNK_BYTES = 4 * 1024 * 1024;
/** While the index is read again from the log, so many blocks may wait to be followed. */
const MOST_WAITING = 64;

interface Part {
  /** Everything before this offset is in the index. */
  next: number;
  filling: Block;
  /** Finished, and not in the store yet; oldest first. */
  readonly waiting: Map<number, Block>;
  /** In the store before they were finished here, as another process's tail was quicker; with the block once it is. */
  readonly ahead: Map<number, Block | undefined>;
  /** The keyed messages of `filling` and `waiting`, by id and in order. */
  readonly byId: Map<string, Keyed[]>;
}

/**
 * Opens the index: what no block was written of is read again from the log, up to where the tail begins.
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
      await index.fewWait(partition);
    }
  }
  return index;
}

export class BlockIndex {
  readonly #options: BlockIndexOptions;
  readonly #parts: Part[];
  #followed: (() => void)[] = [];
  readonly #unwatch: () => void;

  constructor(options: BlockIndexOptions, next: readonly number[]) {
    this.#options = options;
    this.#parts = next.map((offset) => ({
      next: offset,
      filling: new Block(blockOf(offset)),
      waiting: new Map(),
      ahead: new Map(),
      byId: new Map(),
    }));
    this.#unwatch = options.store.onBlock((partition, block) => this.#onFollowed(partition, block));
  }

  /** Everything of a partition before this offset is in the index: no read goes further. */
  reach(partition: number): number {
    return this.#parts[partition]!.next;
  }

  /**
   * Takes in what the tail brings, and yields the repeats among it; at once if no message has a key. Of one partition one
   * batch at a time; the same batch again changes nothing.
   */
  pass(batch: Batch): Repeats | Promise<Repeats> {
    const keyed = batch.records.filter(isKeyed);
    if (keyed.length > 0) return this.#passKeyed(batch, keyed);
    this.#take(batch, NOTHING_FOUND);
    return NONE;
  }

  /** The repeats from an offset on, before another one that the index reaches. */
  repeats(partition: number, from: number, to: number): Promise<Repeats> {
    return this.#repeats(this.#parts[partition]!, partition, from, to);
  }

  /** How many of a topic's messages from an offset on are repeats. */
  async countRepeats(partition: number, topicId: string, from: number): Promise<number> {
    const inMemory = blocksOf(this.#parts[partition]!);
    let count = 0;
    for (const block of inMemory) {
      for (const { offset, topicId: of, first } of block.keyed) {
        if (first !== undefined && of === topicId && offset >= from) count++;
      }
    }
    const before = inMemory[0]!.number * BLOCK_OFFSETS;
    return from >= before ? count : count + await this.#options.store.countRepeats(partition, topicId, from, before);
  }

  /** The first message of a key that is still remembered at `now` (ms), so that another with it would be its repeat. */
  async remembered(partition: number, id: string, now: number): Promise<Keyed | undefined> {
    const all = await this.#occurrences(partition, id);
    const newest = all.at(-1);
    if (newest === undefined || now - newest.time >= this.#options.rememberMs) return undefined;
    return firstOf(newest, all);
  }

  /** Of a keyed message that the index has passed: itself, or the first that it repeats. */
  async firstOf(partition: number, id: string, offset: number): Promise<Keyed | undefined> {
    const inMemory = this.#parts[partition]!.byId.get(id)?.find((keyed) => keyed.offset === offset);
    if (inMemory !== undefined && inMemory.first === undefined) return inMemory;
    const all = await this.#occurrences(partition, id);
    const found = all.find((keyed) => keyed.offset === offset);
    return found && firstOf(found, all);
  }

  /**
   * Where the topic stands from an offset on, block by block, at most `limit` of them. `until`: all before it is told.
   */
  async places(
    partition: number,
    topicId: string,
    from: number,
    limit: number,
  ): Promise<{ readonly places: readonly TopicInBlock[]; readonly until: number }> {
    const part = this.#parts[partition]!;
    const fromBlock = blockOf(from);
    const inMemory = blocksOf(part);
    const firstInMemory = inMemory[0]!.number;
    const until = part.next;
    const rest = inMemory.flatMap((block) => block.number < fromBlock ? [] : block.place(topicId) ?? []);
    if (fromBlock >= firstInMemory) return { places: rest, until };
    const places = await this.#options.store.places(partition, topicId, fromBlock, limit);
    // What was followed meanwhile stands in both.
    const stored = places.filter(({ block }) => block < firstInMemory);
    if (stored.length < limit) return { places: [...stored, ...rest], until };
    return { places: stored, until: (stored.at(-1)!.block + 1) * BLOCK_OFFSETS };
  }

  /** What its writer has not written of a partition: for the next one, whose replica has read all that was (A3.2). */
  unwritten(partition: number): BlockToWrite[] {
    return [...this.#parts[partition]!.waiting.values()].map((block) => toWrite(partition, block));
  }

  /** The topics that may have a message in a partition from an offset on, as far as the index reaches; of whole blocks. */
  async topicsFrom(partition: number, from: number): Promise<{ readonly topics: Set<string>; readonly until: number }> {
    const part = this.#parts[partition]!;
    const fromBlock = blockOf(from);
    // Memory first: what leaves it meanwhile is in the store already.
    const topics = new Set(blocksOf(part).flatMap((block) => block.number < fromBlock ? [] : [...block.topics()]));
    const until = part.next;
    for (const topicId of await this.#options.store.topicsFrom(partition, fromBlock)) topics.add(topicId);
    return { topics, until };
  }

  /** Resolves when few blocks of a partition wait to be followed; at once where others write them, or nobody yet. */
  async fewWait(partition: number): Promise<void> {
    const { owns } = this.#options;
    while (this.#parts[partition]!.waiting.size > MOST_WAITING && owns?.(partition) !== false) {
      await new Promise<void>((resolve) => this.#followed.push(resolve));
    }
  }

  close(): void {
    this.#unwatch();
    for (const resolve of this.#followed.splice(0)) resolve();
  }

  // ── filling ────────────────────────────────────────────────────────────────────────────────────────────────────────

  async #passKeyed(batch: Batch, keyed: readonly LogRecord[]): Promise<Repeats> {
    const { partition } = batch;
    const part = this.#parts[partition]!;
    const old = keyed.filter(({ offset }) => offset < part.next);
    const repeats = old.length === 0
      ? new Set<number>()
      : await this.#repeats(part, partition, old[0]!.offset, old.at(-1)!.offset + 1);
    // Memory first: what leaves it meanwhile is in the store already.
    const found = new Map<string, Keyed>();
    const unknown: string[] = [];
    for (const { offset, headers } of keyed) {
      if (offset < part.next) continue;
      const id = headers[MESSAGE_HEADERS.id]!;
      const newest = part.byId.get(id)?.at(-1);
      if (newest === undefined) unknown.push(id);
      else found.set(id, newest);
    }
    if (unknown.length > 0) {
      for (const one of await this.#options.store.keyed(partition, unknown)) {
        // Another process may have written more than this one has passed: these very messages too, which are no repeats of themselves.
        if (one.offset < part.next && one.offset > (found.get(one.id)?.offset ?? -1)) found.set(one.id, one);
      }
    }
    // From here to the end it is one synchronous step.
    return new Set([...repeats, ...this.#take(batch, found)]);
  }

  /** Yields the offsets of new repeats. */
  #take(batch: Batch, found: ReadonlyMap<string, Keyed>): number[] {
    const { partition } = batch;
    const part = this.#parts[partition]!;
    const repeats: number[] = [];
    for (const record of batch.records) {
      if (record.offset < part.next) continue;
      this.#openBlock(part, partition, record.offset);
      const keyed = isKeyed(record) ? this.#resolve(part, record, found) : undefined;
      part.filling.add(record, keyed);
      if (keyed?.first !== undefined) repeats.push(record.offset);
    }
    if (batch.next > part.next) {
      part.next = batch.next;
      this.#openBlock(part, partition, batch.next);
    }
    // Only now: what came later in the batch was looked up in memory.
    for (const [number, block] of part.ahead) {
      if (block === undefined) continue;
      part.ahead.delete(number);
      forget(part, block);
    }
    return repeats;
  }

  #resolve(part: Part, record: LogRecord, found: ReadonlyMap<string, Keyed>): Keyed {
    const id = record.headers[MESSAGE_HEADERS.id]!;
    const { offset, time, key: topicId } = record;
    const newest = part.byId.get(id)?.at(-1) ?? found.get(id);
    // A4.4: less than this before it by the log's clock, itself a repeat or not.
    const isRepeat = newest !== undefined && time - newest.time < this.#options.rememberMs;
    const first = isRepeat ? newest.first ?? newest.offset : undefined;
    const keyed = { offset, topicId, id, time, sha256: record.headers[MESSAGE_HEADERS.sha256]!, first };
    const all = part.byId.get(id);
    if (all === undefined) part.byId.set(id, [keyed]);
    else all.push(keyed);
    return keyed;
  }

  /** The block of this offset is the one that is filled; the one before is finished. */
  #openBlock(part: Part, partition: number, offset: number): void {
    const number = blockOf(offset);
    const { filling } = part;
    if (number === filling.number) return;
    part.filling = new Block(number);
    if (filling.isEmpty) return;
    if (part.ahead.has(filling.number)) return void part.ahead.set(filling.number, filling);
    part.waiting.set(filling.number, filling);
    this.#options.write(toWrite(partition, filling));
  }

  #onFollowed(partition: number, number: number): void {
    const part = this.#parts[partition];
    if (part === undefined) return;
    const block = part.waiting.get(number);
    if (block === undefined) {
      if (number >= part.filling.number) part.ahead.set(number, undefined);
      return;
    }
    part.waiting.delete(number);
    forget(part, block);
    for (const resolve of this.#followed.splice(0)) resolve();
  }

  // ── looking up ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Oldest first. */
  async #occurrences(partition: number, id: string): Promise<Keyed[]> {
    // Memory first: what leaves it meanwhile is in the store already.
    const inMemory = this.#parts[partition]!.byId.get(id) ?? [];
    const stored = await this.#options.store.keyed(partition, [id]);
    const all = new Map([...stored, ...inMemory].map((keyed) => [keyed.offset, keyed]));
    return [...all.values()].toSorted((a, b) => a.offset - b.offset);
  }

  async #repeats(part: Part, partition: number, from: number, to: number): Promise<Set<number>> {
    const found = new Set<number>();
    const inMemory = blocksOf(part);
    for (const block of inMemory) {
      for (const { offset, first } of block.keyed) {
        if (first !== undefined && offset >= from && offset < to) found.add(offset);
      }
    }
    if (from < inMemory[0]!.number * BLOCK_OFFSETS) {
      for (const offset of await this.#options.store.repeats(partition, from, to)) found.add(offset);
    }
    return found;
  }
}

/** What is in the store needs no memory. */
function forget(part: Part, { number, keyed }: Block): void {
  for (const { id } of keyed) {
    const left = part.byId.get(id)?.filter(({ offset }) => blockOf(offset) !== number) ?? [];
    if (left.length === 0) part.byId.delete(id);
    else part.byId.set(id, left);
  }
}

function toWrite(partition: number, block: Block): BlockToWrite {
  return { stream: "blocks", partition, key: `${partition}-${block.number}`, value: encodeBlock(block) };
}

/** Those in memory, oldest first; each stands behind all that are in the store, or is there too. */
function blocksOf({ waiting, filling }: Part): Block[] {
  return [...waiting.values(), filling];
}

const NOTHING_FOUND: ReadonlyMap<string, Keyed> = new Map();

function firstOf(keyed: Keyed, all: readonly Keyed[]): Keyed {
  return all.find(({ offset }) => offset === keyed.first) ?? keyed;
}
