// Runs the shards of this process: takes and releases them as the group says, feeds them their events, and looks once a second for
// what is due (ARCHITECTURE §3).
import { Addresses } from "../delivery/lane/target.ts";
import type { Delivery } from "../delivery/delivery.ts";
import type { Log } from "../log/log.ts";
import type { BlockIndex } from "../messages/block-index.ts";
import type { Replica } from "../replica/replica.ts";
import { Claims } from "./claims.ts";
import type { Effects } from "./effects-port.ts";
import { LifeLog } from "./life-log.ts";
import type { Ownership } from "./ownership.ts";
import type { ShardOptions } from "./shard.ts";
import { reportGap, takeShard } from "./take.ts";

export interface ConsolidatorOptions {
  readonly log: Log;
  readonly replica: Replica;
  readonly ownership: Ownership;
  readonly delivery: Delivery;
  readonly blocks: BlockIndex;
  readonly effects: Effects;
  readonly secrets: ShardOptions["secrets"];
  readonly hubUrl: string;
  readonly retentionMs: number;
  /** Whether topics that no register made are forgotten when nobody needs them. Default: they stay. */
  readonly forgetsTopics?: boolean;
  /** How often positions are written while they change: 250 ms on libSQL, 1 s on Kafka (A3.1). */
  readonly checkpointMs: number;
  /** Wall clock, ms. */
  readonly clock: () => number;
  readonly random: () => number;
  /** The group's name for the process before this one in the same data directory, if that process is certainly dead. */
  readonly predecessor?: string | undefined;
  /** Gets the group's name for this process. */
  readonly joinedAs?: (id: string) => void;
  /** Aborted when the process no longer waits for its first shards. */
  readonly signal?: AbortSignal | undefined;
  readonly onFatal: (error: Error) => void;
}

export interface Consolidator {
  /** Counts since the start. */
  readonly counts: { readonly rebalances: number; readonly taken: number; readonly fenced: number };
  /**
   * Finishes what is in flight within the deadline (1 s where others take over), writes where everything stands, and leaves the
   * group. Never rejects.
   */
  stop(deadlineMs: number): Promise<void>;
}

/** The first shards of a process; requests can be answered before they run. */
const FIRST_SHARDS_WITHIN_MS = 15_000;

/**
 * Begins to take the shards of this process. Resolves when the lanes of the first ones run, or when `signal` aborts, or after 15 s where
 * a group may hold them up.
 * @throws {Error} where there is no group and a shard cannot be taken @throws {LogError} "misconfigured"
 */
export async function startConsolidator(options: ConsolidatorOptions): Promise<Consolidator> {
  const { log, ownership, random } = options;
  const addresses = new Addresses({ hubUrl: options.hubUrl, random });
  const follower = log.follow({ events: [] }, (batch) => {
    reportGap(batch);
    return ownership.shard(batch.partition)?.receive(batch.records, batch.next);
  });
  const partitionOf = (topicId: string) => log.partitionOf("messages", topicId);
  const isConfirmed = () => ownership.isConfirmed();
  const life = new LifeLog(() => performance.now());
  const subscribedOf = options.forgetsTopics === true
    ? (topicIds: readonly string[]) => options.replica.subscribedOf(topicIds)
    : undefined;
  const claims = new Claims({
    ...options,
    joinedAs: options.joinedAs ?? (() => {}),
    take: (number, taking) =>
      takeShard(number, { ...options, ...taking, addresses, follower, isConfirmed, partitionOf, life, subscribedOf }),
    unfollow: (number) => follower.remove("events", number),
  });
  claims.begin();
  await claims.settled(log.supports.group ? FIRST_SHARDS_WITHIN_MS : undefined, options.signal);
  const sweeper = setInterval(() => {
    for (const shard of ownership.shards) shard.sweep();
    life.tick();
  }, 1_000);
  return {
    counts: claims.counts,
    async stop(deadlineMs) {
      clearInterval(sweeper);
      await claims.stop(deadlineMs);
      life.tick();
      await follower.close();
    },
  };
}
