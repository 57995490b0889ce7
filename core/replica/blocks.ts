// The replica's copy of `blocks`: the block index looks up here what has been followed (A4.2, A4.4).
import type { LibSQLDatabase } from "drizzle-orm/libsql";
import { BLOCK_OFFSETS, type BlockStore, decodeBlock, type Keyed, type TopicInBlock } from "../messages/block.ts";
import type { Batch } from "../log/log.ts";
import { slicesOf } from "../sqlite/database.ts";
import { and, desc, eq, gte, inArray, isNotNull, lt, sql } from "./drizzle.ts";
import { blocks, blockTopics, keyed } from "./schema.ts";
import { nextTurn } from "../../shared/turn.ts";

/**
 * The statements that add a batch of the stream; a second time they change nothing. `withTopics`: also the topics of each block,
 * for a log without an index by key.
 */
export function blockInserts(db: LibSQLDatabase, { partition, records }: Batch, withTopics: boolean) {
  const found = records.flatMap(({ value }) => value === null ? [] : decodeBlock(value));
  const ofKeyed = found.flatMap((block) =>
    block.keyed.map(({ first = null, ...rest }) => ({ partition, ...rest, first }))
  );
  const ofTopics = !withTopics ? [] : found.flatMap(({ number, topics }) =>
    topics.map(({ topicId, offsets }) => ({
      partition,
      topicId,
      block: number,
      offsets: offsets === undefined ? null : JSON.stringify(offsets),
    }))
  );
  const ofBlocks = found.map(({ number, time }) => ({ partition, block: number, time }));
  return [
    ...slicesOf(ofBlocks).map((rows) => db.insert(blocks).values(rows).onConflictDoNothing()),
    ...slicesOf(ofKeyed).map((rows) => db.insert(keyed).values(rows).onConflictDoNothing()),
    ...slicesOf(ofTopics).map((rows) => db.insert(blockTopics).values(rows).onConflictDoNothing()),
  ];
}

/** The blocks of a replica's file. */
export class StoredBlocks implements BlockStore {
  readonly #db: LibSQLDatabase;
  readonly #listeners = new Set<(partition: number, block: number) => void>();

  constructor(db: LibSQLDatabase) {
    this.#db = db;
  }

  /** Tells the listeners which blocks a batch brought, after it was written. */
  written({ partition, records }: Batch): void {
    if (this.#listeners.size === 0) return;
    for (const { value } of records) {
      if (value === null) continue;
      const { number } = decodeBlock(value);
      for (const listener of this.#listeners) listener(partition, number);
    }
  }

  onBlock(listener: (partition: number, block: number) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async newestBlock(partition: number): Promise<number | undefined> {
    const [row] = await this.#db.select({ block: blocks.block }).from(blocks).where(eq(blocks.partition, partition))
      .orderBy(desc(blocks.block)).limit(1);
    return row?.block;
  }

  async keyed(partition: number, ids: readonly string[]): Promise<Keyed[]> {
    const found: Keyed[] = [];
    for (const some of slicesOf(ids)) {
      const rows = await this.#db.select().from(keyed)
        .where(and(eq(keyed.partition, partition), inArray(keyed.id, some)));
      for (const { partition: _, first, ...rest } of rows) found.push({ ...rest, first: first ?? undefined });
    }
    return found;
  }

  async repeats(partition: number, from: number, to: number): Promise<number[]> {
    const rows = await this.#db.select({ offset: keyed.offset }).from(keyed)
      .where(
        and(eq(keyed.partition, partition), gte(keyed.offset, from), lt(keyed.offset, to), isNotNull(keyed.first)),
      );
    return rows.map(({ offset }) => offset);
  }

  async countRepeats(partition: number, topicId: string, from: number, before: number): Promise<number> {
    const [row] = await this.#db.select({ count: sql<number>`count(*)` }).from(keyed)
      .where(and(
        eq(keyed.partition, partition),
        gte(keyed.offset, from),
        lt(keyed.offset, before),
        eq(keyed.topicId, topicId),
        isNotNull(keyed.first),
      ));
    return Number(row!.count);
  }

  async places(partition: number, topicId: string, fromBlock: number, limit: number): Promise<TopicInBlock[]> {
    const { block, offsets } = blockTopics;
    const rows = await this.#db.select({ block, offsets }).from(blockTopics)
      .where(and(eq(blockTopics.partition, partition), eq(blockTopics.topicId, topicId), gte(block, fromBlock)))
      .orderBy(block).limit(limit);
    return rows.map((row) => ({
      block: row.block,
      offsets: row.offsets === null ? undefined : JSON.parse(row.offsets) as number[],
    }));
  }

  async topicsFrom(partition: number, fromBlock: number): Promise<string[]> {
    const rows = await this.#db.selectDistinct({ topicId: blockTopics.topicId }).from(blockTopics)
      .where(and(eq(blockTopics.partition, partition), gte(blockTopics.block, fromBlock)));
    return rows.map(({ topicId }) => topicId);
  }
}

const SLICE_BLOCKS = 16;

/** Deletes the blocks whose last message is older than a time (ms since 1970), in slices. */
export async function sweepBlocks(db: LibSQLDatabase, before: number): Promise<void> {
  for (;;) {
    const old = await db.select().from(blocks).where(lt(blocks.time, before)).limit(SLICE_BLOCKS);
    if (old.length === 0) return;
    for (const { partition, block } of old) {
      const from = block * BLOCK_OFFSETS;
      await db.batch([
        db.delete(keyed).where(
          and(eq(keyed.partition, partition), gte(keyed.offset, from), lt(keyed.offset, from + BLOCK_OFFSETS)),
        ),
        db.delete(blockTopics).where(and(eq(blockTopics.partition, partition), eq(blockTopics.block, block))),
        db.delete(blocks).where(and(eq(blocks.partition, partition), eq(blocks.block, block))),
      ]);
    }
    // The event loop has its turn between slices (ARCHITECTURE §4).
    await nextTurn();
  }
}
