// Opens the replica's file. A file that may not be used is thrown away and begun anew (A3.12).
import { rm } from "node:fs/promises";
import { getLogger } from "@logtape/logtape";
import { type Database, isCode, openDatabase } from "../sqlite/database.ts";
import type { Log } from "../log/log.ts";
import { drizzle } from "./drizzle.ts";
import { FOLLOWED, type FollowedStream, isPast, type Offsets } from "./progress.ts";
import { createStatements, origin, positions, SCHEMA_VERSION } from "./schema.ts";

const logger = getLogger(["tidings", "core", "replica"]);

/** Tombstones are kept for 7 days (A2.3): an older replica may have missed one, and would resurrect what ended (A3.12). */
const STALE_AFTER_MS = 6 * 86_400_000;

/** A replica file that may be used. */
export interface ReplicaFile {
  readonly database: Database;
  /** The next offset to read of each partition. */
  readonly next: ReadonlyMap<FollowedStream, number[]>;
  /** The log's ends at the opening: a replica that has read them is up to date. Empty if the file is new. */
  readonly ends: Offsets;
}

/** Opens the file, or a new one in its place. `clock`: wall clock, ms. */
export async function openReplicaFile(path: string, log: Log, clock: () => number): Promise<ReplicaFile> {
  for (let attempt = 0;; attempt++) {
    const found = await openFile(path, log, clock).catch((error: unknown) => {
      // A replica can be rebuilt, so a damaged file does not stop the start.
      if (attempt > 0 || !isDamage(error)) throw error;
      return "it is damaged";
    });
    if (typeof found !== "string") return found;
    logger.info("The replica is deleted and built anew: {reason}", { reason: found });
    for (const suffix of ["", "-wal", "-shm"]) await rm(path + suffix, { force: true });
  }
}

/** Opens the file as it is; a text says why it may not be used. */
async function openFile(path: string, log: Log, clock: () => number): Promise<ReplicaFile | string> {
  const identity = `${log.identity} v${SCHEMA_VERSION}`;
  const database = await openDatabase(path, "NORMAL");
  try {
    for (const statement of createStatements()) await database.write.execute(statement);
    const db = drizzle(database.write);
    const next = new Map(FOLLOWED.map((stream) => [stream, Array.from({ length: log.partitions(stream) }, () => 0)]));
    for (const row of await db.select().from(positions)) {
      const offsets = next.get(row.stream as FollowedStream);
      if (offsets !== undefined && row.partition < offsets.length) offsets[row.partition] = row.next;
    }
    const [from] = await db.select().from(origin);
    if (from === undefined) {
      await db.insert(origin).values({ identity, followedAt: clock() });
      return { database, next, ends: new Map() };
    }
    const ends = new Map<FollowedStream, number[]>();
    for (const [stream, offsets] of next) {
      ends.set(stream, await Promise.all(offsets.map((_, partition) => log.end(stream, partition))));
    }
    const reason = staleness(from, identity, { next, ends, now: clock() });
    if (reason === undefined) return { database, next, ends };
    database.close();
    return reason;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Why a replica file may not be used (A3.12); undefined if it may. */
function staleness(
  from: { identity: string; followedAt: number },
  identity: string,
  { next, ends, now }: { next: Offsets; ends: Offsets; now: number },
): string | undefined {
  if (from.identity !== identity) return "it is a copy of another log";
  if (now - from.followedAt > STALE_AFTER_MS) return "it was last followed more than 6 days ago";
  return isPast(ends, next) ? undefined : "it is beyond the log's end";
}

/** As `isCode`, also for an error that drizzle has wrapped. */
function isCodeOf(error: unknown, code: string): boolean {
  return isCode(error, code) || (error instanceof Error && isCode(error.cause, code));
}

/** Whether a statement failed because the disk is full. */
export function isFull(error: unknown): boolean {
  return isCodeOf(error, "SQLITE_FULL");
}

function isDamage(error: unknown): boolean {
  return isCodeOf(error, "SQLITE_CORRUPT") || isCodeOf(error, "SQLITE_NOTADB");
}
