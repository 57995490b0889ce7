// The replica: this process's own copy of the consolidated state, in a libSQL file that follows the compacted streams.
// Any process answers any query from it, a restart reads only the tail, and a deleted file rebuilds itself (ARCHITECTURE §3).
import type { LibSQLDatabase } from "drizzle-orm/libsql";
import { getLogger } from "@logtape/logtape";
import {
  type CursorRecord,
  decodeRecord,
  SHARD_KEY,
  type ShardRecordState,
  type SubscriptionRecord,
  type TopicRecord,
} from "../state/records.ts";
import { pause } from "../../shared/pause.ts";
import type { Database, Statement } from "../sqlite/database.ts";
import type { Batch, Log } from "../log/log.ts";
import type { BlockStore } from "../messages/block-store.ts";
import {
  blockInserts,
  blocksOf,
  countRepeats,
  keyedWith,
  newestBlock,
  placesOf,
  repeatsIn,
  sweepBlocks,
  topicsFrom,
} from "./blocks.ts";
import {
  type DeadLetterQuery,
  deadLetterStatements,
  type KeptDeadLetter,
  readDeadLetters,
  sweepDeadLetters,
} from "./dead-letters.ts";
import { and, drizzle, eq, sql } from "./drizzle.ts";
import { type FollowedStream, isFull, isPast, openFresh } from "./replica-file.ts";
import { counts, origin, positions, records } from "./schema.ts";
import { loadShard, type ShardState, STATES, stateStatements, type StateStream } from "./states.ts";

const logger = getLogger(["tidings", "core", "replica"]);

const DAY_MS = 86_400_000;
/** Records from the end, at which a replica counts as near it. */
const NEAR = 1_000;
const PAUSE_WHEN_FULL_MS = 1_000;

export interface ReplicaOptions {
  readonly path: string;
  readonly log: Log;
  /** Wall clock, ms. */
  readonly clock: () => number;
  /** Called when the file can no longer be written: the process must end. */
  readonly onFatal: (error: Error) => void;
  /** How long dead letters are kept, ms; default 7 days. */
  readonly retentionMs?: number;
}

export interface Replica {
  topic(topicId: string): Promise<TopicRecord | undefined>;
  subscription(subscriptionId: string): Promise<SubscriptionRecord | undefined>;
  cursor(subscriptionId: string): Promise<CursorRecord | undefined>;
  /** A sum of counts.ts, by its name. */
  count(name: string): Promise<number>;
  /** Whether a topic has any subscription that is active, parked, expired or waits to be verified. */
  hasSubscriptions(topicId: string): Promise<boolean>;
  /**
   * Dead letters of a subscription's life, as far as retention keeps them; waits for those that the log has now.
   * @returns undefined if it has not read them within `timeoutMs`
   */
  deadLetters(query: Omit<DeadLetterQuery, "since">, timeoutMs: number): Promise<KeptDeadLetter[] | undefined>;
  /** The blocks of `messages` (A4.2, A4.4). */
  readonly blocks: BlockStore;
  /** Calls back when the record of a subscription was written or removed. Returns the end of it. */
  watch(subscriptionId: string, changed: () => void): () => void;
  /** The watermark of a shard for a partition of `messages`; undefined if none was written yet. */
  watermark(shard: number, partition: number): number | undefined;

  /**
   * Resolves when this stream shows everything folded from the shard's `events` before `offset` (A3.11).
   * @returns false if that did not happen within `timeoutMs`
   */
  reached(stream: StateStream, shard: number, offset: number, timeoutMs: number): Promise<boolean>;
  /** Resolves when this is near all that was in the streams when it was asked, so that its process may join others (A3.12). */
  nearEnd(): Promise<void>;
  /**
   * Resolves when all that is in a shard's streams now has been read, the blocks that its owner writes included (A3.2): what a
   * new owner loads is exact then.
   */
  caughtUp(shard: number): Promise<void>;
  /** Whether the last owner of a shard has let go of it, or there was none; waits for that for at most `timeoutMs` (A3.2). */
  released(shard: number, timeoutMs: number): Promise<boolean>;
  load(shard: number): Promise<ShardState>;
  close(): Promise<void>;
}

/** Opens the replica file and begins to follow the log. */
export async function openReplica(
  { path, log, clock, onFatal, retentionMs = DAY_MS * 7 }: ReplicaOptions,
): Promise<Replica> {
  const { database, next, ends } = await openFresh(path, log, clock);
  const db = drizzle(database.write);
  const reading = drizzle(database.read);
  // `events` positions as the `~` records say, per stream and shard; what `reached` waits for.
  const folded = new Map<string, number>();
  const watermarks = new Map<number, readonly number[]>();
  /** Shards that have an owner, as far as the log says. */
  const owned = new Set<number>();
  const watchers = new Map<string, Set<() => void>>();
  const blockWatchers = new Set<(partition: number, block: number) => void>();
  const waits = new Set<{ test: () => boolean; done: (reached: boolean) => void; timer?: NodeJS.Timeout }>();
  for (const stream of STATES) {
    const rows = await reading.select().from(records).where(
      and(eq(records.stream, stream), eq(records.key, SHARD_KEY)),
    );
    for (const row of rows) note(stream, row.partition, JSON.parse(row.record) as ShardRecordState);
  }

  const closing = new AbortController();
  let closed = false;
  let following = ends.size === 0;
  const follower = log.follow(Object.fromEntries(next), async (batch) => {
    if (!await written(batch)) return;
    next.get(batch.stream as FollowedStream)![batch.partition] = batch.next;
    following ||= isPast(next, ends);
    for (const record of batch.records) {
      if (record.key === SHARD_KEY && record.value !== null) {
        note(batch.stream as StateStream, batch.partition, decodeRecord<ShardRecordState>(record.value));
      }
      if (batch.stream === "subscriptions") watchers.get(record.key)?.forEach((changed) => changed());
    }
    if (batch.stream === "blocks" && blockWatchers.size > 0) {
      for (const block of blocksOf(batch)) for (const heard of blockWatchers) heard(batch.partition, block);
    }
    for (const wait of waits) if (wait.test()) wait.done(true);
  });
  const sweeper = setInterval(() => {
    const swept = (error: unknown) => closed || isFull(error) || failed(error);
    sweepDeadLetters(db, clock() - retentionMs).catch(swept);
    // As long as the stream keeps them (ARCHITECTURE §2).
    sweepBlocks(db, clock() - retentionMs - DAY_MS).catch(swept);
  }, Math.min(600_000, Math.max(1_000, retentionMs / 8)));
  sweeper.unref();

  /** False if it never will be. */
  async function written(batch: Batch): Promise<boolean> {
    while (!closed) {
      try {
        // Until it has read what was there when it was opened, it is as old as it was (A3.12).
        await write(database, db, batch, {
          followedAt: following ? clock() : undefined,
          withTopics: !log.supports.keyIndex,
        });
        return true;
      } catch (error) {
        if (!isFull(error)) {
          failed(error);
          return false;
        }
        logger.error("There is no room for the replica {path}; it waits", { path });
        await pause(PAUSE_WHEN_FULL_MS, closing.signal);
      }
    }
    return false;
  }

  function failed(error: unknown): void {
    // After SQLITE_BUSY a connection lies (A2.5), and a replica that cannot be written answers from an old state.
    onFatal(new Error(`Cannot write the replica ${path}`, { cause: error }));
  }

  function note(stream: StateStream, partition: number, state: ShardRecordState): void {
    folded.set(`${stream}/${partition}`, state.events);
    if (stream !== "cursors") return;
    if (state.watermarks !== undefined) watermarks.set(partition, state.watermarks);
    if (state.released === true) owned.delete(partition);
    else owned.add(partition);
  }

  function until(test: () => boolean, timeoutMs?: number): Promise<boolean> {
    if (test()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const wait: { test: () => boolean; done: (reached: boolean) => void; timer?: NodeJS.Timeout } = {
        test,
        done: (reached) => {
          clearTimeout(wait.timer);
          waits.delete(wait);
          resolve(reached);
        },
      };
      if (timeoutMs !== undefined) wait.timer = setTimeout(() => wait.done(false), timeoutMs);
      waits.add(wait);
    });
  }

  function endsOf(stream: FollowedStream): Promise<number[]> {
    return Promise.all(next.get(stream)!.map((_, partition) => log.end(stream, partition)));
  }

  async function one<T>(stream: StateStream, key: string): Promise<T | undefined> {
    const rows = await reading.select({ record: records.record }).from(records).where(
      and(eq(records.stream, stream), eq(records.partition, log.partitionOf(stream, key)), eq(records.key, key)),
    );
    return rows[0] === undefined ? undefined : JSON.parse(rows[0].record) as T;
  }

  return {
    topic: (topicId) => one<TopicRecord>("topics", topicId),
    subscription: (subscriptionId) => one<SubscriptionRecord>("subscriptions", subscriptionId),
    cursor: (subscriptionId) => one<CursorRecord>("cursors", subscriptionId),
    async count(name) {
      const [row] = await reading.select({ count: counts.count }).from(counts).where(eq(counts.name, name));
      return row?.count ?? 0;
    },
    async hasSubscriptions(topicId) {
      // The first row decides, so that a ping costs the same for one subscription and for a hundred thousand.
      const rows = await reading.select({ key: records.key }).from(records).where(and(
        eq(records.topicId, topicId),
        sql`(json_extract(${records.record}, '$.phase') IN ('active', 'expired')
          OR json_array_length(${records.record}, '$.pending') > 0)`,
      )).limit(1);
      return rows.length > 0;
    },
    async deadLetters(query, timeoutMs) {
      const partition = log.partitionOf("dead-letters", query.subscriptionId);
      const end = await log.end("dead-letters", partition);
      if (!await until(() => next.get("dead-letters")![partition]! >= end, timeoutMs)) return undefined;
      return await readDeadLetters(reading, { ...query, since: clock() - retentionMs });
    },
    blocks: {
      newestBlock: (partition) => newestBlock(reading, partition),
      keyed: (partition, ids) => keyedWith(reading, partition, ids),
      repeats: (partition, from, to) => repeatsIn(reading, partition, from, to),
      countRepeats: (partition, topicId, from, before) => countRepeats(reading, partition, { topicId, from, before }),
      places: (partition, topicId, fromBlock, limit) => placesOf(reading, partition, { topicId, fromBlock, limit }),
      topicsFrom: (partition, fromBlock) => topicsFrom(reading, partition, fromBlock),
      onBlock(heard) {
        blockWatchers.add(heard);
        return () => void blockWatchers.delete(heard);
      },
    },
    watch(subscriptionId, changed) {
      const watching = watchers.get(subscriptionId) ?? new Set();
      watchers.set(subscriptionId, watching.add(changed));
      return () => {
        watching.delete(changed);
        if (watching.size === 0 && watchers.get(subscriptionId) === watching) watchers.delete(subscriptionId);
      };
    },
    watermark: (shard, partition) => watermarks.get(shard)?.[partition],
    reached: (stream, shard, offset, timeoutMs) =>
      until(() => (folded.get(`${stream}/${shard}`) ?? 0) >= offset, timeoutMs),
    async nearEnd() {
      const far = new Map<FollowedStream, number[]>();
      // The block index is read from the log where they end.
      for (const stream of next.keys()) {
        const near = stream === "blocks" ? 0 : NEAR;
        far.set(stream, (await endsOf(stream)).map((end) => end - near));
      }
      await until(() => isPast(next, far));
    },
    async caughtUp(shard) {
      const shards = log.partitions("events");
      const behind = ([...STATES, "blocks"] as const).map(async (stream) => {
        for (const [partition, end] of (await endsOf(stream)).entries()) {
          if (partition % shards === shard) await until(() => next.get(stream)![partition]! >= end);
        }
      });
      await Promise.all(behind);
    },
    async released(shard, timeoutMs) {
      const end = await log.end("cursors", shard);
      return await until(() => next.get("cursors")![shard]! >= end && !owned.has(shard), timeoutMs);
    },
    load: (shard) => loadShard(reading, shard, clock()),
    async close() {
      closed = true;
      closing.abort();
      clearInterval(sweeper);
      await follower.close();
      for (const wait of waits) wait.done(false);
      database.close();
    },
  };
}

async function write(
  { write }: Database,
  db: LibSQLDatabase,
  batch: Batch,
  { followedAt, withTopics }: { followedAt: number | undefined; withTopics: boolean },
): Promise<void> {
  const { stream, partition, next } = batch;
  const position = db.insert(positions).values({ stream, partition, next }).onConflictDoUpdate({
    target: [positions.stream, positions.partition],
    set: { next },
  });
  const statements = stream === "dead-letters"
    ? deadLetterStatements(db, batch).map(toStatement)
    : stream === "blocks"
    ? blockInserts(db, batch, withTopics).map(toStatement)
    : stateStatements(stream as StateStream, batch);
  const followed = followedAt === undefined ? [] : [toStatement(db.update(origin).set({ followedAt }))];
  await write.batch([toStatement(position), ...followed, ...statements], "write");
}

function toStatement(built: { toSQL(): { sql: string; params: unknown[] } }): Statement {
  const { sql, params } = built.toSQL();
  return { sql, args: params as (string | number | null)[] };
}
