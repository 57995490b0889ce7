// The log on a Kafka cluster (ARCHITECTURE §2): one Kafka topic a stream, named `<prefix>.<stream>`. Readers know their own positions,
// so there is only one consumer group: it says which process has which shard (group.ts). Connections and codecs are ours
// (cluster/connection.ts says why).
import { randomUUID } from "node:crypto";
import {
  checkValueSize,
  type Follower,
  type Log,
  LogError,
  type Membership,
  type NewRecord,
  type Stream,
} from "../log.ts";
import { Appender } from "./appender.ts";
import { type Cluster, type ClusterOptions, createCluster } from "./cluster/cluster.ts";
import type { KafkaSecurity } from "./cluster/security.ts";
import { type FollowedPartition, KafkaFollower } from "./follower.ts";
import { GroupMembership } from "./group.ts";
import { checkKafkasOwn, type Durability, prepareKafkaTopics, type TopicPlan, topicsToKnow } from "./kafka-topics.ts";
import { Offsets } from "./offsets.ts";
import { partitionOfKey } from "./protocol/key-hash.ts";
import { overheadOf } from "./protocol/record-batch.ts";
import { END, START } from "./protocol/topic-requests.ts";
import { createRead, type Read } from "./reader.ts";
import { createStartRetry, retry } from "./retry.ts";
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
  /** Brokers show it in their logs and use it for quotas. */
  readonly clientId: string;
  /** Replicas of each Kafka topic; undefined: 3, or 1 on fewer than three brokers. */
  readonly replication?: number | undefined;
  /** Partitions of every stream, fixed when the Kafka topics are made; default 16. */
  readonly partitions?: number;
  /** How long an append is tried before it is "unavailable", ms; default 30 s. */
  readonly giveUpMs?: number;
  /** `segment.ms` of the compacted streams; default 1 h. */
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
/** Largest key and headers of a record. They fit into the room that kafka-topics.ts adds to max.message.bytes. */
const OVERHEAD_BYTES = 64 * 1024;

/**
 * Opens the log on a Kafka cluster, and waits for the cluster as long as it must. The first start makes the Kafka topics.
 * @throws {LogError} "misconfigured"; "closed" once `signal` aborts
 */
export async function openKafkaLog(options: KafkaLogOptions): Promise<Log> {
  const { brokers, prefix, clientId, retentionMs, maxMessageBytes, replication, partitions = PARTITIONS } = options;
  const { compactedSegmentMs = HOUR_MS, security = {}, connect = createCluster } = options;
  const kafkaTopicOf = (stream: Stream) => `${prefix}.${stream}`;
  const kafkaTopics = topicsToKnow(kafkaTopicOf);
  const newCluster = () => connect({ brokers, clientId, security, kafkaTopics });
  const clusters = { asking: newCluster(), reading: newCluster(), appending: newCluster(), writing: newCluster() };
  const plan = { kafkaTopicOf, partitions, replication, retentionMs, maxMessageBytes, compactedSegmentMs };
  const closing = new AbortController();
  const durability = await start(clusters, plan, closing, options.signal);
  const { clusterId } = await clusters.asking.known();
  return createKafkaLog({
    prefix,
    clusterId,
    plan,
    durability,
    clusters,
    newCluster,
    closing,
    giveUpMs: options.giveUpMs,
    clock: options.clock ?? Date.now,
  });
}

/** Each use has connections of its own, so that it does not wait behind a slower one. */
interface Clusters {
  /** Questions about offsets, which must not wait behind a fetch. */
  readonly asking: Cluster;
  readonly reading: Cluster;
  /** Appends, which must not wait behind a question. */
  readonly appending: Cluster;
  /** Transactions, which must not wait behind appends. */
  readonly writing: Cluster;
}

function allOf({ asking, reading, appending, writing }: Clusters): readonly Cluster[] {
  return [asking, reading, appending, writing];
}

/** Reaches the cluster and prepares its Kafka topics. A failure, or `signal`, closes everything. */
async function start(
  clusters: Clusters,
  plan: TopicPlan,
  closing: AbortController,
  signal: AbortSignal | undefined,
): Promise<Durability> {
  const all = allOf(clusters);
  const giveUp = () => {
    closing.abort();
    for (const cluster of all) cluster.close();
  };
  if (signal?.aborted === true) giveUp();
  signal?.addEventListener("abort", giveUp);
  const retryStart = createStartRetry(closing.signal);
  try {
    // A cluster that refuses us stops the start before the topics are checked.
    await retryStart("reach Kafka", () => clusters.asking.refresh());
    const durability = await retryStart(
      "prepare the Kafka topics",
      () => prepareKafkaTopics(clusters.asking, plan),
    );
    // Each cluster object must know who leads before it is used.
    await Promise.all(all.map((cluster) => retryStart("reach Kafka", () => cluster.refresh())));
    return durability;
  } catch (error) {
    giveUp();
    throw error;
  } finally {
    signal?.removeEventListener("abort", giveUp);
  }
}

interface KafkaLogParts {
  readonly prefix: string;
  readonly clusterId: string;
  readonly plan: TopicPlan;
  readonly durability: Durability;
  readonly clusters: Clusters;
  readonly newCluster: () => Cluster;
  readonly closing: AbortController;
  readonly giveUpMs: number | undefined;
  readonly clock: () => number;
}

function createKafkaLog(parts: KafkaLogParts): Log {
  const { prefix, plan, clusters, newCluster, closing, clock, giveUpMs } = parts;
  const { kafkaTopicOf, partitions, maxMessageBytes } = plan;
  const { signal } = closing;
  const offsets = new Offsets(clusters.asking, signal);
  const read = createRead(clusters.reading, offsets, signal);
  const appender = new Appender({ cluster: clusters.appending, clock, giveUpMs });
  const openWriter = createWriters({ ...parts, offsets, read });
  const followers = new Set<Follower>();
  const memberships = new Set<Membership>();
  const at = (stream: Stream, partition: number, time: number) => offsets.at(kafkaTopicOf(stream), partition, time);
  const partitionOf = (_stream: Stream, key: string) => partitionOfKey(key, partitions);
  const refuseIfClosed = () => {
    if (signal.aborted) throw new LogError("closed", "The log is closed");
  };

  return {
    kind: "kafka",
    identity: `${parts.clusterId}/${prefix}`,
    supports: { keyIndex: false, group: true },
    partitions: () => partitions,
    partitionOf,
    async append(stream, record, partition = partitionOf(stream, record.key)) {
      checkValueSize(record, maxMessageBytes);
      checkOverhead(record);
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
      refuseIfClosed();
      const followed: FollowedPartition[] = Object.entries(from).flatMap(([stream, positions]) =>
        positions.map((position, partition) => ({ stream: stream as Stream, partition, from: position }))
      );
      const onClosed = () => followers.delete(follower);
      const cluster = newCluster();
      const follower = new KafkaFollower({ cluster, offsets, partitions: followed, kafkaTopicOf, handle, onClosed });
      followers.add(follower);
      return follower;
    },
    openWriter,
    join(member) {
      refuseIfClosed();
      const membership = new GroupMembership({
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
      await retry(() => clusters.asking.refresh(), { what: "reach Kafka", forMs: REACH_WITHIN_MS, closing: signal });
    },
    async close() {
      if (signal.aborted) return;
      const written = appender.close(CLOSE_WITHIN_MS);
      await Promise.all([...memberships].map((membership) => membership.leave()));
      await Promise.all([...followers].map((follower) => follower.close()));
      await written;
      closing.abort();
      for (const cluster of allOf(clusters)) cluster.close();
    },
  };
}

/** Opens the writers of shards. */
function createWriters(
  { prefix, plan: { kafkaTopicOf }, durability, clusters, closing: { signal }, clock, offsets, read }:
    & KafkaLogParts
    & { readonly offsets: Offsets; readonly read: Read },
): Log["openWriter"] {
  let checked: Promise<void> | undefined;

  /** Kafka makes its own topics for the first transaction ever, so only then they can be checked. */
  function check(): Promise<void> {
    const patience = { what: "check Kafka's own topics", forMs: REACH_WITHIN_MS, closing: signal };
    return retry(() => checkKafkasOwn(clusters.writing, durability), patience);
  }

  return async (shard, mayOpen = () => true) => {
    const writer = await openShardWriter({
      cluster: clusters.writing,
      shard,
      transactionalId: `${prefix}.shard-${shard}`,
      owner: randomUUID(),
      mayOpen,
      kafkaTopicOf,
      end: (stream) => offsets.at(kafkaTopicOf(stream), shard, END),
      readTopics: (position) => read(kafkaTopicOf("topics"), shard, position, { maxBytes: 1024 * 1024 }),
      clock,
      closing: signal,
    });
    try {
      await (checked ??= check());
    } catch (error) {
      checked = undefined;
      await writer.close();
      throw error;
    }
    return writer;
  };
}

function checkOverhead(record: NewRecord): void {
  const overhead = overheadOf(record);
  if (overhead > OVERHEAD_BYTES) {
    throw new LogError(
      "too_large",
      `The record's key and headers take ${overhead} bytes; at most ${OVERHEAD_BYTES} are allowed`,
    );
  }
}
