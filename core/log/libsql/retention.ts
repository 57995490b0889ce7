// Retention on the embedded log: old records are really deleted, in slices, and their pages are given back to the disk.
import type { Stream } from "../log.ts";
import type { Database } from "../../sqlite/database.ts";
import { nextTurn } from "../../../shared/turn.ts";
import type { BatchWriter } from "./batch-writer.ts";
import { positionAt } from "./reading.ts";
import { tableOf } from "./tables.ts";

const DAY_MS = 86_400_000;
/** Events are kept this long, however short the retention (ARCHITECTURE §2). */
const EVENTS_KEPT_MS = DAY_MS;
/** Blocks are kept longer than their messages, so that every message that is kept has its block (ARCHITECTURE §2). */
const BLOCKS_KEPT_LONGER_MS = DAY_MS;
/** A tombstone stays until every replica has read it (A2.3, delete.retention.ms). */
const TOMBSTONES_KEPT_MS = 7 * DAY_MS;
const SLICE_ROWS = 1_000;
const SLICE_PAGES = 500;
/** Free pages stay in the file for later records, up to this part of it: a sweep frees about an eighth (A2.3). */
const FREE_PART = 1 / 8;

export interface RetentionOptions {
  readonly database: Database;
  /** Records are deleted between its commits. It is told when a sweep fails. */
  readonly writer: BatchWriter;
  /** Wall clock, ms. */
  readonly clock: () => number;
  readonly retentionMs: number;
  /** How often to delete, ms; default an eighth of the retention, 10 minutes at most. */
  readonly sweepMs?: number | undefined;
}

/** Deletes old records again and again. Returns a function that ends this. */
export function startRetention(options: RetentionOptions): () => void {
  const { writer, retentionMs, sweepMs = Math.min(600_000, Math.max(1_000, retentionMs / 8)) } = options;
  let sweeping = false;
  const sweep = async (): Promise<void> => {
    if (sweeping) return;
    sweeping = true;
    try {
      await sweepOnce(options);
    } catch (error) {
      if (!writer.isStopped) writer.fail(error);
    } finally {
      sweeping = false;
    }
  };
  const timer = setInterval(() => void sweep(), sweepMs);
  timer.unref();
  return () => clearInterval(timer);
}

async function sweepOnce({ database, writer, clock, retentionMs }: RetentionOptions): Promise<void> {
  const now = clock();
  const keptMs: readonly (readonly [Stream, number])[] = [
    ["messages", retentionMs],
    ["events", Math.max(retentionMs, EVENTS_KEPT_MS)],
    ["dead-letters", retentionMs],
    ["blocks", retentionMs + BLOCKS_KEPT_LONGER_MS],
  ];
  for (const [stream, kept] of keptMs) {
    const cut = await positionAt(database.read, stream, now - kept, writer.end(stream));
    await deleteInSlices(
      database,
      writer,
      `DELETE FROM ${tableOf(stream)} WHERE offset IN
      (SELECT offset FROM ${tableOf(stream)} WHERE offset < ? ORDER BY offset LIMIT ${SLICE_ROWS})`,
      cut,
    );
  }
  for (const stream of ["topics", "subscriptions", "cursors"] as const) {
    await deleteInSlices(
      database,
      writer,
      `DELETE FROM ${tableOf(stream)} WHERE offset IN
      (SELECT offset FROM ${tableOf(stream)} WHERE value IS NULL AND time < ? LIMIT ${SLICE_ROWS})`,
      now - TOMBSTONES_KEPT_MS,
    );
  }
  await giveBack(database, writer);
}

async function deleteInSlices({ write }: Database, writer: BatchWriter, sql: string, bound: number): Promise<void> {
  for (let deleted = SLICE_ROWS; deleted === SLICE_ROWS;) {
    // The writer skips the task if the log was closed meanwhile, and the loop ends.
    deleted = 0;
    await writer.exclusive(async () => {
      deleted = (await write.execute({ sql, args: [bound] })).rowsAffected;
    });
    // The event loop has its turn between slices (ARCHITECTURE §4).
    await nextTurn();
  }
}

/** Shortens the file by its free pages, in slices. */
async function giveBack({ write, read }: Database, writer: BatchWriter): Promise<void> {
  const pragma = async (name: string) => Number((await read.execute(`PRAGMA ${name}`)).rows[0]?.[name] ?? 0);
  for (let before = Infinity;;) {
    const free = await pragma("freelist_count");
    if (free <= await pragma("page_count") * FREE_PART || free >= before) {
      if (before === Infinity) return;
      // Only a checkpoint shortens the file.
      return await writer.exclusive(async () => void await write.execute("PRAGMA wal_checkpoint(TRUNCATE)"));
    }
    before = free;
    // Not `execute`: it takes one step of the statement, and each step frees one page.
    await writer.exclusive(() => write.executeMultiple(`PRAGMA incremental_vacuum(${SLICE_PAGES})`));
    await nextTurn();
  }
}
