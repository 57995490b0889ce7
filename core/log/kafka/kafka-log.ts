// The log on a Kafka cluster (ARCHITECTURE §2): one Kafka topic a stream, named `<prefix>.<stream>`. Who reads knows its positions,
// so there is one consumer group only, which says who has which shard (group.ts). Spoken to by kafkajs's codecs over connections
// of our own (connection.ts says why).
import { randomUUID } from "node:crypto";
import { type Follower, type Log, LogError, type Membership, type NewRecord, type Stream } from "../log.ts";
import { createAppender } from "./appender.ts";
import { type Cluster, type ClusterOptions, createCluster } from "./cluster/cluster.ts";
import { createMembership } from "./group.ts";
import { createFollower, type FollowedPartition } from "./follower.ts";
import { checkKafkasOwn, type Durability, prepareKafkaTopics, topicsToKnow } from "./kafka-topics.ts";
import { partitionOfKey } from "./protocol/key-hash.ts";
import { END, START } from "./protocol/topic-requests.ts";
import { createOffsets } from "./offsets.ts";
import { createInsist } from "./insist.ts";
import type { KafkaSecurity } from "./cluster/security.ts";
import { persist } from "./persist.ts";
import { createRead } from "./reader.ts";
import { overheadOf } from "./protocol/record-batch.ts";
import { openShardWriter } from "./writer.ts";

export interface KafkaLogOptions {
  /** `host:port` each; one that answers is enough to find the others. */
  readonly brokers: readonly string[];
  /** First part of all names: Kafka topics, transactional ids. */
  readonly prefix: string;
  readonly retentionMs: number;
  /** Largest value of a record, bytes. */
  readonly maxMessageBytes: number;
  /** Default: neither TLS nor SASL. */
  readonly security?: KafkaSecurity;
  /** What brokers see in their logs and quotas. */
  readonly clientId: string;
  /** Replicas of each Kafka topic; undefined: 3, or 1 on fewer than three brokers. */
  readonly replication?: number | undefined;
  /** Of every stream, fixed when the Kafka topics are made; default 16. */
  readonly partitions?: number;
  /** How long an append is tried before it is "unavailable", ms; default 30 s. */
  readonly giveUpMs?: number;
  /** Default 1 h. */
  readonly compactedSegmentMs?: number;
  readonly clock?: () => number;
  /** Ends the opening, which waits for brokers as long as it must. */
  readonly signal?: AbortSignal;
  /** How brokers are reached; by default over TCP. */
  readonly connect?: (options: ClusterOptions) => Cluster;
}

const PARTITIONS = 16;
const HOUR_MS = 3_600_000;
const CLOSE_WITHIN_MS = 3_000;
const REACH_WITHIN_MS = 5_000;
/** Key and headers; what is left of the frames that max.message.bytes has room for. */
const OVERHEAD_BYTES = 64 * 1024;

/**
 * Opens the log on a Kafka cluster, waiting for it as long as it must; makes its Kafka topics at first.
 * @throws {LogError} "misconfigured"; "closed" once `signal` aborts
 */
export async function openKafkaLog(options: KafkaLogOptions): Promise<Log> {
  const { brokers, prefix, clientId, retentionMs, maxMessageBytes, replication, giveUpMs, clock = Date.now } = options;
  const partitions = options.partitions ?? PARTITIONS;
  const kafkaTopicOf = (stream: Stream) => `${prefix}.${stream}`;
  const kafkaTopics = topicsToKnow(kafkaTopicOf);
  const { security = {}, connect = createCluster } = options;
  const newCluster = () => connect({ brokers, clientId, security, kafkaTopics });
  const closing = new AbortController();
  const { signal } = closing;

  // Questions about offsets must not wait behind a fetch, appends not behind a question, transactions not behind appends.
  const asking = newCluster();
  const reading = newCluster();
  const appending = newCluster();
  const writing = newCluster();
  const clusters = [asking, reading, appending, writing];
  const compactedSegmentMs = options.compactedSegmentMs ?? HOUR_MS;
  const plan = { kafkaTopicOf, partitions, replication, retentionMs, maxMessageBytes, compactedSegmentMs };
  const giveUp = () => {
    closing.abort();
    for (const cluster of clusters) cluster.close();
  };
  if (options.signal?.aborted === true) giveUp();
  options.signal?.addEventListener("abort", giveUp);
  const insist = createInsist(signal);
  let durability: Durability;
  try {
    // What it says no to stops the start; the checks come when it lets us in.
    await insist("reach Kafka", () => asking.refresh());
    durability = await insist("prepare the Kafka topics", () => prepareKafkaTopics(asking, plan));
    // Each knows who leads before it is asked for anything.
    await Promise.all(clusters.map((cluster) => insist("reach Kafka", () => cluster.refresh())));
  } catch (error) {
    giveUp();
    throw error;
  } finally {
    options.signal?.removeEventListener("abort", giveUp);
  }
  const { clusterId } = await asking.known();

  const offsets = createOffsets(asking, signal);
  const read = createRead(reading, offsets, signal);
  const appender = createAppender(appending, { clock, ...(giveUpMs === undefined ? {} : { giveUpMs }) });
  const followers = new Set<Follower>();
  const memberships = new Set<Membership>();
  const at = (stream: Stream, partition: number, time: number) => offsets.at(kafkaTopicOf(stream), partition, time);
  const partitionOf = (_stream: Stream, key: string) => partitionOfKey(key, partitions);
  let transactionsChecked: Promise<void> | undefined;

  function checkSize(record: NewRecord): void {
    const size = record.value?.byteLength ?? 0;
    if (size > maxMessageBytes) {
      throw new LogError("too_large", `The record has ${size} bytes; at most ${maxMessageBytes} are taken`);
    }
    const overhead = overheadOf(record);
    if (overhead > OVERHEAD_BYTES) {
      throw new LogError(
        "too_large",
        `The record's key and headers take ${overhead} bytes; at most ${OVERHEAD_BYTES} are taken`,
      );
    }
  }

  return {
    kind: "kafka",
    identity: `${clusterId}/${prefix}`,
    supports: { keyIndex: false, group: true },
    partitions: () => partitions,
    partitionOf,
    async append(stream, record, partition = partitionOf(stream, record.key)) {
      checkSize(record);
      return { partition, ...await appender.append(kafkaTopicOf(stream), partition, record) };
    },
    start: (stream, partition) => at(stream, partition, START),
    end: (stream, partition) => at(stream, partition, END),
    async positionAt(stream, partition, time) {
      const found = await at(stream, partition, Math.max(0, Math.floor(time)));
      return found >= 0 ? found : await at(stream, partition, END);
    },
    read: (stream, partition, from, limits) => read(kafkaTopicOf(stream), partition, from, limits),
    follow(from, handle) {
      if (signal.aborted) throw new LogError("closed", "The log is closed");
      const followed: FollowedPartition[] = Object.entries(from).flatMap(([stream, positions]) =>
        positions.map((position, partition) => ({ stream: stream as Stream, partition, from: position }))
      );
      const follower = createFollower({ cluster: newCluster(), offsets, partitions: followed, kafkaTopicOf, handle });
      const entry = { ...follower, close: () => follower.close().finally(() => followers.delete(entry)) };
      followers.add(entry);
      return entry;
    },
    async openWriter(shard, mayOpen = () => true) {
      const writer = await openShardWriter({
        cluster: writing,
        shard,
        transactionalId: `${prefix}.shard-${shard}`,
        owner: randomUUID(),
        mayOpen,
        kafkaTopicOf,
        end: (stream) => at(stream, shard, END),
        readTopics: (position) => read(kafkaTopicOf("topics"), shard, position, { maxBytes: 1024 * 1024 }),
        clock,
        closing: signal,
      });
      try {
        // Made by Kafka for the first transaction ever, so only now it can be looked at.
        const patience = { what: "check Kafka's own topics", forMs: REACH_WITHIN_MS, closing: signal };
        await (transactionsChecked ??= persist(() => checkKafkasOwn(writing, durability), patience));
      } catch (error) {
        transactionsChecked = undefined;
        await writer.close();
        throw error;
      }
      return writer;
    },
    join(member) {
      if (signal.aborted) throw new LogError("closed", "The log is closed");
      const membership = createMembership({
        groupId: `${prefix}.cores`,
        kafkaTopic: kafkaTopicOf("events"),
        shards: partitions,
        member,
        newCluster,
        now: () => performance.now(),
      });
      memberships.add(membership);
      return membership;
    },
    async ping() {
      await persist(() => asking.refresh(), { what: "reach Kafka", forMs: REACH_WITHIN_MS, closing: signal });
    },
    async close() {
      if (signal.aborted) return;
      const written = appender.close(CLOSE_WITHIN_MS);
      await Promise.all([...memberships].map((membership) => membership.leave()));
      await Promise.all([...followers].map((follower) => follower.close()));
      await written;
      closing.abort();
      for (const cluster of clusters) cluster.close();
    },
  };
}
