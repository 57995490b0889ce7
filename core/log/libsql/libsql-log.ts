// The log in one libSQL file: the default, for one process (ARCHITECTURE §2, A2.5). One table a stream, so that offsets have
// no holes; one partition; offsets are given out here and kept by AUTOINCREMENT, so they are never used twice.
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { makeDirectory } from "../../sqlite/data-directory.ts";
import {
  type AppendStream,
  COMPACTED,
  type Log,
  LogError,
  type LogRecord,
  type NewRecord,
  type ShardRecord,
  type Stream,
  STREAMS,
} from "../log.ts";
import {
  type Database,
  holdLock,
  isCode,
  LockedError,
  openDatabase,
  rowsOf,
  type Statement,
} from "../../sqlite/database.ts";
import { createFollower, type LibsqlFollower } from "./follower.ts";
import { Recent } from "./recent-records.ts";
import { countKey, positionAt, readChunk, startOf, tableOf } from "./reading.ts";
import { sweepRetention } from "./retention.ts";
import { nextTurn } from "../../../shared/turn.ts";

export interface LibsqlLogOptions {
  /** Directory for log.db and lock.db; made if missing. */
  readonly directory: string;
  readonly retentionMs: number;
  /** Largest value of a record of `messages`, bytes. */
  readonly maxMessageBytes: number;
  /** Called once, when the file can no longer be trusted to commit (SQLITE_BUSY, an I/O error): the process must end. */
  readonly onFatal: (error: Error) => void;
  readonly clock?: () => number;
  /** How often retention deletes, ms; default an eighth of the retention, at most 10 minutes. */
  readonly sweepMs?: number;
}

interface Work {
  readonly stream: Stream | undefined;
  readonly records: readonly { stream: Stream; record: NewRecord }[];
  readonly resolve: (first: LogRecord | undefined) => void;
  readonly reject: (error: Error) => void;
}

const BATCH_RECORDS = 2_000;
const BATCH_BYTES = 8 * 1024 * 1024;
const RECENT_BYTES = 4 * 1024 * 1024;
const EVENT_BYTES = 1024 * 1024;
const EVENTS_KEPT_MS = 86_400_000;

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

interface Tables {
  readonly next: Map<Stream, number>;
  lastTime: number;
  readonly identity: string;
}

async function prepareTables(database: Database): Promise<Tables> {
  const next = new Map<Stream, number>();
  let lastTime = 0;
  for (const stream of STREAMS) {
    const table = tableOf(stream);
    // A unique key makes INSERT OR REPLACE keep the newest record of a key only: compaction as it is written.
    const key = COMPACTED.includes(stream) ? "key TEXT NOT NULL UNIQUE" : "key TEXT NOT NULL";
    await database.write.execute(
      `CREATE TABLE IF NOT EXISTS ${table} (offset INTEGER PRIMARY KEY AUTOINCREMENT, ${key}, time INTEGER NOT NULL, headers TEXT NOT NULL, value BLOB)`,
    );
    const { rows } = await database.write.execute({
      sql: "SELECT seq FROM sqlite_sequence WHERE name = ?",
      args: [table],
    });
    // Offset 0 is the first record, as on Kafka.
    next.set(stream, rows[0] === undefined ? 0 : Number(rows[0]["seq"]) + 1);
    const newest = await database.write.execute(`SELECT time FROM ${table} ORDER BY offset DESC LIMIT 1`);
    lastTime = Math.max(lastTime, Number(newest.rows[0]?.["time"] ?? 0));
  }
  // A topic's records without reading the others' (A4.2).
  await database.write.execute(`CREATE INDEX IF NOT EXISTS messages_key ON ${tableOf("messages")} (key, offset)`);
  await database.write.execute(
    `CREATE INDEX IF NOT EXISTS dead_letters_key ON ${tableOf("dead-letters")} (key, offset)`,
  );
  await database.write.execute("CREATE TABLE IF NOT EXISTS identity (id TEXT NOT NULL)");
  await database.write.execute({
    sql: "INSERT INTO identity SELECT ? WHERE NOT EXISTS (SELECT 1 FROM identity)",
    args: [randomUUID()],
  });
  const { rows } = await database.write.execute("SELECT id FROM identity");
  return { next, lastTime, identity: rows[0]!["id"] as string };
}

function createLog(
  options: LibsqlLogOptions,
  database: Database,
  { next, lastTime, identity }: Tables,
  unlock: () => Promise<void>,
): Log {
  const clock = options.clock ?? Date.now;
  const recent = new Map(STREAMS.map((stream) => [stream, new Recent(next.get(stream)!, RECENT_BYTES)]));
  const followers = new Set<LibsqlFollower>();
  let queue: Work[] = [];
  let queued = 0;
  let scheduled = false;
  let flushing: Promise<void> = Promise.resolve();
  let closed = false;
  let broken: Error | undefined;

  function enqueue(work: Omit<Work, "resolve" | "reject">): Promise<LogRecord | undefined> {
    if (closed) return Promise.reject(new LogError("closed", "The log is closed"));
    if (broken) return Promise.reject(new LogError("unavailable", "The log's file failed", { cause: broken }));
    return new Promise((resolve, reject) => {
      queue.push({ ...work, resolve, reject });
      queued += work.records.length;
      schedule();
    });
  }

  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    // The next turn of the event loop: all that arrived in this one shares the commit.
    setImmediate(() => {
      flushing = flushing.then(flush);
    });
  }

  async function flush(): Promise<void> {
    scheduled = false;
    if (broken) return rejectAll(new LogError("unavailable", "The log's file failed", { cause: broken }));
    const batch = takeBatch();
    if (queue.length > 0) schedule();
    if (batch.length === 0) return;
    const time = lastTime = Math.max(lastTime, clock());
    const placed = place(batch, time);
    try {
      await database.write.batch(statements(placed), "write");
    } catch (error) {
      fail(batch, error instanceof Error ? error : new Error(String(error)));
      return;
    }
    for (const [stream, records] of placed) {
      next.set(stream, records.at(-1)!.offset + 1);
      recent.get(stream)!.add(records);
    }
    // Each work's first record, in the order in which they were placed.
    const cursors = new Map<Stream, number>();
    for (const work of batch) {
      let first: LogRecord | undefined;
      for (const { stream } of work.records) {
        const index = cursors.get(stream) ?? 0;
        first ??= placed.get(stream)![index];
        cursors.set(stream, index + 1);
      }
      work.resolve(first);
    }
    for (const follower of followers) follower.wake();
  }

  function takeBatch(): Work[] {
    let count = 0;
    let bytes = 0;
    let taken = 0;
    for (const work of queue) {
      if (taken > 0 && (count >= BATCH_RECORDS || bytes >= BATCH_BYTES)) break;
      count += work.records.length;
      for (const { record } of work.records) bytes += record.value?.byteLength ?? 0;
      taken++;
    }
    const batch = queue.slice(0, taken);
    queue = queue.slice(taken);
    queued -= count;
    return batch;
  }

  function place(batch: readonly Work[], time: number): Map<Stream, LogRecord[]> {
    const placed = new Map<Stream, LogRecord[]>();
    for (const work of batch) {
      for (const { stream, record } of work.records) {
        let records = placed.get(stream);
        if (records === undefined) placed.set(stream, records = []);
        const { key, value, headers = {} } = record;
        records.push({ partition: 0, offset: next.get(stream)! + records.length, key, value, headers, time });
      }
    }
    return placed;
  }

  function fail(batch: readonly Work[], error: Error): void {
    if (isCode(error, "SQLITE_FULL")) {
      // Rolled back: nothing was written, and the next commit may find room again.
      for (const work of batch) {
        work.reject(new LogError("full", "There is no room on the disk that holds the log", { cause: error }));
      }
      return;
    }
    // After one SQLITE_BUSY a connection may report success without committing (upstream), and after a failed fsync nobody
    // knows what is on the disk: acknowledge nothing and end.
    broken = error;
    for (const work of batch) {
      work.reject(new LogError("unavailable", "The log's file failed", { cause: error }));
    }
    rejectAll(new LogError("unavailable", "The log's file failed", { cause: error }));
    options.onFatal(new LogError("unavailable", `The log's file failed: ${error.message}`, { cause: error }));
  }

  function rejectAll(error: LogError): void {
    for (const work of queue) work.reject(error);
    queue = [];
    queued = 0;
  }

  const source = {
    end: (stream: Stream) => next.get(stream)!,
    recent: (stream: Stream, from: number, maxBytes: number) => recent.get(stream)!.since(from, maxBytes),
    read: (stream: Stream, from: number, maxBytes: number) =>
      readChunk(database.read, stream, from, next.get(stream)!, { maxBytes }),
  };

  const exclusive = (task: () => Promise<void>): Promise<void> => {
    const done = flushing.then(() => closed || broken ? undefined : task());
    flushing = done.catch(() => {});
    return done;
  };
  let sweeping = false;
  const sweep = async (): Promise<void> => {
    if (sweeping) return;
    sweeping = true;
    try {
      const eventsMs = Math.max(options.retentionMs, EVENTS_KEPT_MS);
      await sweepRetention(database, {
        exclusive,
        now: clock(),
        retentionMs: options.retentionMs,
        eventsMs,
        ends: next,
      });
    } catch (error) {
      // A full disk is no reason to end; the next sweep makes room or a person does.
      if (!closed && !isCode(error, "SQLITE_FULL")) fail([], error instanceof Error ? error : new Error(String(error)));
    } finally {
      sweeping = false;
    }
  };
  const sweeper = setInterval(
    () => void sweep(),
    options.sweepMs ?? Math.min(600_000, Math.max(1_000, options.retentionMs / 8)),
  );
  sweeper.unref();

  return {
    kind: "libsql",
    identity,
    durability: "libSQL WAL, synchronous=FULL, group commit",
    supports: { keyIndex: true, group: false },
    partitions: () => 1,
    partitionOf: () => 0,
    async append(stream: AppendStream, record) {
      // The limit is that of content (WIRE §8): an operation is limited where it is parsed.
      checkSize(
        record,
        stream === "messages" ? options.maxMessageBytes : Math.max(EVENT_BYTES, options.maxMessageBytes),
      );
      const first = await enqueue({ stream, records: [{ stream, record }] });
      return { partition: 0, offset: first!.offset, time: first!.time };
    },
    start: (stream) => startOf(database.read, stream, next.get(stream)!),
    end: (stream) => Promise.resolve(next.get(stream)!),
    positionAt: (stream, _partition, time) => positionAt(database.read, stream, time, next.get(stream)!),
    async read(stream, _partition, from, limits) {
      if (closed) throw new LogError("closed", "The log is closed");
      return await readChunk(database.read, stream, from, next.get(stream)!, limits);
    },
    async count(stream, _partition, key, from) {
      if (closed) throw new LogError("closed", "The log is closed");
      return await countKey(database.read, stream, key, from);
    },
    follow(from, handle) {
      const follower = createFollower(from, handle, source, (error) => fail([], error));
      followers.add(follower);
      return {
        add: (stream, _partition, position) => follower.add(stream, position),
        remove: (stream) => follower.remove(stream),
        close: () => follower.close().finally(() => followers.delete(follower)),
      };
    },
    openWriter() {
      // `lock.db` is the fence: there is one process, and it has one shard.
      let open = true;
      return Promise.resolve({
        async commit(records: readonly ShardRecord[]) {
          if (!open) throw new LogError("closed", "The shard's writer is closed");
          await enqueue({
            stream: undefined,
            records: records.map((record) => ({ stream: record.stream, record })),
          });
        },
        close() {
          open = false;
          return Promise.resolve();
        },
      });
    },
    async ping() {
      if (closed) throw new LogError("closed", "The log is closed");
      if (broken) throw new LogError("unavailable", "The log's file failed", { cause: broken });
      await database.read.execute("SELECT 1");
    },
    async close() {
      if (closed) return;
      closed = true;
      clearInterval(sweeper);
      await Promise.all([...followers].map((follower) => follower.close()));
      // What was asked before is still made durable.
      while (queue.length > 0 || scheduled) {
        await nextTurn();
        await flushing;
      }
      await flushing;
      database.close();
      await unlock();
    },
  };
}

function checkSize(record: NewRecord, limit: number): void {
  const size = record.value?.byteLength ?? 0;
  if (size > limit) throw new LogError("too_large", `The record has ${size} bytes; at most ${limit} are taken`);
}

function statements(placed: ReadonlyMap<Stream, readonly LogRecord[]>): Statement[] {
  const result: Statement[] = [];
  for (const [stream, records] of placed) {
    const verb = COMPACTED.includes(stream) ? "INSERT OR REPLACE" : "INSERT";
    for (let i = 0; i < records.length; i += 500) {
      const rows = records.slice(i, i + 500);
      const args = [];
      for (const record of rows) {
        args.push(record.offset, record.key, record.time, JSON.stringify(record.headers), record.value);
      }
      result.push({
        sql: `${verb} INTO ${tableOf(stream)} (offset, key, time, headers, value) VALUES ${rowsOf(rows.length, 5)}`,
        args,
      });
    }
  }
  return result;
}
