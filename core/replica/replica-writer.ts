// The one writer of a replica's file: it writes what was followed, and deletes what is older than the log keeps.
import type { LibSQLDatabase } from "drizzle-orm/libsql";
import { getLogger } from "@logtape/logtape";
import { pause } from "../../shared/pause.ts";
import type { Batch } from "../log/log.ts";
import type { Database, Statement } from "../sqlite/database.ts";
import { blockInserts, sweepBlocks } from "./blocks.ts";
import { deadLetterStatements, sweepDeadLetters } from "./dead-letter-rows.ts";
import { drizzle } from "./drizzle.ts";
import { isFull } from "./replica-file.ts";
import { origin, positions } from "./schema.ts";
import { stateStatements, type StateStream } from "./states.ts";

const logger = getLogger(["tidings", "core", "replica"]);

const DAY_MS = 86_400_000;
const PAUSE_WHEN_FULL_MS = 1_000;

export interface ReplicaWriterOptions {
  readonly path: string;
  readonly database: Database;
  /** Whether to keep the topics of blocks: only where the log has no index by key. */
  readonly withTopics: boolean;
  /** Wall clock, ms. */
  readonly clock: () => number;
  /** Called when the file can no longer be written. */
  readonly onFatal: (error: Error) => void;
}

export class ReplicaWriter {
  readonly #options: ReplicaWriterOptions;
  readonly #db: LibSQLDatabase;
  readonly #closing = new AbortController();
  #sweeper: NodeJS.Timeout | undefined;

  constructor(options: ReplicaWriterOptions) {
    this.#options = options;
    this.#db = drizzle(options.database.write);
  }

  /**
   * Writes a batch and its position in one transaction; waits as long as the disk is full. A replica is `following` once it has read
   * what was in the log when it was opened; only then a batch makes it younger (A3.12).
   * @returns false if the batch will never be written: the writer was closed, or the file failed
   */
  async write(batch: Batch, following: boolean): Promise<boolean> {
    while (!this.#closing.signal.aborted) {
      try {
        await this.#options.database.write.batch(this.#statements(batch, following), "write");
        return true;
      } catch (error) {
        if (!isFull(error)) {
          this.#fail(error);
          return false;
        }
        const { path } = this.#options;
        logger.error("There is no room on the disk for the replica {path}; it waits for room", { path });
        await pause(PAUSE_WHEN_FULL_MS, this.#closing.signal);
      }
    }
    return false;
  }

  /** Deletes again and again what the log no longer keeps. */
  startRetention(retentionMs: number): void {
    const { clock } = this.#options;
    const failed = (error: unknown) => {
      if (!this.#closing.signal.aborted && !isFull(error)) this.#fail(error);
    };
    this.#sweeper = setInterval(() => {
      sweepDeadLetters(this.#db, clock() - retentionMs).catch(failed);
      // The stream keeps blocks a day longer (ARCHITECTURE §2).
      sweepBlocks(this.#db, clock() - retentionMs - DAY_MS).catch(failed);
    }, Math.min(600_000, Math.max(1_000, retentionMs / 8)));
    this.#sweeper.unref();
  }

  /** Starts no write from now on. */
  close(): void {
    this.#closing.abort();
    clearInterval(this.#sweeper);
  }

  #statements(batch: Batch, following: boolean): Statement[] {
    const { stream, partition, next } = batch;
    const position = this.#db.insert(positions).values({ stream, partition, next }).onConflictDoUpdate({
      target: [positions.stream, positions.partition],
      set: { next },
    });
    const followedAt = this.#options.clock();
    const followed = following ? [toStatement(this.#db.update(origin).set({ followedAt }))] : [];
    return [toStatement(position), ...followed, ...this.#rowsOf(batch)];
  }

  #rowsOf(batch: Batch): Statement[] {
    switch (batch.stream) {
      case "dead-letters":
        return deadLetterStatements(this.#db, batch).map(toStatement);
      case "blocks":
        return blockInserts(this.#db, batch, this.#options.withTopics).map(toStatement);
      default:
        return stateStatements(batch.stream as StateStream, batch);
    }
  }

  #fail(error: unknown): void {
    // After SQLITE_BUSY a connection may report success without committing (A2.5), and a replica that cannot be written answers from
    // an old state.
    this.#options.onFatal(new Error(`Cannot write the replica ${this.#options.path}`, { cause: error }));
  }
}

function toStatement(built: { toSQL(): { sql: string; params: unknown[] } }): Statement {
  const { sql, params } = built.toSQL();
  return { sql, args: params as (string | number | null)[] };
}
