// The newest blocks of one partition, in memory: those that are finished and not in the store yet, and the one that is being filled.
import type { Batch, LogRecord, ShardRecord } from "../log/log.ts";
import { Block, BLOCK_OFFSETS, blockOf, encodeBlock, type Keyed } from "./block.ts";
import { isKeyed, MESSAGE_HEADERS } from "./message.ts";

export type BlockToWrite = ShardRecord & { readonly partition: number };

export interface RecentBlocksOptions {
  readonly partition: number;
  /** Everything before this offset is in the store, or no longer in the log. */
  readonly next: number;
  /** How long a key is remembered, ms. */
  readonly rememberMs: number;
  /** A block is finished. */
  readonly write: (record: BlockToWrite) => void;
}

export class RecentBlocks {
  readonly #options: RecentBlocksOptions;
  #next: number;
  #filling: Block;
  /** Finished blocks that are not in the store yet; oldest first. */
  readonly #waiting = new Map<number, Block>();
  /** Blocks that the store had first, since another process's tail was quicker; the value is the block once it is finished here. */
  readonly #ahead = new Map<number, Block | undefined>();
  /** The keyed messages in memory, by id and in order. */
  readonly #byId = new Map<string, Keyed[]>();

  constructor(options: RecentBlocksOptions) {
    this.#options = options;
    this.#next = options.next;
    this.#filling = new Block(blockOf(options.next));
  }

  /** Everything before this offset was taken in. */
  get next(): number {
    return this.#next;
  }
  /** Oldest first. Blocks before them are in the store; these may be there too. */
  get blocks(): Block[] {
    return [...this.#waiting.values(), this.#filling];
  }
  /** Blocks that are finished and not in the store yet. */
  get waiting(): number {
    return this.#waiting.size;
  }
  /** The same blocks as records, for their next writer (A3.2). */
  get unwritten(): BlockToWrite[] {
    return [...this.#waiting.values()].map((block) => this.#toWrite(block));
  }
  /** The messages of a key that are in memory, oldest first. */
  keyed(id: string): readonly Keyed[] {
    return this.#byId.get(id) ?? NO_MESSAGES;
  }

  /**
   * Takes in a batch of the tail, in one synchronous step. `found`: by id, the newest message of a key that only the store has.
   * Returns the offsets of new repeats.
   */
  add(batch: Batch, found: ReadonlyMap<string, Keyed>): number[] {
    const repeats: number[] = [];
    for (const record of batch.records) {
      if (record.offset < this.#next) continue;
      this.#openBlock(record.offset);
      const keyed = isKeyed(record) ? this.#resolve(record, found) : undefined;
      this.#filling.add(record, keyed);
      if (keyed?.first !== undefined) repeats.push(record.offset);
    }
    if (batch.next > this.#next) {
      this.#next = batch.next;
      this.#openBlock(batch.next);
    }
    // Blocks are forgotten only now: later messages of the batch were still looked up in them.
    for (const [number, block] of this.#ahead) {
      if (block === undefined) continue;
      this.#ahead.delete(number);
      this.#forget(block);
    }
    return repeats;
  }

  /** The store has a block. Returns whether the block waited for that. */
  stored(number: number): boolean {
    const block = this.#waiting.get(number);
    if (block === undefined) {
      if (number >= this.#filling.number) this.#ahead.set(number, undefined);
      return false;
    }
    this.#waiting.delete(number);
    this.#forget(block);
    return true;
  }

  #resolve(record: LogRecord, found: ReadonlyMap<string, Keyed>): Keyed {
    const id = record.headers[MESSAGE_HEADERS.id]!;
    const { offset, time, key: topicId } = record;
    const all = this.#byId.get(id);
    const newest = all?.at(-1) ?? found.get(id);
    // A4.4: the earlier message stands less than this before it by the log's clock, and may be a repeat itself.
    const isRepeat = newest !== undefined && time - newest.time < this.#options.rememberMs;
    const first = isRepeat ? newest.first ?? newest.offset : undefined;
    const keyed = { offset, topicId, id, time, sha256: record.headers[MESSAGE_HEADERS.sha256]!, first };
    if (all === undefined) this.#byId.set(id, [keyed]);
    else all.push(keyed);
    return keyed;
  }

  /** The block of this offset is the one that is filled; the block before it is finished. */
  #openBlock(offset: number): void {
    const number = blockOf(offset);
    const filled = this.#filling;
    if (number === filled.number) return;
    this.#filling = new Block(number);
    if (filled.isEmpty) return;
    if (this.#ahead.has(filled.number)) return void this.#ahead.set(filled.number, filled);
    this.#waiting.set(filled.number, filled);
    this.#options.write(this.#toWrite(filled));
  }

  /** The store answers for this block from now on. */
  #forget({ number, keyed }: Block): void {
    for (const { id } of keyed) {
      const left = this.#byId.get(id)?.filter(({ offset }) => blockOf(offset) !== number) ?? [];
      if (left.length === 0) this.#byId.delete(id);
      else this.#byId.set(id, left);
    }
  }

  #toWrite(block: Block): BlockToWrite {
    const { partition } = this.#options;
    return { stream: "blocks", partition, key: `${partition}-${block.number}`, value: encodeBlock(block) };
  }
}

/** The offset at which the blocks begin. */
export function startOf([first]: readonly Block[]): number {
  return first!.number * BLOCK_OFFSETS;
}

const NO_MESSAGES: readonly Keyed[] = [];
