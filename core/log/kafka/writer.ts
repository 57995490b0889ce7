// A shard's writer (A3.1): transactions of one transactional id, repeated whole with a new producer until they are durable or
// another owner has taken the shard. Who owns it stands in the log itself, as marks under the key "~owner".
import { getLogger } from "@logtape/logtape";
import { pause } from "../../../shared/pause.ts";
import { LogError, type LogRecord, type ShardRecord, type ShardWriter, type Stream } from "../log.ts";
import type { Cluster } from "./cluster/cluster.ts";
import { isForbidden } from "./protocol/kafka-error.ts";
import { InDoubt, isFenced, takeTransactionalId, type TransactionalProducer } from "./transaction.ts";

export interface WriterOptions {
  readonly cluster: Cluster;
  readonly shard: number;
  readonly transactionalId: string;
  /** Random; tells this owner's marks from any other's. */
  readonly owner: string;
  readonly kafkaTopicOf: (stream: Stream) => string;
  /** The last stable offset of this shard's partition. @throws {LogError} */
  readonly end: (stream: Stream) => Promise<number>;
  /** Committed records of this shard's partition of `topics`. @throws {LogError} */
  readonly readTopics: (from: number) => Promise<{ readonly records: readonly LogRecord[]; readonly next: number }>;
  /** Asked right before each request that fences (A3.4). In doubt, an unclear commit waits with what comes next. */
  readonly mayOpen: () => boolean;
  readonly clock: () => number;
  /** The log is being closed. */
  readonly closing: AbortSignal;
}

const MARKED = ["subscriptions", "cursors", "topics"] as const;
const MARK_KEY = "~owner";
const PAUSE_MS = 100;
/** Who was fenced gives the one who did it this long to leave its mark, before it takes the shard back. */
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
  const { cluster, shard, transactionalId, owner, kafkaTopicOf, mayOpen, clock } = options;
  const closed = new AbortController();
  const closing = AbortSignal.any([options.closing, closed.signal]);
  let producer: TransactionalProducer | undefined;
  /** Marks from here on are later than ours, or are ours. */
  let scanned: number | undefined;
  let fenced = false;
  let tail: Promise<unknown> = Promise.resolve();

  const take = async () => {
    producer = await takeTransactionalId({ cluster, transactionalId, mayOpen, closing, clock });
  };

  /** Whether the newest mark is another's. Moves on in the log, so each record is read once. */
  async function isTaken(): Promise<boolean> {
    const end = await options.end("topics");
    while (scanned! < end) {
      const { records, next } = await options.readTopics(scanned!);
      for (const { key, value } of records) {
        if (key === MARK_KEY && value !== null && Buffer.from(value).toString() !== owner) return true;
      }
      if (next === scanned) await pause(PAUSE_MS, closing);
      scanned = next;
    }
    return false;
  }

  /** A new producer, unless another owner has the shard: looked at before, not to hurt it, and after, to be sure. */
  async function retake(error: unknown): Promise<void> {
    const until = performance.now() + MARK_WITHIN_MS;
    do {
      if (await isTaken()) throw taken();
      if (isFenced(error)) await pause(20, closing);
    } while (isFenced(error) && performance.now() < until && !closing.aborted);
    await take();
    if (await isTaken()) throw taken();
  }

  function taken(): LogError {
    fenced = true;
    return new LogError("fenced", `Cannot write to shard ${shard}: another owner has taken it`);
  }

  function unavailable(error: unknown): LogError {
    return new LogError("unavailable", `Cannot take shard ${shard}: ${(error as Error).message}`, { cause: error });
  }

  function refuseIfOver(): void {
    if (fenced) throw taken();
    if (closing.aborted) throw new LogError("closed", `Cannot write to shard ${shard}: its writer is closed`);
  }

  /** Writes, and again until it is clear that it was written. */
  async function write(records: readonly ShardRecord[], until = Infinity): Promise<Map<string, number>> {
    const placed = records.map(({ stream, partition = shard, key, value, headers = {} }) => ({
      kafkaTopic: kafkaTopicOf(stream),
      partition,
      record: { key, value, headers },
    }));
    let failure: unknown;
    for (;;) {
      refuseIfOver();
      try {
        if (producer === undefined) await retake(failure);
        return await producer!.commit(placed);
      } catch (error) {
        producer = undefined;
        failure = error;
        if (error instanceof LogError && error.code !== "unavailable") {
          refuseIfOver();
          throw error;
        }
        if (performance.now() > until) throw unavailable(error);
        const reason = (error as Error).message;
        logger.debug("shard {shard}: a transaction is repeated after: {reason}", { shard, reason });
        await pause(PAUSE_MS, closing);
        await cluster.refresh().catch(() => {});
      }
    }
  }

  async function open(): Promise<void> {
    const until = performance.now() + OPEN_WITHIN_MS;
    while (scanned === undefined) {
      refuseIfOver();
      try {
        await take();
        // Nothing of an earlier owner is undecided now, so all of its marks stand before this.
        scanned = await options.end("topics");
      } catch (error) {
        if (error instanceof InDoubt) throw new LogError("fenced", error.message, { cause: error });
        if (error instanceof LogError && error.code !== "unavailable") throw error;
        if (isForbidden(error)) throw new LogError("misconfigured", error.message, { cause: error });
        if (performance.now() > until) throw unavailable(error);
        await pause(PAUSE_MS, closing);
        await cluster.refresh().catch(() => {});
      }
    }
    const mark = Buffer.from(owner);
    const first = await write(MARKED.map((stream) => ({ stream, key: MARK_KEY, value: mark })), until);
    for (const stream of MARKED) {
      const offset = first.get(`${kafkaTopicOf(stream)}/${shard}`)!;
      // Durable is a little earlier than readable; whoever asks for the end now is to see the marks (A3.2).
      while (await options.end(stream) <= offset) await pause(2, closing);
    }
  }

  await open();
  return {
    commit(records) {
      if (records.length === 0) return Promise.resolve();
      const done = tail.then(() => write(records));
      tail = done.catch(() => {});
      return done.then(() => {});
    },
    async close() {
      const grace = pause(CLOSE_WITHIN_MS, options.closing);
      await Promise.race([tail, grace]);
      closed.abort();
      await tail;
    },
  };
}
