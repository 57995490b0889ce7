// Opens a libSQL file the way all of ours are opened: one connection writes, one reads (A2.5).
import { type Client, createClient, type InStatement, LibsqlError } from "@libsql/client/sqlite3";
import { keepPrivate } from "./private-file.ts";

/** Another process uses the file. The message is a sentence for people. */
export class LockedError extends Error {
  override readonly name = "LockedError";
}

const WAL_BYTES = 16 * 1024 * 1024;

export interface Database {
  readonly write: Client;
  readonly read: Client;
  close(): void;
}

/** Opens or makes a file that only its user may read. With `synchronous` FULL a commit survives a power cut; NORMAL is for files that can be rebuilt. */
export async function openDatabase(path: string, synchronous: "FULL" | "NORMAL"): Promise<Database> {
  await keepPrivate(path);
  const write = createClient({ url: urlOf(path), concurrency: 1 });
  try {
    // Must come before the first table; lets retention give freed pages back.
    await write.execute("PRAGMA auto_vacuum = INCREMENTAL");
    await write.execute("PRAGMA journal_mode = WAL");
    await write.execute(`PRAGMA synchronous = ${synchronous}`);
    // A WAL that one large batch has made longer shrinks to this when it starts anew.
    await write.execute(`PRAGMA journal_size_limit = ${WAL_BYTES}`);
    const read = createClient({ url: urlOf(path), concurrency: 1 });
    await read.execute("PRAGMA query_only = ON");
    return {
      write,
      read,
      close: () => {
        read.close();
        write.close();
      },
    };
  } catch (error) {
    write.close();
    throw error;
  }
}

/**
 * Locks `lock.db` until the returned function is called, so that a second process on the same directory is refused (A2.5).
 * @throws {LockedError} if another process has locked it
 */
export async function holdLock(path: string): Promise<() => Promise<void>> {
  await keepPrivate(path);
  const client = createClient({ url: urlOf(path), concurrency: 1, timeout: 300 });
  try {
    await client.execute("PRAGMA locking_mode = EXCLUSIVE");
    // A write takes the lock, and the exclusive mode keeps it after the commit.
    await client.batch(["CREATE TABLE IF NOT EXISTS held (at INTEGER)", "DELETE FROM held"], "write");
    await client.execute({ sql: "INSERT INTO held VALUES (?)", args: [Date.now()] });
  } catch (error) {
    await release(client).catch(() => {});
    if (isCode(error, "SQLITE_BUSY") || isCode(error, "SQLITE_LOCKED")) {
      throw new LockedError(`Cannot open ${path}: another process is using this data directory`, { cause: error });
    }
    throw error;
  }
  return () => release(client);
}

/**
 * Releases the lock: SQLite does so at the first read after the mode has changed. A close alone would release it only after the
 * garbage collector has found every statement.
 */
async function release(client: Client): Promise<void> {
  try {
    await client.execute("PRAGMA locking_mode = NORMAL");
    await client.execute("SELECT 1 FROM sqlite_master");
  } finally {
    client.close();
  }
}

/** The path as a file URL. `%`, `?` and `#` in a directory's name are escaped, because they mean something in a URL. */
function urlOf(path: string): string {
  return `file:${encodeURI(path).replaceAll("?", "%3F").replaceAll("#", "%23")}`;
}

/** Whether an error of libSQL has this primary code; "SQLITE_IOERR_FSYNC" has SQLITE_IOERR, too. */
export function isCode(error: unknown, code: string): boolean {
  return error instanceof LibsqlError && (error.code.startsWith(code) || (error.extendedCode ?? "").startsWith(code));
}

export type Statement = InStatement;

const MOST_ROWS = 500;

/** Cuts rows, or keys, into slices that one statement can take. */
export function slicesOf<T>(rows: readonly T[]): T[][] {
  return Array.from(
    { length: Math.ceil(rows.length / MOST_ROWS) },
    (_, slice) => rows.slice(slice * MOST_ROWS, (slice + 1) * MOST_ROWS),
  );
}

/** Placeholders for many rows, as in `(?,?),(?,?)`: multi-row inserts are three times as fast as a batch of single ones. */
export function rowsOf(count: number, columns: number): string {
  const row = `(${"?,".repeat(columns - 1)}?)`;
  return `${row},`.repeat(count - 1) + row;
}
