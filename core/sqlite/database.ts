// One libSQL file, opened the way all of ours are: a writer and a reader, each one connection (ARCHITECTURE A2.5).
import { type Client, createClient, type InStatement, LibsqlError } from "@libsql/client/sqlite3";

/** Another process holds the file. The message is a sentence for people. */
export class LockedError extends Error {
  override readonly name = "LockedError";
}

const WAL_BYTES = 16 * 1024 * 1024;

export interface Database {
  readonly write: Client;
  readonly read: Client;
  close(): void;
}

/** Opens (or makes) a file. `synchronous` FULL makes a commit survive a power cut; NORMAL is for what can be rebuilt. */
export async function openDatabase(path: string, synchronous: "FULL" | "NORMAL"): Promise<Database> {
  const write = createClient({ url: urlOf(path), concurrency: 1 });
  try {
    // Before the first table: freed pages can be given back after retention.
    await write.execute("PRAGMA auto_vacuum = INCREMENTAL");
    await write.execute("PRAGMA journal_mode = WAL");
    await write.execute(`PRAGMA synchronous = ${synchronous}`);
    // What one large batch has blown the WAL up to is given back when it starts anew.
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
 * Holds `lock.db` exclusively for life, so that a second process on the same directory is refused (A2.5).
 * @throws {LockedError} if another process holds it
 */
export async function holdLock(path: string): Promise<() => Promise<void>> {
  const client = createClient({ url: urlOf(path), concurrency: 1, timeout: 300 });
  try {
    await client.execute("PRAGMA locking_mode = EXCLUSIVE");
    // A write takes the lock, and the exclusive mode keeps it after the commit.
    await client.batch(["CREATE TABLE IF NOT EXISTS held (at INTEGER)", "DELETE FROM held"], "write");
    await client.execute({ sql: "INSERT INTO held VALUES (?)", args: [Date.now()] });
  } catch (error) {
    await letGo(client).catch(() => {});
    if (isCode(error, "SQLITE_BUSY") || isCode(error, "SQLITE_LOCKED")) {
      throw new LockedError(`Cannot open ${path}: another process is using this data directory`, { cause: error });
    }
    throw error;
  }
  return () => letGo(client);
}

/**
 * Closing alone would let go of the lock only when the garbage collector has found every statement; it is given back at the
 * first read after the mode has changed.
 */
async function letGo(client: Client): Promise<void> {
  try {
    await client.execute("PRAGMA locking_mode = NORMAL");
    await client.execute("SELECT 1 FROM sqlite_master");
  } finally {
    client.close();
  }
}

/** The path as a file URL: what `%`, `?` and `#` mean in one must not be read into the name of a directory. */
function urlOf(path: string): string {
  return `file:${encodeURI(path).replaceAll("?", "%3F").replaceAll("#", "%23")}`;
}

/** Whether a libSQL error has this primary code, also as an extended one ("SQLITE_IOERR_FSYNC" has SQLITE_IOERR). */
export function isCode(error: unknown, code: string): boolean {
  return error instanceof LibsqlError && (error.code.startsWith(code) || (error.extendedCode ?? "").startsWith(code));
}

export type Statement = InStatement;

/** `(?,?),(?,?)` for that many rows: multi-row inserts are 3 × faster than a batch of single ones. */
export function rowsOf(count: number, columns: number): string {
  const row = `(${"?,".repeat(columns - 1)}?)`;
  return `${row},`.repeat(count - 1) + row;
}
