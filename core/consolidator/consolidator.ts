// All shards of this process: takes them, feeds them their events, runs their lanes (ARCHITECTURE A3.2). One process owns all
// of them for now; with several, a consumer group says which.
import { getLogger } from "@logtape/logtape";
import { type BlockIndex, openBlockIndex } from "../blocks/block-index.ts";
import { Delivery, type DeliveryDependencies, type LaneOwner } from "../delivery/delivery.ts";
import type { Log } from "../log/log.ts";
import type { Follower } from "../log/log.ts";
import type { Replica } from "../replica/replica.ts";
import type { Effects } from "./owed.ts";
import { Shard } from "./shard.ts";

const logger = getLogger(["tidings", "core", "consolidator"]);

/** How long an idempotency key is remembered at most (A4.4). */
export const KEYS_KEPT_MS = 86_400_000;

export interface ConsolidatorOptions {
  readonly log: Log;
  readonly replica: Replica;
  readonly delivery: Omit<DeliveryDependencies, "blocks">;
  readonly effects: Effects;
  readonly hubUrl: string;
  readonly retentionMs: number;
  /** How often positions are written while they change: 250 ms on libSQL, 1 s on Kafka (A3.1). */
  readonly checkpointMs: number;
  readonly checkpointAhead?: boolean;
  readonly now: () => number;
  readonly onFatal: (error: Error) => void;
}

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
  /** Finishes what is in flight within the deadline, then writes where everything stands. */
  stop(deadlineMs: number): Promise<void>;
}

/** Takes every shard, folds what is in the log, then starts the lanes. Resolves when they run. */
export async function startConsolidator(options: ConsolidatorOptions): Promise<Consolidator> {
  const { log, replica, now, onFatal } = options;
  const numbers = Array.from({ length: log.partitions("events") }, (_, number) => number);
  const ends = await endsOf(log, "messages");
  const partitionOf = (topicId: string) => log.partitionOf("messages", topicId);
  const writers = await Promise.all(numbers.map((number) => log.openWriter(number)));
  // A3.2: only a replica that has read everything, the marks of these very writers included, says where the shards stand.
  await replica.caughtUp();
  const shards = await Promise.all(numbers.map(async (number) =>
    new Shard({
      number,
      writer: writers[number]!,
      state: await replica.load(number),
      eventsFrom: await log.start("events", number),
      ends,
      hubUrl: options.hubUrl,
      retentionMs: options.retentionMs,
      checkpointMs: options.checkpointMs,
      checkpointAhead: options.checkpointAhead === true,
      partitionOf,
      effects: options.effects,
      now,
      onLost: onFatal,
    })
  ));
  const targets = await endsOf(log, "events");
  for (const shard of shards) shard.start();
  const follower: Follower = log.follow({ events: shards.map((shard) => shard.events) }, (batch) => {
    if (batch.gap !== undefined) {
      logger.error("Events {from} to {to} of shard {shard} were removed before they were folded", {
        from: batch.gap.from,
        to: batch.gap.to,
        shard: batch.partition,
      });
    }
    return shards[batch.partition]!.receive(batch.records, batch.next);
  });
  await Promise.all(shards.map((shard, index) => shard.foldedTo(targets[index]!)));

  const owner: LaneOwner = {
    moved: (lane) => shards[lane.shard]!.moved(lane),
    gone: (lane) => shards[lane.shard]!.gone(lane),
    leaseOver: (lane) => shards[lane.shard]!.leaseOver(lane),
    deadLetter: (lane, letter) => shards[lane.shard]!.deadLetter(lane, letter),
  };
  // The tail begins where the shard that is furthest behind has not offered yet; lanes that are further skip what they had.
  const from = ends.map((end, partition) =>
    shards.reduce((least, shard) => Math.min(least, shard.book.watermarks[partition] ?? end), end)
  );
  const blocks = await openBlockIndex({
    log,
    store: replica.blocks,
    rememberMs: Math.min(KEYS_KEPT_MS, options.retentionMs),
    // A3.1: one writer for all that a shard owns, the blocks of its partitions of `messages` included.
    write: (record) => shards[record.partition % shards.length]!.put(record),
  }, from);
  const delivery = new Delivery({ ...options.delivery, blocks }, owner, from);
  for (const shard of shards) shard.attach(delivery);
  delivery.start();
  const sweeper = setInterval(() => {
    for (const shard of shards) shard.sweep();
  }, 1_000);

  return {
    shards,
    delivery,
    blocks,
    group: { rebalances: 0, taken: shards.length, fenced: 0, confirmedAgoMs: undefined },
    shardOf: (subscriptionId) => shards[log.partitionOf("subscriptions", subscriptionId)]!,
    async stop(deadlineMs) {
      clearInterval(sweeper);
      await follower.close();
      await delivery.stop(deadlineMs);
      blocks.close();
      await Promise.all(shards.map((shard) => shard.stop()));
    },
  };
}

async function endsOf(log: Log, stream: "messages" | "events"): Promise<number[]> {
  return await Promise.all(
    Array.from({ length: log.partitions(stream) }, (_, partition) => log.end(stream, partition)),
  );
}
