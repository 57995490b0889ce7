// The loop of a shard's owner: one step, one transaction, then what follows the commit. The next step follows at once, or when
// something wakes the loop (A3.1, A3.10).
import { getLogger } from "@logtape/logtape";
import { pause } from "../../shared/pause.ts";
import { LogError, type ShardRecord, type ShardWriter } from "../log/log.ts";

const logger = getLogger(["tidings", "core", "consolidator"]);

export interface CommitLoopOptions {
  readonly shard: number;
  readonly writer: ShardWriter;
  /** One synchronous step. Returns the batch that says what came of it; empty if there is nothing to write. */
  readonly step: () => readonly ShardRecord[];
  /** The batch of the last step is durable. */
  readonly committed: () => void;
  /** Follows each step whose batch is durable, or empty. Returns whether the next step is due at once. */
  readonly afterStep: () => boolean;
  /** How long the loop may sleep, ms; undefined: until it is woken. */
  readonly sleepMs: () => number | undefined;
}

const PAUSE_WHEN_FULL_MS = 1_000;

export class CommitLoop {
  readonly #options: CommitLoopOptions;
  #wake: (() => void) | undefined;
  // The first batch says who owns the shard now, whatever there is to fold.
  #isWoken = true;
  #isStopped = false;
  /** A commit failed for good: nothing more may be written. */
  #isBroken = false;
  #running: Promise<void> = Promise.resolve();

  constructor(options: CommitLoopOptions) {
    this.#options = options;
  }

  /** After this only the last step follows, by `commitLast`. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Begins the loop. `onLost` gets the error of the writer if that is fenced, or failed for good, before the loop is stopped. */
  start(onLost: (error: Error) => void): void {
    this.#running = this.#run().catch((error: unknown) => {
      if (!this.#isStopped) onLost(error instanceof Error ? error : new Error(String(error)));
    });
  }

  /** There is something to do. */
  wake(): void {
    this.#isWoken = true;
    this.#wake?.();
  }

  /** Ends the loop before its next step; a commit under way goes on. */
  stop(): void {
    this.#isStopped = true;
    this.wake();
  }
  /** As `stop`, and nothing more is written. Resolves when the loop has ended. */
  async abandon(): Promise<void> {
    this.#isBroken = true;
    this.stop();
    await this.#running;
  }

  /** After `stop`: one last step and its commit. Never rejects. */
  async commitLast(): Promise<void> {
    await this.#running;
    if (this.#isBroken) return;
    try {
      await this.#options.writer.commit(this.#options.step());
      this.#options.committed();
    } catch (error) {
      logger.warn("Shard {shard} could not be released: {error}", { shard: this.#options.shard, error });
    }
  }

  async #run(): Promise<void> {
    const { step, committed, afterStep } = this.#options;
    while (!this.#isStopped) {
      if (!this.#isWoken) await this.#sleep();
      this.#isWoken = false;
      if (this.#isStopped) return;
      const batch = step();
      if (batch.length > 0) {
        await this.#commit(batch);
        committed();
      }
      if (afterStep()) this.#isWoken = true;
    }
  }

  #sleep(): Promise<void> {
    return new Promise((resolve) => {
      const wait = this.#options.sleepMs();
      const timer = wait === undefined ? undefined : setTimeout(() => this.#wake?.(), wait);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
    });
  }

  async #commit(batch: readonly ShardRecord[]): Promise<void> {
    while (true) {
      try {
        return await this.#options.writer.commit(batch);
      } catch (error) {
        if (this.#isStopped || !(error instanceof LogError && error.code === "full")) {
          // What was folded is not in the log: the next owner folds it again, and nothing more may be written.
          this.#isBroken = true;
          throw error;
        }
        // Nothing was written: the same batch is tried again, when there may be room.
        logger.error("The log has no room; shard {shard} waits", { shard: this.#options.shard });
        await pause(PAUSE_WHEN_FULL_MS);
      }
    }
  }
}
