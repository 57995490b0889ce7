// The replica: this process's own copy of the consolidated state, in a libSQL file that follows the compacted streams.
// Any process answers any query from it, a restart reads only the tail, and a deleted file rebuilds itself (ARCHITECTURE §3).
import type { CursorRecord, SubscriptionRecord, TopicRecord } from "../state/records.ts";
import type { Log } from "../log/log.ts";
import type { BlockStore } from "../messages/block.ts";
import { StoredBlocks } from "./blocks.ts";
import {
  type DeadLetterQuery,
  type KeptDeadLetter,
  type LetterMessageQuery,
  type LetterMessages,
  readDeadLetters,
  readLetterMessages,
} from "./dead-letter-rows.ts";
import { drizzle } from "./drizzle.ts";
import { isPast, Progress } from "./progress.ts";
import { openReplicaFile } from "./replica-file.ts";
import { ReplicaWriter } from "./replica-writer.ts";
import {
  loadShard,
  readCount,
  readRecord,
  readShardRecords,
  readTopics,
  type ShardState,
  STATES,
  type StateStream,
  subscribedOf,
} from "./states.ts";

const RETENTION_MS = 7 * 86_400_000;

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
  /** The records of those of these topics that have one, by their ids: one question. */
  topics(topicIds: readonly string[]): Promise<ReadonlyMap<string, TopicRecord>>;
  subscription(subscriptionId: string): Promise<SubscriptionRecord | undefined>;
  cursor(subscriptionId: string): Promise<CursorRecord | undefined>;
  /** A client's sum, by its name (`countNameOf` of states.ts). */
  count(name: string): Promise<number>;
  /** Which of these topics have any subscription that is active, parked, expired or waits for verification: one question. */
  subscribedOf(topicIds: readonly string[]): Promise<ReadonlySet<string>>;
  /**
   * Dead letters of a subscription's life, as far as retention keeps them; waits for those that the log has now.
   * @returns undefined if the replica has not read them within `timeoutMs`
   */
  deadLetters(query: Omit<DeadLetterQuery, "since">, timeoutMs: number): Promise<KeptDeadLetter[] | undefined>;
  /** The messages of those dead letters. */
  letterMessages(query: Omit<LetterMessageQuery, "since">, timeoutMs: number): Promise<LetterMessages | undefined>;
  /** The blocks of `messages` (A4.2, A4.4). */
  readonly blocks: BlockStore;
  /** Calls back when the record of a subscription was written or removed. Returns a function that ends this. */
  watch(subscriptionId: string, changed: () => void): () => void;
  /** The watermark of a shard for a partition of `messages`; undefined if none was written yet. */
  watermark(shard: number, partition: number): number | undefined;

  /**
   * Resolves when this stream shows everything folded from the shard's `events` before `offset` (A3.11).
   * @returns false if it does not within `timeoutMs`
   */
  reached(stream: StateStream, shard: number, offset: number, timeoutMs: number): Promise<boolean>;
  /** Resolves when the replica is near the ends that the streams have now, so that its process may join the group (A3.12). */
  nearEnd(): Promise<void>;
  /**
   * Resolves when the replica has read all that a shard's streams of state, and the blocks that its owner writes, have now: a new
   * owner loads exactly what the last one wrote (A3.2).
   */
  caughtUp(shard: number): Promise<void>;
  /** Whether the last owner of a shard has released it, or there was none; waits at most `timeoutMs` for that (A3.2). */
  released(shard: number, timeoutMs: number): Promise<boolean>;
  load(shard: number): Promise<ShardState>;
  close(): Promise<void>;
}

/** Opens the replica file and begins to follow the log. */
export async function openReplica(
  { path, log, clock, onFatal, retentionMs = RETENTION_MS }: ReplicaOptions,
): Promise<Replica> {
  const { database, next, ends } = await openReplicaFile(path, log, clock);
  const db = drizzle(database.read);
  const progress = new Progress(log, next);
  const blocks = new StoredBlocks(db);
  const watchers = new Map<string, Set<() => void>>();
  for (const stream of STATES) {
    for (const [shard, state] of await readShardRecords(db, stream)) progress.note(stream, shard, state);
  }
  const writer = new ReplicaWriter({ path, database, withTopics: !log.supports.keyIndex, clock, onFatal });
  let following = ends.size === 0;
  const follower = log.follow(Object.fromEntries(next), async (batch) => {
    if (!await writer.write(batch, following)) return;
    progress.advance(batch);
    following ||= isPast(progress.next, ends);
    if (batch.stream === "subscriptions") {
      for (const { key } of batch.records) watchers.get(key)?.forEach((changed) => changed());
    }
    if (batch.stream === "blocks") blocks.written(batch);
    progress.settle();
  });
  writer.startRetention(retentionMs);
  const one = <T>(stream: StateStream, key: string) => readRecord<T>(db, stream, log.partitionOf(stream, key), key);

  /** What `read` finds once the dead letters that the log has now are in the replica; undefined if that takes too long. */
  async function inDeadLetters<T>(
    subscriptionId: string,
    timeoutMs: number,
    read: (since: number) => Promise<T>,
  ): Promise<T | undefined> {
    const partition = log.partitionOf("dead-letters", subscriptionId);
    const end = await log.end("dead-letters", partition);
    if (!await progress.hasRead("dead-letters", partition, end, timeoutMs)) return undefined;
    return await read(clock() - retentionMs);
  }

  return {
    topic: (topicId) => one<TopicRecord>("topics", topicId),
    topics: (topicIds) => readTopics(db, topicIds.map((id) => [id, log.partitionOf("topics", id)])),
    subscription: (subscriptionId) => one<SubscriptionRecord>("subscriptions", subscriptionId),
    cursor: (subscriptionId) => one<CursorRecord>("cursors", subscriptionId),
    count: (name) => readCount(db, name),
    subscribedOf: (topicIds) => subscribedOf(db, topicIds),
    deadLetters: (query, timeoutMs) =>
      inDeadLetters(query.subscriptionId, timeoutMs, (since) => readDeadLetters(db, { ...query, since })),
    letterMessages: (query, timeoutMs) =>
      inDeadLetters(query.subscriptionId, timeoutMs, (since) => readLetterMessages(db, { ...query, since })),
    blocks,
    watch(subscriptionId, changed) {
      const watching = watchers.get(subscriptionId) ?? new Set();
      watchers.set(subscriptionId, watching.add(changed));
      return () => {
        watching.delete(changed);
        if (watching.size === 0 && watchers.get(subscriptionId) === watching) watchers.delete(subscriptionId);
      };
    },
    watermark: (shard, partition) => progress.watermark(shard, partition),
    reached: (stream, shard, offset, timeoutMs) => progress.reached(stream, shard, offset, timeoutMs),
    nearEnd: () => progress.nearEnd(),
    caughtUp: (shard) => progress.caughtUp(shard),
    released: (shard, timeoutMs) => progress.released(shard, timeoutMs),
    load: (shard) => loadShard(db, shard, clock()),
    async close() {
      writer.close();
      await follower.close();
      progress.close();
      database.close();
    },
  };
}
