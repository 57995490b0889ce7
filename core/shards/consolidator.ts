// The shards of this process: feeds them their events, runs their lanes (ARCHITECTURE A3.2). Which they are, the group says; on a
// log without one they are all here.
import { aborted } from "../../shared/pause.ts";
import { type BlockIndex, openBlockIndex } from "../messages/block-index.ts";
import { Addresses } from "../delivery/lane/addresses.ts";
import { Delivery, type DeliveryDependencies } from "../delivery/delivery.ts";
import type { LaneOwner } from "../delivery/sending/lane-outcomes.ts";
import type { Log } from "../log/log.ts";
import { KEYS_KEPT_MS } from "../state/ids.ts";
import type { Replica } from "../replica/replica.ts";
import type { Effects } from "./owed.ts";
import { createOwnership, type Ownership } from "./ownership.ts";
import type { Shard, ShardOptions } from "./shard.ts";
import { reportGap, takeShard } from "./take.ts";

export interface ConsolidatorOptions {
  readonly log: Log;
  readonly replica: Replica;
  readonly delivery: Omit<DeliveryDependencies, "blocks" | "isConfirmed">;
  readonly effects: Effects;
  readonly secrets: ShardOptions["secrets"];
  readonly hubUrl: string;
  readonly retentionMs: number;
  /** How often positions are written while they change: 250 ms on libSQL, 1 s on Kafka (A3.1). */
  readonly checkpointMs: number;
  readonly clock: () => number;
  /** Monotonic clock, ms, the log's too: the age of the session is measured by it (A3.4). Default `performance.now`. */
  readonly now?: () => number;
  /** Aborted when neither the log nor its first shards are to be waited for any more. */
  readonly signal?: AbortSignal | undefined;
  /** What the process before this one in the same place was known as to the group, if it is sure to be dead. */
  readonly predecessor?: string | undefined;
  /** What this process is known as from now on. */
  readonly joinedAs?: (id: string) => void;
  readonly onFatal: (error: Error) => void;
}

/** A3.4: of the 10 s of a session; the rest is for what is under way. */
const CONFIRMED_WITHIN_MS = 8_000;
/** The first shards of a process; it can be asked before they run. */
const FIRST_SHARDS_WITHIN_MS = 15_000;
/** How far before the end the tail begins at most: what a shard's lanes lack before it, they read (A4.1). */
const MOST_BEHIND = 10_000;

export interface Consolidator {
  /** Those that this process has now, in the order of their numbers; it changes as the group says (A3.2, A3.3). */
  readonly shards: readonly Shard[];
  readonly delivery: Delivery;
  readonly blocks: BlockIndex;
  /** The shard of a subscription id; undefined if another process has it, or nobody. */
  shardOf(subscriptionId: string): Shard | undefined;
  /** Counts since start; `confirmedAgoMs`: how old the session's last confirmation is, undefined where there is no group. */
  readonly group: {
    readonly rebalances: number;
    readonly taken: number;
    readonly fenced: number;
    readonly confirmedAgoMs: number | undefined;
  };
  /**
   * Finishes what is in flight within the deadline (1 s where others take over), writes where everything stands, and leaves.
   */
  stop(deadlineMs: number): Promise<void>;
}

/**
 * Takes the shards that are this process's. Resolves when their lanes run; where others may hold them up, after 15 s at most.
 * Rejects if `signal` aborts before it has joined the others.
 */
export async function startConsolidator(options: ConsolidatorOptions): Promise<Consolidator> {
  const { log, replica, now = () => performance.now(), onFatal } = options;
  const shardCount = log.partitions("events");
  const numbers = Array.from({ length: shardCount }, (_, number) => number);
  // A3.12: sooner it would hold up what it was given. The log may be silent for as long as it likes.
  await Promise.race([replica.nearEnd(), ...(options.signal === undefined ? [] : [aborted(options.signal)])]);
  options.signal?.throwIfAborted();
  if (!log.supports.group) await Promise.all(numbers.map((number) => replica.caughtUp(number)));
  const from = await tailFrom(log, replica);
  let ownership: Ownership | undefined;
  const confirmedAgo = () => {
    const confirmedAt = ownership?.membership?.confirmedAt();
    return confirmedAt === undefined ? undefined : now() - confirmedAt;
  };
  const isConfirmed = () => !log.supports.group || (confirmedAgo() ?? Infinity) < CONFIRMED_WITHIN_MS;
  const shardOf = (number: number) => ownership?.shard(number);
  const blocks = await openBlockIndex({
    log,
    store: replica.blocks,
    rememberMs: Math.min(KEYS_KEPT_MS, options.retentionMs),
    // A3.1: one writer for all that a shard owns, the blocks of its partitions of `messages` included.
    owns: (partition) => shardOf(partition % shardCount) !== undefined,
    write: (record) => shardOf(record.partition % shardCount)?.put(record),
  }, from);
  const owner: LaneOwner = {
    moved: (lane) => shardOf(lane.shard)?.moved(lane),
    gone: (lane) => shardOf(lane.shard)?.gone(lane),
    leaseOver: (lane) => shardOf(lane.shard)?.leaseOver(lane),
    deadLetter: (lane, letter) => shardOf(lane.shard)?.deadLetter(lane, letter),
  };
  const delivery = new Delivery({ ...options.delivery, blocks, isConfirmed }, owner, from);
  const addresses = new Addresses({ hubUrl: options.hubUrl, random: options.delivery.random });
  const follower = log.follow({ events: [] }, (batch) => {
    reportGap(batch);
    return shardOf(batch.partition)?.receive(batch.records, batch.next);
  });
  const owned = ownership = createOwnership(numbers, {
    take: (number, holding) =>
      takeShard(number, {
        ...options,
        ...holding,
        addresses,
        delivery,
        blocks,
        follower,
        isConfirmed,
        partitionOf: (topicId) => log.partitionOf("messages", topicId),
      }),
    unfollow: (number) => follower.remove("events", number),
    join: log.supports.group ? log.join?.bind(log) : undefined,
    predecessor: options.predecessor,
    joinedAs: options.joinedAs ?? (() => {}),
    random: options.delivery.random,
    onFatal,
  });
  // With one process the tail begins at the watermarks of all lanes: it feeds them, once they are here.
  if (log.supports.group) delivery.start();
  await owned.settled(log.supports.group ? FIRST_SHARDS_WITHIN_MS : undefined, options.signal);
  if (!log.supports.group) delivery.start();
  const sweeper = setInterval(() => {
    for (const shard of owned.shards()) shard.sweep();
  }, 1_000);

  return {
    get shards() {
      return owned.shards();
    },
    delivery,
    blocks,
    shardOf: (subscriptionId) => shardOf(log.partitionOf("subscriptions", subscriptionId)),
    get group() {
      return { ...owned.counts, confirmedAgoMs: confirmedAgo() };
    },
    async stop(deadlineMs) {
      clearInterval(sweeper);
      await owned.stop(deadlineMs);
      await follower.close();
      await delivery.stop(0);
      blocks.close();
    },
  };
}

/** Where the tail begins: what the shard that is furthest behind has not offered yet; lanes that are further skip what they had. */
async function tailFrom(log: Log, replica: Replica): Promise<number[]> {
  const shards = Array.from({ length: log.partitions("events") }, (_, shard) => shard);
  return await Promise.all(
    Array.from({ length: log.partitions("messages") }, async (_, partition) => {
      const end = await log.end("messages", partition);
      const behind = Math.min(end, ...shards.map((shard) => replica.watermark(shard, partition) ?? end));
      // Without an index of topics by key, lanes of a shard that was abandoned long ago know by the blocks what they lack.
      return log.supports.keyIndex ? behind : Math.max(behind, end - MOST_BEHIND);
    }),
  );
}
