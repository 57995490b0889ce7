// Brokers with the semantics that the core has to live with (ARCHITECTURE §2). Markers take offsets. Records become readable a little
// after their commit was acknowledged, in each partition at its own time. Only the InitProducerId of its successor fences a producer.
// A transaction that is left open ends after its timeout.
import { CODE } from "../../../core/log/kafka/protocol/kafka-error.ts";
import { partitionOfKey } from "../../../core/log/kafka/protocol/key-hash.ts";
import type { ClusterMetadata } from "../../../core/log/kafka/protocol/cluster-requests.ts";
import type { Machine, Task } from "../time/machine.ts";
import type { Random } from "../../support/load/random.ts";
import { Group } from "./group.ts";
import { Partition } from "./partition.ts";
import type { Asked, InTransaction, TopicPartition } from "./requests.ts";

export const NODES = [1, 2, 3] as const;

interface Transactional {
  readonly producerId: number;
  epoch: number;
  state: "empty" | "ongoing" | "completing";
  committed: boolean;
  partitions: Set<Partition>;
  timeoutMs: number;
  timeout: Task | undefined;
}

const INVALID_TXN_STATE = 48;
const DEFAULTS = [
  ["retention.bytes", "-1"],
  ["unclean.leader.election.enable", "false"],
  ["compression.type", "producer"],
] as const;

export interface BrokerOptions {
  readonly machine: Machine;
  readonly random: Random;
  /** The offset of the first record of a partition of `messages`, as if others had been there before. */
  readonly messagesFrom: (partition: number) => number;
  /** Whether a producer that has a successor is refused. */
  readonly fences: boolean;
}

export class Broker {
  readonly #machine: Machine;
  readonly #random: Random;
  readonly #messagesFrom: (partition: number) => number;
  readonly #fences: boolean;
  readonly #topics = new Map<string, { partitions: Partition[]; settings: Map<string, string> }>();
  readonly #transactional = new Map<string, Transactional>();
  readonly #groups = new Map<string, Group>();
  readonly #stalledUntil = new Map<number, number>();
  #producerIds = 1_000;

  constructor({ machine, random, messagesFrom, fences }: BrokerOptions) {
    this.#machine = machine;
    this.#random = random;
    this.#messagesFrom = messagesFrom;
    this.#fences = fences;
  }

  partitions(topic: string): readonly Partition[] {
    return this.#topics.get(topic)?.partitions ?? [];
  }

  /** The partition that Kafka's own hash gives a key. */
  shardOf(key: string, partitions: number): number {
    return partitionOfKey(key, partitions);
  }

  /** The node answers nothing until then. */
  stall(node: number, until: number): void {
    this.#stalledUntil.set(node, Math.max(until, this.stalledUntil(node)));
  }
  stalledUntil(node: number): number {
    return this.#stalledUntil.get(node) ?? 0;
  }

  coordinatorOf(transactionalId: string): number {
    let sum = 0;
    for (let index = 0; index < transactionalId.length; index++) sum += transactionalId.charCodeAt(index);
    return NODES[sum % NODES.length]!;
  }

  metadata(asked: readonly string[]): ClusterMetadata {
    return {
      clusterId: "simulated",
      controllerId: NODES[0],
      brokers: NODES.map((nodeId) => ({ nodeId, host: `broker-${nodeId}`, port: 9092 })),
      kafkaTopics: asked.map((topic) => {
        const found = this.#topics.get(topic);
        return {
          kafkaTopic: topic,
          errorCode: found === undefined ? CODE.UNKNOWN_TOPIC_OR_PARTITION : CODE.NONE,
          partitions: (found?.partitions ?? []).map(({ number, node }) => ({
            errorCode: CODE.NONE,
            partition: number,
            leader: node,
            replicas: [...NODES],
          })),
        };
      }),
    };
  }

  /** Responds at once, or when the group is ready. */
  serve(asked: Exclude<Asked, { name: "Fetch" }>, respond: (answer: unknown) => void): void {
    switch (asked.name) {
      case "JoinGroup":
        return this.#groupOf(asked.groupId).join(asked, respond);
      case "SyncGroup":
        return this.#groupOf(asked.groupId).sync(asked, respond);
      case "Heartbeat":
        return respond({ errorCode: this.#groupOf(asked.groupId).heartbeat(asked) });
      case "LeaveGroup":
        for (const memberId of asked.memberIds) this.#groupOf(asked.groupId).leave(memberId);
        return respond({ errorCode: CODE.NONE });
      default:
        return respond(this.#answer(asked));
    }
  }

  #groupOf(groupId: string): Group {
    let group = this.#groups.get(groupId);
    if (group === undefined) {
      group = new Group(this.#machine, () => this.stalledUntil(this.coordinatorOf(groupId)));
      this.#groups.set(groupId, group);
    }
    return group;
  }

  #answer(asked: Exclude<Asked, { name: "Fetch" | "JoinGroup" | "SyncGroup" | "Heartbeat" | "LeaveGroup" }>): unknown {
    switch (asked.name) {
      case "ListOffsets":
        return asked.places.map((place) => ({
          kafkaTopic: place.topic,
          partition: place.partition,
          errorCode: CODE.NONE,
          offset: this.#offsetOf(place, place.timestamp),
        }));
      case "InitProducerId":
        return this.#initProducerId(asked.transactionalId, asked.timeoutMs);
      case "AddPartitionsToTxn":
        return this.#addPartitions(asked);
      case "EndTxn":
        return { errorCode: this.#endTransaction(asked) };
      case "Produce":
        return asked.parts.map((part) => {
          const time = Math.floor(this.#machine.now);
          return {
            kafkaTopic: part.topic,
            partition: part.partition,
            time,
            ...this.#produce(part, asked.transactionalId),
          };
        });
      case "CreateTopics":
        return asked.topics.map(({ topic, partitions, settings }) => {
          const isThere = this.#topics.has(topic);
          if (!isThere) this.#create(topic, partitions, settings);
          const errorCode = isThere ? CODE.TOPIC_ALREADY_EXISTS : CODE.NONE;
          return { kafkaTopic: topic, errorCode, errorMessage: "" };
        });
      case "DescribeConfigs":
        return asked.topics.map((topic) => ({
          kafkaTopic: topic,
          errorCode: CODE.NONE,
          errorMessage: "",
          settings: this.#topics.get(topic)?.settings ?? new Map(),
        }));
    }
  }

  #create(topic: string, count: number, settings: readonly (readonly [string, string])[]): void {
    const partitions = Array.from({ length: count }, (_, number) => {
      const start = topic.endsWith(".messages") ? this.#messagesFrom(number) : 0;
      return new Partition({ topic, number, node: NODES[(number + topic.length) % NODES.length]!, start });
    });
    this.#topics.set(topic, { partitions, settings: new Map([...DEFAULTS, ...settings]) });
  }

  partition({ topic, partition }: TopicPartition): Partition {
    const found = this.#topics.get(topic)?.partitions[partition];
    if (found === undefined) throw new Error(`There is no ${topic}/${partition}`);
    return found;
  }

  #offsetOf(place: TopicPartition, timestamp: number): number {
    const partition = this.partition(place);
    if (timestamp === -1) return partition.lastStable;
    return timestamp === -2 ? partition.start : partition.offsetAt(timestamp);
  }

  /** Returns undefined if there is nothing to read, unless the answer may be empty. */
  fetch(asked: Asked & { name: "Fetch" }, mayBeEmpty: boolean): unknown {
    let bytes = 0;
    let found = false;
    const results = asked.parts.map((part) => {
      const partition = this.partition(part);
      const head = { kafkaTopic: part.topic, partition: part.partition };
      if (part.offset < partition.start || part.offset > partition.next) {
        found = true;
        return { ...head, errorCode: CODE.OFFSET_OUT_OF_RANGE, aborted: [], bytes: Buffer.alloc(0) };
      }
      const most = bytes > asked.maxBytes ? 0 : this.#random.integer(1, 8);
      const brought = partition.fetch(part.offset, part.maxBytes, most);
      bytes += brought.bytes.length;
      found ||= brought.bytes.length > 0;
      return { ...head, errorCode: CODE.NONE, ...brought };
    });
    return found || mayBeEmpty ? { errorCode: CODE.NONE, results } : undefined;
  }

  // ── producers and transactions ─────────────────────────────────────────────────────────────────────────────────────

  #produce(part: TopicPartition & { readonly batch: Buffer }, transactionalId: string | null) {
    const partition = this.partition(part);
    const refused = (errorCode: number) => ({ errorCode, baseOffset: -1 });
    if (transactionalId !== null) {
      const transactional = this.#transactional.get(this.#keyOf(transactionalId, part.batch.readUInt32BE(47)));
      const epoch = part.batch.readInt16BE(51);
      if (transactional === undefined || epoch !== transactional.epoch) return refused(CODE.INVALID_PRODUCER_EPOCH);
      if (transactional.state !== "ongoing" || !transactional.partitions.has(partition)) {
        return refused(INVALID_TXN_STATE);
      }
    }
    const produced = partition.produce(part.batch, this.#machine.now);
    if (produced === "old epoch") return refused(CODE.INVALID_PRODUCER_EPOCH);
    if (produced === "out of order") return refused(CODE.OUT_OF_ORDER_SEQUENCE_NUMBER);
    return { errorCode: CODE.NONE, baseOffset: produced.offset };
  }

  /** If no producer is fenced, it is as if each producer had a transactional id of its own. */
  #keyOf(transactionalId: string, producerId: number): string {
    return this.#fences ? transactionalId : `${transactionalId}/${producerId}`;
  }

  #initProducerId(transactionalId: string | null, timeoutMs: number) {
    const refused = (errorCode: number) => ({ errorCode, producerId: -1, producerEpoch: -1 });
    if (transactionalId === null) {
      return { errorCode: CODE.NONE, producerId: ++this.#producerIds, producerEpoch: 0 };
    }
    const key = this.#fences ? transactionalId : this.#keyOf(transactionalId, this.#producerIds + 1);
    let transactional = this.#transactional.get(key);
    if (transactional === undefined) {
      transactional = {
        producerId: ++this.#producerIds,
        epoch: -1,
        state: "empty",
        committed: false,
        partitions: new Set(),
        timeoutMs,
        timeout: undefined,
      };
      this.#transactional.set(key, transactional);
    }
    if (transactional.state === "completing") return refused(CODE.CONCURRENT_TRANSACTIONS);
    transactional.epoch++;
    transactional.timeoutMs = timeoutMs;
    if (transactional.state === "ongoing") {
      this.#complete(transactional, false);
      return refused(CODE.CONCURRENT_TRANSACTIONS);
    }
    const { producerId, epoch } = transactional;
    return { errorCode: CODE.NONE, producerId, producerEpoch: epoch };
  }

  #addPartitions(asked: Asked & { name: "AddPartitionsToTxn" }) {
    const transactional = this.#transactional.get(this.#keyOf(asked.transactionalId, asked.producerId));
    const errorCode = this.#refusal(transactional, asked);
    if (errorCode === CODE.NONE) {
      for (const place of asked.places) transactional!.partitions.add(this.partition(place));
      if (transactional!.state === "empty") {
        transactional!.state = "ongoing";
        transactional!.timeout = this.#machine.after(transactional!.timeoutMs, undefined, "transaction timeout", () => {
          transactional!.epoch++;
          this.#complete(transactional!, false);
        });
      }
    }
    return asked.places.map(({ topic, partition }) => ({ kafkaTopic: topic, partition, errorCode }));
  }

  #endTransaction(asked: Asked & { name: "EndTxn" }): number {
    const transactional = this.#transactional.get(this.#keyOf(asked.transactionalId, asked.producerId));
    const refusal = this.#refusal(transactional, asked);
    if (refusal !== CODE.NONE) return refusal;
    if (transactional!.state === "empty") {
      return transactional!.committed === asked.commit ? CODE.NONE : INVALID_TXN_STATE;
    }
    this.#complete(transactional!, asked.commit);
    return CODE.NONE;
  }

  #refusal(transactional: Transactional | undefined, { producerId, epoch }: InTransaction): number {
    if (transactional === undefined || transactional.producerId !== producerId) return CODE.INVALID_PRODUCER_ID_MAPPING;
    if (transactional.epoch !== epoch) return CODE.INVALID_PRODUCER_EPOCH;
    return transactional.state === "completing" ? CODE.CONCURRENT_TRANSACTIONS : CODE.NONE;
  }

  /** The outcome is decided. Each partition learns it a little later, at its own time. */
  #complete(transactional: Transactional, commit: boolean): void {
    transactional.state = "completing";
    if (transactional.timeout !== undefined) transactional.timeout.cancelled = true;
    transactional.committed = commit;
    const { producerId, epoch } = transactional;
    let left = transactional.partitions.size;
    const done = () => {
      transactional.state = "empty";
      transactional.partitions = new Set();
    };
    if (left === 0) return done();
    for (const partition of transactional.partitions) {
      const mark = () => {
        const until = this.stalledUntil(partition.node);
        if (until > this.#machine.now) return void this.#machine.at(until, undefined, "marker", mark);
        partition.mark(producerId, epoch, commit, this.#machine.now);
        if (--left === 0) done();
      };
      this.#machine.after(this.#random.delay(2), undefined, "marker", mark);
    }
  }

  // ── what brokers do by themselves ──────────────────────────────────────────────────────────────────────────────────

  compact(): void {
    for (const { partitions, settings } of this.#topics.values()) {
      if (!settings.get("cleanup.policy")?.includes("compact")) continue;
      for (const partition of partitions) partition.compact();
    }
  }
}
