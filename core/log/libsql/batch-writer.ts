// The one writer of the embedded log's file. Writes that arrive in one turn of the event loop share a commit (A2.1, A2.5). It gives
// each record its offset; AUTOINCREMENT remembers the last one, so that no offset is used twice.
import { LogError, type LogRecord, type NewRecord, type Stream } from "../log.ts";
import { type Database, isCode } from "../../sqlite/database.ts";
import { nextTurn } from "../../../shared/turn.ts";
import { insertStatements, type TablesState } from "./tables.ts";

const BATCH_RECORDS = 2_000;
const BATCH_BYTES = 8 * 1024 * 1024;

/** Records by the stream that they were written to, in the order of their offsets. */
export type Written = ReadonlyMap<Stream, readonly LogRecord[]>;

export interface BatchWriterOptions {
  readonly database: Database;
  readonly tables: TablesState;
  /** Wall clock, ms. */
  readonly clock: () => number;
  /** Called when the file can no longer be trusted to commit. */
  readonly onFatal: (error: Error) => void;
}

/** Records that are written together or not at all, and the promise that their caller waits for. */
interface Write {
  readonly records: readonly { readonly stream: Stream; readonly record: NewRecord }[];
  /** The first of them with its offset, as soon as it has one. */
  first: LogRecord | undefined;
  readonly resolve: (first: LogRecord | undefined) => void;
  readonly reject: (error: Error) => void;
}

export class BatchWriter {
  readonly #database: Database;
  readonly #clock: () => number;
  readonly #committed: ((written: Written) => void)[] = [];
  readonly #onFatal: (error: Error) => void;
  readonly #ends: Map<Stream, number>;
  #lastTime: number;
  #queue: Write[] = [];
  #scheduled = false;
  /** Resolves when the commit or the exclusive task that runs now has ended. */
  #running: Promise<void> = Promise.resolve();
  #stopped = false;
  #failure: Error | undefined;

  constructor({ database, tables, clock, onFatal }: BatchWriterOptions) {
    this.#database = database;
    this.#clock = clock;
    this.#onFatal = onFatal;
    this.#ends = new Map(tables.ends);
    this.#lastTime = tables.newestTime;
  }

  get isStopped(): boolean {
    return this.#stopped;
  }

  /** The offset that the next record of a stream gets. */
  end(stream: Stream): number {
    return this.#ends.get(stream)!;
  }

  /** Calls back after each commit, in the same step in which the commit's callers are answered. */
  onCommit(committed: (written: Written) => void): void {
    this.#committed.push(committed);
  }

  /** @throws {LogError} "closed" after `stop` */
  checkOpen(): void {
    if (this.#stopped) throw new LogError("closed", "The log is closed");
  }

  /** @throws {LogError} "closed" after `stop`; "unavailable" after a failure */
  checkWritable(): void {
    this.checkOpen();
    if (this.#failure !== undefined) throw failed(this.#failure);
  }

  /**
   * Writes all records or none; resolves with the first of them when they are durable.
   * @throws {LogError} "full", "unavailable", "closed"
   */
  write(records: Write["records"]): Promise<LogRecord | undefined> {
    return new Promise((resolve, reject) => {
      this.checkWritable();
      this.#queue.push({ records, first: undefined, resolve, reject });
      this.#schedule();
    });
  }

  /** Runs a task between two commits; skips it after `stop` and after a failure. */
  exclusive(task: () => Promise<void>): Promise<void> {
    const done = this.#running.then(() => this.#stopped || this.#failure !== undefined ? undefined : task());
    this.#running = done.catch(() => {});
    return done;
  }

  /**
   * Ends all writing after an error of a follower or a sweep. A full disk is no reason to end: the next sweep makes room, or a
   * person does.
   */
  fail(error: unknown): void {
    this.#fail([], error);
  }

  /** Refuses new writes from now on. */
  stop(): void {
    this.#stopped = true;
  }

  /** Resolves when all that was accepted is written or rejected. */
  async drained(): Promise<void> {
    while (this.#queue.length > 0 || this.#scheduled) {
      await nextTurn();
      await this.#running;
    }
    await this.#running;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // The commit starts in the next turn of the event loop, so that writes of this turn share it.
    setImmediate(() => {
      this.#running = this.#running.then(() => this.#flush());
    });
  }

  async #flush(): Promise<void> {
    this.#scheduled = false;
    if (this.#failure !== undefined) return this.#rejectQueue(failed(this.#failure));
    const batch = this.#nextBatch();
    if (this.#queue.length > 0) this.#schedule();
    if (batch.length === 0) return;
    // A record's time is never before that of the record before it, even if the clock is set back.
    this.#lastTime = Math.max(this.#lastTime, this.#clock());
    const written = this.#withOffsets(batch, this.#lastTime);
    try {
      await this.#database.write.batch(insertStatements(written), "write");
    } catch (error) {
      this.#fail(batch, error);
      return;
    }
    for (const [stream, records] of written) this.#ends.set(stream, records.at(-1)!.offset + 1);
    for (const write of batch) write.resolve(write.first);
    for (const committed of this.#committed) committed(written);
  }

  /** Takes from the queue what one commit may hold, at least one write. */
  #nextBatch(): Write[] {
    let records = 0;
    let bytes = 0;
    let length = 0;
    for (const write of this.#queue) {
      if (length > 0 && (records >= BATCH_RECORDS || bytes >= BATCH_BYTES)) break;
      records += write.records.length;
      for (const { record } of write.records) bytes += record.value?.byteLength ?? 0;
      length++;
    }
    const batch = this.#queue.slice(0, length);
    this.#queue = this.#queue.slice(length);
    return batch;
  }

  /** Gives each record the next offset of its stream. */
  #withOffsets(batch: readonly Write[], time: number): Map<Stream, LogRecord[]> {
    const byStream = new Map<Stream, LogRecord[]>();
    for (const write of batch) {
      for (const { stream, record } of write.records) {
        let records = byStream.get(stream);
        if (records === undefined) byStream.set(stream, records = []);
        const { key, value, headers = {} } = record;
        const placed = { partition: 0, offset: this.end(stream) + records.length, key, value, headers, time };
        write.first ??= placed;
        records.push(placed);
      }
    }
    return byStream;
  }

  #fail(batch: readonly Write[], cause: unknown): void {
    const error = cause instanceof Error ? cause : new Error(String(cause));
    if (isCode(error, "SQLITE_FULL")) {
      // The commit was rolled back: nothing was written, and the next commit may find room again.
      for (const write of batch) {
        write.reject(new LogError("full", "There is no room on the disk that holds the log", { cause: error }));
      }
      return;
    }
    // After one SQLITE_BUSY a connection may report success without committing (a bug of libSQL), and after a failed fsync nobody
    // knows what is on the disk: acknowledge nothing and end.
    this.#failure = error;
    for (const write of batch) write.reject(failed(error));
    this.#rejectQueue(failed(error));
    this.#onFatal(new LogError("unavailable", `The log's file failed: ${error.message}`, { cause: error }));
  }

  #rejectQueue(error: LogError): void {
    for (const write of this.#queue) write.reject(error);
    this.#queue = [];
  }
}

function failed(cause: Error): LogError {
  return new LogError("unavailable", "The log's file failed", { cause });
}
