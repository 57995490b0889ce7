// The Kafka topics behind the streams: made at the first start, checked at every start (A2.1, A2.3). A wrong setting stops the
// start with a sentence, because its damage would show only when data is lost.
import { getLogger } from "@logtape/logtape";
import { COMPACTED, LogError, type Stream, STREAMS } from "../log.ts";
import type { Cluster } from "./cluster/cluster.ts";
import { CODE, failOn, KafkaError } from "./protocol/kafka-error.ts";
import type { ClusterMetadata } from "./protocol/cluster-requests.ts";
import { createTopics, describeTopics } from "./protocol/topic-requests.ts";

export interface TopicPlan {
  readonly kafkaTopicOf: (stream: Stream) => string;
  readonly partitions: number;
  /** Undefined: 3, or 1 on fewer than three brokers. */
  readonly replication: number | undefined;
  readonly retentionMs: number;
  readonly maxMessageBytes: number;
  /** `segment.ms` of the compacted streams: a segment is compacted when the next one has begun. */
  readonly compactedSegmentMs: number;
}

export interface Durability {
  readonly replication: number;
  readonly minInsync: number;
}

/** How a setting that was found must relate to the expected one. */
type Bound = "exactly" | "at least" | "at most" | "one of";
interface Setting {
  readonly name: string;
  readonly value: string;
  readonly bound: Bound;
  /** The setting is checked but not set, because Kafka's default is right. */
  readonly unset?: true;
}

const DAY_MS = 86_400_000;
/** Room in a batch beside its largest value: keys, headers, frames. */
const BATCH_OVERHEAD_BYTES = 128 * 1024;
const KAFKA_DEFAULT_BYTES = 1_048_588;
const KEPT_BY_KAFKA = ["__transaction_state", "__consumer_offsets"];

const logger = getLogger(["tidings", "core", "log"]);

/**
 * Makes missing Kafka topics, checks all of them, and returns how durable they are. A repeated call goes on where the last one failed.
 * @throws {LogError} "misconfigured" naming the topic, the setting, and what was expected and found @throws {KafkaError} {NoAnswer}
 */
export async function prepareKafkaTopics(cluster: Cluster, plan: TopicPlan): Promise<Durability> {
  const before = await cluster.refresh();
  const durability = durabilityOf(plan, before.brokers.length);
  const missing = STREAMS.filter((stream) => !exists(before, plan.kafkaTopicOf(stream)));
  if (missing.length > 0) await create(cluster, plan, missing, durability, before.controllerId);
  const after = await cluster.refresh();
  for (const stream of STREAMS) checkPlacement(after, plan.kafkaTopicOf(stream), durability, plan.partitions);
  await checkSettings(cluster, plan, durability, after.controllerId);
  await checkKafkasOwn(cluster, durability);
  if (plan.replication === undefined && durability.replication === 1) {
    logger.warn(
      "With fewer than three Kafka brokers each record is kept once; with three it would be kept three times",
    );
  }
  return durability;
}

/**
 * The topics that Kafka keeps transactions and groups in must be as durable as ours. They appear with the first use.
 * @throws {LogError} "misconfigured"
 */
export async function checkKafkasOwn(cluster: Cluster, durability: Durability): Promise<void> {
  const metadata = await cluster.refresh();
  const present = KEPT_BY_KAFKA.filter((kafkaTopic) => exists(metadata, kafkaTopic));
  if (present.length === 0) return;
  for (const kafkaTopic of present) checkPlacement(metadata, kafkaTopic, durability);
  const expected: Setting = { name: "min.insync.replicas", value: String(durability.minInsync), bound: "at least" };
  for (const [kafkaTopic, found] of await describe(cluster, present, metadata.controllerId)) {
    checkSetting(kafkaTopic, expected, found);
  }
}

/** The Kafka topics whose metadata the checks need. */
export function topicsToKnow(kafkaTopicOf: (stream: Stream) => string): string[] {
  return [...STREAMS.map(kafkaTopicOf), ...KEPT_BY_KAFKA];
}

function durabilityOf({ replication }: TopicPlan, brokers: number): Durability {
  const chosen = replication ?? (brokers >= 3 ? 3 : 1);
  return { replication: chosen, minInsync: chosen >= 3 ? 2 : 1 };
}

function settingsOf(stream: Stream, plan: TopicPlan, { minInsync }: Durability): Setting[] {
  const { retentionMs, maxMessageBytes, compactedSegmentMs } = plan;
  const keptMs = { messages: retentionMs, events: Math.max(retentionMs, DAY_MS), "dead-letters": retentionMs };
  const common: Setting[] = [
    { name: "min.insync.replicas", value: String(minInsync), bound: "at least" },
    {
      name: "max.message.bytes",
      value: String(Math.max(KAFKA_DEFAULT_BYTES, maxMessageBytes + BATCH_OVERHEAD_BYTES)),
      bound: "at least",
    },
    // A record's time is the log's own, never a client's.
    { name: "message.timestamp.type", value: "LogAppendTime", bound: "exactly" },
    { name: "retention.bytes", value: "-1", bound: "exactly", unset: true },
    { name: "unclean.leader.election.enable", value: "false", bound: "exactly", unset: true },
    { name: "compression.type", value: "producer,uncompressed", bound: "one of", unset: true },
  ];
  if (!COMPACTED.includes(stream)) {
    const kept = keptMs[stream as keyof typeof keptMs];
    return [
      ...common,
      { name: "cleanup.policy", value: "delete", bound: "exactly" },
      { name: "retention.ms", value: String(kept), bound: "exactly" },
      // Retention removes whole segments, so at most an eighth is kept for longer.
      { name: "segment.ms", value: String(Math.max(1_000, Math.floor(kept / 8))), bound: "at most" },
    ];
  }
  const compacted: Setting[] = [
    ...common,
    { name: "segment.bytes", value: String(64 * 1024 * 1024), bound: "at most" },
    { name: "segment.ms", value: String(compactedSegmentMs), bound: "at most" },
    { name: "min.cleanable.dirty.ratio", value: "0.1", bound: "at most" },
    // A replica that was away for less than this sees every tombstone (A3.12).
    { name: "delete.retention.ms", value: String(7 * DAY_MS), bound: "at least" },
  ];
  if (stream !== "blocks") return [...compacted, { name: "cleanup.policy", value: "compact", bound: "exactly" }];
  return [
    ...compacted,
    { name: "cleanup.policy", value: "compact,delete", bound: "exactly" },
    { name: "retention.ms", value: String(retentionMs + DAY_MS), bound: "exactly" },
  ];
}

async function create(
  cluster: Cluster,
  plan: TopicPlan,
  missing: readonly Stream[],
  durability: Durability,
  node: number,
): Promise<void> {
  const topics = missing.map((stream) => ({
    kafkaTopic: plan.kafkaTopicOf(stream),
    partitions: plan.partitions,
    replication: durability.replication,
    settings: settingsOf(stream, plan, durability).filter(({ unset }) => !unset),
  }));
  const created = await cluster.send(node, createTopics(topics, 10_000), 15_000);
  for (const { kafkaTopic, errorCode, errorMessage } of created) {
    if (errorCode === CODE.INVALID_REPLICATION_FACTOR) {
      throw new LogError(
        "misconfigured",
        `Cannot create ${kafkaTopic} with ${durability.replication} replicas: ${errorMessage}`,
      );
    }
    // Another core may have made it meanwhile.
    if (errorCode !== CODE.TOPIC_ALREADY_EXISTS) failOn(errorCode, `Cannot create ${kafkaTopic}`, errorMessage);
  }
}

function exists(metadata: ClusterMetadata, kafkaTopic: string): boolean {
  const found = metadata.kafkaTopics.find((one) => one.kafkaTopic === kafkaTopic);
  return found !== undefined && found.errorCode !== CODE.UNKNOWN_TOPIC_OR_PARTITION;
}

function checkPlacement(
  metadata: ClusterMetadata,
  kafkaTopic: string,
  { replication }: Durability,
  partitions?: number,
): void {
  const found = metadata.kafkaTopics.find((one) => one.kafkaTopic === kafkaTopic);
  const code = found?.errorCode ?? CODE.UNKNOWN_TOPIC_OR_PARTITION;
  // A topic that was just made is not known to every broker yet, so this is retried.
  if (code !== CODE.NONE) throw new KafkaError(code, `Cannot use ${kafkaTopic}`);
  const placed = found!.partitions;
  if (partitions !== undefined && placed.length !== partitions) {
    refuse(kafkaTopic, "partitions", `exactly ${partitions}`, placed.length);
  }
  const fewest = Math.min(...placed.map(({ replicas }) => replicas.length));
  if (fewest < replication) refuse(kafkaTopic, "replicas", `at least ${replication}`, fewest);
  if (placed.some(({ leader }) => leader < 0)) {
    throw new KafkaError(CODE.LEADER_NOT_AVAILABLE, `Cannot use ${kafkaTopic}`);
  }
}

async function checkSettings(cluster: Cluster, plan: TopicPlan, durability: Durability, node: number): Promise<void> {
  const found = await describe(cluster, STREAMS.map(plan.kafkaTopicOf), node);
  for (const stream of STREAMS) {
    const kafkaTopic = plan.kafkaTopicOf(stream);
    for (const setting of settingsOf(stream, plan, durability)) {
      checkSetting(kafkaTopic, setting, found.get(kafkaTopic) ?? new Map());
    }
  }
}

async function describe(
  cluster: Cluster,
  kafkaTopics: readonly string[],
  node: number,
): Promise<Map<string, ReadonlyMap<string, string>>> {
  const described = await cluster.send(node, describeTopics(kafkaTopics));
  return new Map(described.map(({ kafkaTopic, errorCode, errorMessage, settings }) => {
    failOn(errorCode, `Cannot read the settings of ${kafkaTopic}`, errorMessage);
    return [kafkaTopic, settings];
  }));
}

function checkSetting(kafkaTopic: string, { name, value, bound }: Setting, found: ReadonlyMap<string, string>): void {
  const is = found.get(name);
  // Lists ("compact,delete") are compared without their order.
  const list = (text: string) => text.split(",").toSorted().join();
  const right = is !== undefined && {
    exactly: list(is) === list(value),
    "at least": Number(is) >= Number(value),
    "at most": Number(is) <= Number(value),
    "one of": value.split(",").includes(is),
  }[bound];
  if (!right) refuse(kafkaTopic, name, `${bound} ${value}`, is ?? "nothing");
}

function refuse(kafkaTopic: string, setting: string, expected: string, found: string | number): never {
  throw new LogError(
    "misconfigured",
    `Cannot use the Kafka topic ${kafkaTopic}: expected ${setting} to be ${expected}, found ${found}`,
  );
}
