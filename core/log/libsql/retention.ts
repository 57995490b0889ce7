// Retention on the embedded log: what is too old is really deleted, in slices, and its pages are given back.
import type { Stream } from "../log.ts";
import type { Database } from "../../sqlite/database.ts";
import { positionAt, tableOf } from "./reading.ts";
import { nextTurn } from "../../../shared/turn.ts";

const SLICE_ROWS = 1_000;
/** A block is known for as long as a message of it may be asked about (ARCHITECTURE §2). */
const BLOCKS_KEPT_LONGER_MS = 86_400_000;
const SLICE_PAGES = 500;
/** Free pages stay in the file for what comes next, up to this part of it: a sweep frees about an eighth (A2.3). */
const FREE_PART = 1 / 8;
/** A tombstone stays long enough for every replica to have seen it (A2.3, delete.retention.ms). */
const TOMBSTONES_KEPT_MS = 7 * 86_400_000;

export async function sweepRetention(
  database: Database,
  { exclusive, now, retentionMs, eventsMs, ends }: {
    /** Runs a task when the writer is free, so that appends come between the slices. */
    exclusive: (task: () => Promise<void>) => Promise<void>;
    now: number;
    retentionMs: number;
    eventsMs: number;
    ends: ReadonlyMap<Stream, number>;
  },
): Promise<void> {
  for (
    const [stream, keptMs] of [
      ["messages", retentionMs],
      ["events", eventsMs],
      ["dead-letters", retentionMs],
      ["blocks", retentionMs + BLOCKS_KEPT_LONGER_MS],
    ] as const
  ) {
    const cut = await positionAt(database.read, stream, now - keptMs, ends.get(stream)!);
    await deleteInSlices(
      database,
      exclusive,
      `DELETE FROM ${tableOf(stream)} WHERE offset IN
      (SELECT offset FROM ${tableOf(stream)} WHERE offset < ? ORDER BY offset LIMIT ${SLICE_ROWS})`,
      cut,
    );
  }
  for (const stream of ["topics", "subscriptions", "cursors"] as const) {
    await deleteInSlices(
      database,
      exclusive,
      `DELETE FROM ${tableOf(stream)} WHERE offset IN
      (SELECT offset FROM ${tableOf(stream)} WHERE value IS NULL AND time < ? LIMIT ${SLICE_ROWS})`,
      now - TOMBSTONES_KEPT_MS,
    );
  }
  await giveBack(database, exclusive);
}

async function deleteInSlices(
  { write }: Database,
  exclusive: (task: () => Promise<void>) => Promise<void>,
  sql: string,
  bound: number,
): Promise<void> {
  for (let deleted = SLICE_ROWS; deleted === SLICE_ROWS;) {
    // Of a log that was closed meanwhile nothing more is deleted.
    deleted = 0;
    await exclusive(async () => {
      deleted = (await write.execute({ sql, args: [bound] })).rowsAffected;
    });
    // The event loop has its turn between slices (ARCHITECTURE §4).
    await nextTurn();
  }
}

/** Shortens the file by free pages, in slices. */
async function giveBack(
  { write, read }: Database,
  exclusive: (task: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const pragma = async (name: string) => Number((await read.execute(`PRAGMA ${name}`)).rows[0]?.[name] ?? 0);
  for (let before = Infinity;;) {
    const free = await pragma("freelist_count");
    if (free <= await pragma("page_count") * FREE_PART || free >= before) {
      if (before === Infinity) return;
      // It is the checkpoint that shortens the file.
      return await exclusive(async () => void await write.execute("PRAGMA wal_checkpoint(TRUNCATE)"));
    }
    before = free;
    // Not `execute`, which takes one step of a statement that frees a page with each.
    await exclusive(() => write.executeMultiple(`PRAGMA incremental_vacuum(${SLICE_PAGES})`));
    await nextTurn();
  }
}
