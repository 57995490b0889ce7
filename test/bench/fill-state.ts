// Subscriptions that a core finds in its log when it starts: written as the owners of its shards write them, because what is
// measured is what they cost a core, and a million requests and challenges would take hours.
import { randomBytes } from "node:crypto";
import {
  encodeRecord,
  SHARD_KEY,
  type ShardRecordState,
  type SubscriptionRecord,
  type TopicRecord,
} from "../../core/consolidator/records.ts";
import { subscriptionIdOf, topicIdOf } from "../../core/ids.ts";
import type { Log, ShardRecord } from "../../core/log/log.ts";

export interface FilledTopic {
  readonly topic: string;
  readonly callbacks: Iterable<string>;
}

const PER_COMMIT = 1_000;
const LEASE_MS = 10 * 86_400_000;

/** Writes topics and active subscriptions, none of which has missed anything, into a log that is empty. */
export async function fillState(log: Log, topics: Iterable<FilledTopic>): Promise<void> {
  const shards = Array.from({ length: log.partitions("subscriptions") }, (_, shard) => shard);
  const writers = await Promise.all(shards.map((shard) => log.openWriter(shard)));
  const time = Date.now();
  // One event that all of the state stands behind: the next one has a later offset than any version.
  const first = { type: "register", id: operationId(), time, topic: "https://bench.test/first", end: 0 };
  for (const shard of shards) await log.append("events", { key: "first", value: encodeRecord(first) }, shard);
  const waiting: ShardRecord[][] = shards.map(() => []);
  const writing: Promise<void>[] = shards.map(() => Promise.resolve());
  const write = async (shard: number) => {
    await writing[shard];
    writing[shard] = writers[shard]!.commit(waiting[shard]!.splice(0));
  };
  const put = async (stream: "topics" | "subscriptions", key: string, record: object) => {
    const shard = log.partitionOf(stream, key);
    waiting[shard]!.push({ stream, key, value: encodeRecord(record) });
    if (waiting[shard]!.length >= PER_COMMIT) await write(shard);
  };
  for (const { topic, callbacks } of topics) {
    await put("topics", topicIdOf(topic), topicOf(topic, time));
    for (const callback of callbacks) {
      await put("subscriptions", subscriptionIdOf(topic, callback), subscriptionOf(topic, callback, time));
    }
  }
  const watermarks = await Promise.all(
    Array.from({ length: log.partitions("messages") }, (_, partition) => log.end("messages", partition)),
  );
  for (const shard of shards) {
    for (const stream of ["topics", "subscriptions", "cursors"] as const) {
      const state: ShardRecordState = { events: 1, ...(stream === "cursors" ? { watermarks } : {}) };
      waiting[shard]!.push({ stream, key: SHARD_KEY, value: encodeRecord(state) });
    }
    await write(shard);
    await writing[shard];
    await writers[shard]!.close();
  }
}

function topicOf(topic: string, time: number): TopicRecord {
  return { topic, version: 0, start: 0, operations: [[operationId(), time]] };
}

/** As the fold leaves one that was asked for and verified; without a secret, as to seal a million of them takes ten minutes. */
function subscriptionOf(topic: string, callback: string, time: number): SubscriptionRecord {
  return {
    topic,
    callback,
    phase: "active",
    version: 0,
    life: 0,
    start: 0,
    verified: 0,
    // They did not all subscribe in the same second.
    expiresAt: time + Math.round(LEASE_MS * (0.1 + 0.9 * Math.random())),
    concurrency: 1,
    pending: [],
    operations: [[operationId(), time], [operationId(), time]],
  };
}

function operationId(): string {
  return `op_${randomBytes(16).toString("base64url")}`;
}
