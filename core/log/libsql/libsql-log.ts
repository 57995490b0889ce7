// The log in one libSQL file: the default, for one process (ARCHITECTURE §2, A2.5). It has one shard and one partition.
import { join } from "node:path";
import { makeDirectory } from "../../../shared/directory.ts";
import { type Database, holdLock, isCode, LockedError, openDatabase } from "../../sqlite/database.ts";
import { type AppendStream, checkValueSize, type Log, LogError, type ShardWriter } from "../log.ts";
import { BatchWriter } from "./batch-writer.ts";
import { Followers } from "./followers.ts";
import { KeyCounts } from "./key-counts.ts";
import { firstTimeOf, positionAt, readChunk, startOf } from "./reading.ts";
import { startRetention } from "./retention.ts";
import { prepareTables, type TablesState } from "./tables.ts";

export interface LibsqlLogOptions {
  /** Directory for log.db and lock.db; made if missing. */
  readonly directory: string;
  readonly retentionMs: number;
  /** Largest value of a record of `messages`, bytes. */
  readonly maxMessageBytes: number;
  /** Called when the file can no longer be trusted to commit (SQLITE_BUSY, an I/O error): the process must end. */
  readonly onFatal: (error: Error) => void;
  /** Wall clock, ms; default Date.now. */
  readonly clock?: () => number;
  /** How often retention deletes, ms; default an eighth of the retention, 10 minutes at most. */
  readonly sweepMs?: number;
}

/** Largest value of a record of `events`, bytes, unless messages may be larger. */
const EVENT_BYTES = 1024 * 1024;

/**
 * Opens the embedded log.
 * @throws {LogError} with a sentence for people: "locked" if another process has the directory, "full" if its disk has no
 * room, "unavailable" if it cannot be read and written
 */
export async function openLibsqlLog(options: LibsqlLogOptions): Promise<Log> {
  const { directory } = options;
  let unlock: (() => Promise<void>) | undefined;
  let database: Database | undefined;
  try {
    await makeDirectory(directory);
    unlock = await holdLock(join(directory, "lock.db"));
    database = await openDatabase(join(directory, "log.db"), "FULL");
    const tables = await prepareTables(database);
    return createLog(options, database, tables, unlock);
  } catch (error) {
    database?.close();
    await unlock?.().catch(() => {});
    if (error instanceof LogError) throw error;
    if (error instanceof LockedError) throw new LogError("locked", error.message, { cause: error });
    const full = isCode(error, "SQLITE_FULL") || (error as NodeJS.ErrnoException).code === "ENOSPC";
    const reason = full ? "there is no room on its disk" : error instanceof Error ? error.message : String(error);
    throw new LogError(full ? "full" : "unavailable", `Cannot open the log in ${directory}: ${reason}`, {
      cause: error,
    });
  }
}

function createLog(
  { maxMessageBytes, retentionMs, sweepMs, onFatal, clock = Date.now }: LibsqlLogOptions,
  database: Database,
  tables: TablesState,
  unlock: () => Promise<void>,
): Log {
  const writer = new BatchWriter({ database, tables, clock, onFatal });
  const followers = new Followers(database, writer);
  const counts = new KeyCounts(database.read, "messages");
  const endRetention = startRetention({ database, writer, clock, retentionMs, sweepMs });
  // The limit of `messages` is that of content (WIRE §8): an operation is limited where it is parsed.
  const maxBytes: Readonly<Record<AppendStream, number>> = {
    messages: maxMessageBytes,
    events: Math.max(EVENT_BYTES, maxMessageBytes),
  };

  return {
    kind: "libsql",
    identity: tables.identity,
    supports: { keyIndex: true, group: false },
    partitions: () => 1,
    partitionOf: () => 0,
    async append(stream, record) {
      checkValueSize(record, maxBytes[stream]);
      const first = await writer.write([{ stream, record }]);
      return { partition: 0, offset: first!.offset, time: first!.time };
    },
    start: (stream) => startOf(database.read, stream, writer.end(stream)),
    end: (stream) => Promise.resolve(writer.end(stream)),
    positionAt: (stream, _partition, time) => positionAt(database.read, stream, time, writer.end(stream)),
    async read(stream, _partition, from, limits) {
      writer.checkOpen();
      return await readChunk(database.read, stream, from, writer.end(stream), limits);
    },
    async count(stream, _partition, key, from) {
      writer.checkOpen();
      const firstTime = await firstTimeOf(database.read, stream, key, from);
      return { count: await counts.count(key, from, writer.end(stream)), firstTime };
    },
    follow: (from, handle) => followers.open(from, handle),
    openWriter: () => Promise.resolve(createShardWriter(writer)),
    async ping() {
      writer.checkWritable();
      await database.read.execute("SELECT 1");
    },
    async close() {
      if (writer.isStopped) return;
      writer.stop();
      endRetention();
      await followers.close();
      // Records that were accepted before are still made durable.
      await writer.drained();
      database.close();
      await unlock();
    },
  };
}

/** The writer of the only shard. `lock.db` is its fence: only one process has the file open. */
function createShardWriter(writer: BatchWriter): ShardWriter {
  let open = true;
  return {
    async commit(records) {
      if (!open) throw new LogError("closed", "The shard's writer is closed");
      await writer.write(records.map((record) => ({ stream: record.stream, record })));
    },
    close() {
      open = false;
      return Promise.resolve();
    },
  };
}
