// The followers of the embedded log: fed from memory after each commit, from the file while they are behind.
import {
  type Batch,
  type Chunk,
  type Follower,
  type FollowFrom,
  type LogRecord,
  type Stream,
  STREAMS,
} from "../log.ts";
import { nextTurn } from "../../../shared/turn.ts";
import type { Database } from "../../sqlite/database.ts";
import type { BatchWriter } from "./batch-writer.ts";
import { readChunk } from "./reading.ts";
import { RecentRecords } from "./recent-records.ts";

const CHUNK_BYTES = 1024 * 1024;
/** Bytes of the newest records of one stream. */
const RECENT_BYTES = 4 * 1024 * 1024;

/** All followers of one log, and the newest records that they share. */
export class Followers {
  readonly #database: Database;
  readonly #writer: BatchWriter;
  readonly #recent: ReadonlyMap<Stream, RecentRecords>;
  readonly #followers = new Set<LibsqlFollower>();

  constructor(database: Database, writer: BatchWriter) {
    this.#database = database;
    this.#writer = writer;
    this.#recent = new Map(STREAMS.map((stream) => [stream, new RecentRecords(writer.end(stream), RECENT_BYTES)]));
    writer.onCommit((written) => {
      for (const [stream, records] of written) this.#recent.get(stream)!.add(records);
      for (const follower of this.#followers) follower.wake();
    });
  }

  /** Opens a follower. If its handler or a read fails, it ends, and so does all writing. */
  open(from: FollowFrom, handle: (batch: Batch) => void | Promise<void>): Follower {
    const follower = new LibsqlFollower(from, handle, {
      end: (stream) => this.#writer.end(stream),
      recent: (stream, from, maxBytes) => this.#recent.get(stream)!.since(from, maxBytes),
      read: (stream, from, maxBytes) =>
        readChunk(this.#database.read, stream, from, this.#writer.end(stream), { maxBytes }),
      failed: (error) => this.#writer.fail(error),
    });
    this.#followers.add(follower);
    return {
      add: (stream, _partition, position) => follower.add(stream, position),
      remove: (stream) => follower.remove(stream),
      close: () => follower.close().finally(() => this.#followers.delete(follower)),
    };
  }

  /** Closes all followers; resolves after the running handlers have ended. */
  async close(): Promise<void> {
    await Promise.all([...this.#followers].map((follower) => follower.close()));
  }
}

/** What a follower reads from. */
interface FollowerSource {
  /** The offset of the next record of a stream. */
  end(stream: Stream): number;
  /** Records from memory; undefined if memory does not reach back to `from`. */
  recent(stream: Stream, from: number, maxBytes: number): LogRecord[] | undefined;
  /** Records from the file. */
  read(stream: Stream, from: number, maxBytes: number): Promise<Chunk>;
  /** A read or the handler failed: the follower has ended. */
  failed(error: unknown): void;
}

class LibsqlFollower {
  readonly #source: FollowerSource;
  readonly #handle: (batch: Batch) => void | Promise<void>;
  /** The next offset wanted of each stream. */
  readonly #positions = new Map<Stream, number>();
  readonly #running: Promise<void>;
  #closed = false;
  #woken = true;
  #wakeUp: (() => void) | undefined;

  constructor(
    from: FollowFrom,
    handle: (batch: Batch) => void | Promise<void>,
    source: FollowerSource,
  ) {
    this.#handle = handle;
    this.#source = source;
    for (const [stream, offsets] of Object.entries(from)) {
      if (offsets[0] !== undefined) this.#positions.set(stream as Stream, offsets[0]);
    }
    this.#running = this.#run().catch((error: unknown) => {
      if (!this.#closed) source.failed(error);
    });
  }

  /** Looks for new records: something was committed. */
  wake(): void {
    this.#woken = true;
    this.#wakeUp?.();
  }

  add(stream: Stream, position: number): void {
    this.#positions.set(stream, position);
    this.wake();
  }

  remove(stream: Stream): void {
    this.#positions.delete(stream);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#wakeUp?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      if (!this.#woken) await new Promise<void>((resolve) => this.#wakeUp = resolve);
      this.#woken = false;
      for (const stream of this.#positions.keys()) {
        // To the end of each stream in turn, a chunk at a time.
        while (this.#isBehind(stream)) await this.#step(stream);
      }
    }
  }

  #isBehind(stream: Stream): boolean {
    return !this.#closed && (this.#positions.get(stream) ?? Infinity) < this.#source.end(stream);
  }

  async #step(stream: Stream): Promise<void> {
    const position = this.#positions.get(stream)!;
    const records = this.#source.recent(stream, position, CHUNK_BYTES);
    const chunk = records === undefined ? await this.#source.read(stream, position, CHUNK_BYTES) : {
      records,
      // A chunk that was cut has more records beyond its last one.
      next: records.length === 0 ? this.#source.end(stream) : records.at(-1)!.offset + 1,
    };
    // The stream was removed, or sent to another position, during the read.
    if (this.#closed || this.#positions.get(stream) !== position) return;
    this.#positions.set(stream, chunk.next);
    await this.#handle({ stream, partition: 0, ...chunk });
    // A follower far behind never waits for a commit: the event loop needs its turn, and the driver frees what it has read.
    if (records === undefined) await nextTurn();
  }
}
