// A shard's writer (A3.1): transactions of one transactional id. Each is repeated as a whole with a new producer until it is durable,
// or another owner has taken the shard. The log itself says who owns a shard, by marks under the key "~owner".
import { getLogger } from "@logtape/logtape";
import { pause, waitAtMost } from "../../../shared/pause.ts";
import { LogError, type LogRecord, type ShardRecord, type ShardWriter, type Stream } from "../log.ts";
import type { Cluster } from "./cluster/cluster.ts";
import { isForbidden } from "./protocol/kafka-error.ts";
import { partitionName } from "./protocol/request.ts";
import { isFenced, OwnershipUncertain, takeTransactionalId, type TransactionalProducer } from "./transaction.ts";

export interface WriterOptions {
  readonly cluster: Cluster;
  readonly shard: number;
  readonly transactionalId: string;
  /** Random; distinguishes this owner's marks from all others. */
  readonly owner: string;
  readonly kafkaTopicOf: (stream: Stream) => string;
  /** The last stable offset of this shard's partition. @throws {LogError} */
  readonly end: (stream: Stream) => Promise<number>;
  /** Committed records of this shard's partition of `topics`. @throws {LogError} */
  readonly readTopics: (from: number) => Promise<{ readonly records: readonly LogRecord[]; readonly next: number }>;
  /** Asked right before each request that fences (A3.4). While it says no, a commit whose outcome is unknown waits, and so do the next. */
  readonly mayOpen: () => boolean;
  readonly clock: () => number;
  /** The log is being closed. */
  readonly closing: AbortSignal;
}

const MARKED = ["subscriptions", "cursors", "topics"] as const;
const MARK_KEY = "~owner";
const PAUSE_MS = 100;
const FENCED_PAUSE_MS = 20;
const MARK_PAUSE_MS = 2;
/** A fenced owner waits this long for the mark of the owner that fenced it, before it takes the shard back. */
const MARK_WITHIN_MS = 1_000;
const OPEN_WITHIN_MS = 30_000;
/** A commit on its way may end within this time when the writer is closed. */
const CLOSE_WITHIN_MS = 2_000;

const logger = getLogger(["tidings", "core", "log"]);

/**
 * Takes a shard: fences the owner before, marks it, and resolves when the marks can be read.
 * @throws {LogError} "fenced" if another took it meanwhile or it may not be taken, "unavailable" after 30 s, "closed", "misconfigured"
 */
export async function openShardWriter(options: WriterOptions): Promise<ShardWriter> {
  const writer = new KafkaShardWriter(options);
  await writer.open();
  return writer;
}

class KafkaShardWriter implements ShardWriter {
  readonly #options: WriterOptions;
  readonly #closed = new AbortController();
  /** The log or this writer is being closed. */
  readonly #closing: AbortSignal;
  #producer: TransactionalProducer | undefined;
  /** A position in `topics`: marks from here on are later than ours, or are ours. */
  #scanned: number | undefined;
  #fenced = false;
  /** The last of the commits, which are written one after the other. */
  #tail: Promise<unknown> = Promise.resolve();

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#closing = AbortSignal.any([options.closing, this.#closed.signal]);
  }

  async open(): Promise<void> {
    const { shard, owner, kafkaTopicOf, end } = this.#options;
    const until = performance.now() + OPEN_WITHIN_MS;
    await this.#fencePredecessor(until);
    const mark = Buffer.from(owner);
    const first = await this.#write(MARKED.map((stream) => ({ stream, key: MARK_KEY, value: mark })), until);
    for (const stream of MARKED) {
      const offset = first.get(partitionName({ kafkaTopic: kafkaTopicOf(stream), partition: shard }))!;
      // A commit is durable a little earlier than it is readable. An end that is asked for from now on covers the marks (A3.2).
      while (await end(stream) <= offset) await pause(MARK_PAUSE_MS, this.#closing);
    }
  }

  commit(records: readonly ShardRecord[]): Promise<void> {
    if (records.length === 0) return Promise.resolve();
    const done = this.#tail.then(() => this.#write(records));
    this.#tail = done.catch(() => {});
    return done.then(() => {});
  }

  async close(): Promise<void> {
    await waitAtMost(CLOSE_WITHIN_MS, this.#tail, this.#options.closing);
    this.#closed.abort();
    await this.#tail;
  }

  async #fencePredecessor(until: number): Promise<void> {
    while (this.#scanned === undefined) {
      this.#refuseIfOver();
      try {
        await this.#take();
        // No transaction of an earlier owner is undecided now, so all of its marks stand before this.
        this.#scanned = await this.#options.end("topics");
      } catch (error) {
        if (error instanceof OwnershipUncertain) throw new LogError("fenced", error.message, { cause: error });
        if (error instanceof LogError && error.code !== "unavailable") throw error;
        if (isForbidden(error)) throw new LogError("misconfigured", error.message, { cause: error });
        if (performance.now() > until) throw this.#unavailable(error);
        await this.#pauseAndRefresh();
      }
    }
  }

  /** Writes the records, and repeats that until it is known that they were written. */
  async #write(records: readonly ShardRecord[], until = Infinity): Promise<Map<string, number>> {
    const { shard, kafkaTopicOf } = this.#options;
    const placed = records.map(({ stream, partition = shard, key, value, headers = {} }) => ({
      kafkaTopic: kafkaTopicOf(stream),
      partition,
      record: { key, value, headers },
    }));
    let failure: unknown;
    for (;;) {
      this.#refuseIfOver();
      try {
        if (this.#producer === undefined) await this.#retake(failure);
        return await this.#producer!.commit(placed);
      } catch (error) {
        this.#producer = undefined;
        failure = error;
        if (error instanceof LogError && error.code !== "unavailable") {
          this.#refuseIfOver();
          throw error;
        }
        if (performance.now() > until) throw this.#unavailable(error);
        const reason = (error as Error).message;
        logger.debug("shard {shard}: a transaction is repeated after: {reason}", { shard, reason });
        await this.#pauseAndRefresh();
      }
    }
  }

  /** Takes a new producer, unless another owner has the shard. It looks before, so as not to fence that owner, and again after. */
  async #retake(failure: unknown): Promise<void> {
    const until = performance.now() + MARK_WITHIN_MS;
    do {
      if (await this.#isTaken()) throw this.#taken();
      if (isFenced(failure)) await pause(FENCED_PAUSE_MS, this.#closing);
    } while (isFenced(failure) && performance.now() < until && !this.#closing.aborted);
    await this.#take();
    if (await this.#isTaken()) throw this.#taken();
  }

  async #take(): Promise<void> {
    const { cluster, transactionalId, mayOpen, clock } = this.#options;
    this.#producer = await takeTransactionalId({ cluster, transactionalId, mayOpen, closing: this.#closing, clock });
  }

  /** Whether the newest mark is another owner's. The position moves on, so each record is read once. */
  async #isTaken(): Promise<boolean> {
    const { owner, readTopics } = this.#options;
    const end = await this.#options.end("topics");
    while (this.#scanned! < end) {
      const { records, next } = await readTopics(this.#scanned!);
      for (const { key, value } of records) {
        if (key === MARK_KEY && value !== null && Buffer.from(value).toString() !== owner) return true;
      }
      if (next === this.#scanned) await pause(PAUSE_MS, this.#closing);
      this.#scanned = next;
    }
    return false;
  }

  async #pauseAndRefresh(): Promise<void> {
    await pause(PAUSE_MS, this.#closing);
    await this.#options.cluster.refresh().catch(() => {});
  }

  #refuseIfOver(): void {
    const { shard } = this.#options;
    if (this.#fenced) throw this.#taken();
    if (this.#closing.aborted) {
      throw new LogError("closed", `Cannot write to shard ${shard}: its writer is closed`);
    }
  }

  #taken(): LogError {
    this.#fenced = true;
    return new LogError("fenced", `Cannot write to shard ${this.#options.shard}: another owner has taken it`);
  }

  #unavailable(error: unknown): LogError {
    const { shard } = this.#options;
    return new LogError("unavailable", `Cannot take shard ${shard}: ${(error as Error).message}`, { cause: error });
  }
}
