// Takes a shard (A3.2), step by step. Nothing is sent for it before the new owner has everything that the last owner wrote, and
// everything that was accepted since.
import { getLogger } from "@logtape/logtape";
import { pause } from "../../shared/pause.ts";
import type { BlockIndex } from "../messages/block-index.ts";
import type { Delivery } from "../delivery/delivery.ts";
import type { QuietTopics } from "../delivery/reading/reading.ts";
import { type Batch, type Follower, type Log, shardThatWrites } from "../log/log.ts";
import type { Replica } from "../replica/replica.ts";
import { MOVE_TIMEOUTS } from "./claim.ts";
import { warnOfOldIds } from "./old-ids.ts";
import { Shard, type ShardOptions } from "./shard.ts";

export interface TakeOptions extends Omit<ShardOptions, "number" | "writer" | "state" | "eventsFrom" | "ends"> {
  readonly log: Log;
  readonly replica: Replica;
  readonly delivery: Delivery;
  readonly blocks: BlockIndex;
  /** Follows `events` of the shards that are here. */
  readonly follower: Follower;
  /** Gets the shard as soon as it can take events. */
  readonly opened: (shard: Shard) => void;
  /** Aborted when the shard is no longer wanted. */
  readonly signal: AbortSignal;
}

/** The last owner may take this long to release the shard (A3.3). */
const RELEASED_WITHIN_MS = MOVE_TIMEOUTS.answersMs + MOVE_TIMEOUTS.batchMs;
const LOOK_MS = 100;
const CHUNK_BYTES = 1024 * 1024;

const logger = getLogger(["tidings", "core", "consolidator"]);

/**
 * Takes a shard; resolves when its lanes run, or when it is no longer wanted.
 * @throws {LogError} "fenced", "unavailable", "closed"; the shard and its writer are closed again
 */
export async function takeShard(number: number, options: TakeOptions): Promise<void> {
  const { log, replica, delivery, blocks, follower, isConfirmed, signal } = options;
  // (1) Its events are not followed yet. (2) The last owner has a moment to write where everything stands.
  if (!await replica.released(number, RELEASED_WITHIN_MS)) {
    logger.info("Shard {shard} was not released by its last owner", { shard: number });
  }
  // A3.4: a process whose session is in doubt fences nobody.
  while (!isConfirmed() && !signal.aborted) await pause(LOOK_MS, signal);
  if (signal.aborted) return;
  // (3) From here on the last owner writes nothing.
  let isOpen = false;
  // The writer opens its producer again after an unclear commit, also while the shard is released.
  const writer = await log.openWriter(number, () => (isOpen || !signal.aborted) && isConfirmed());
  isOpen = true;
  let shard: Shard | undefined;
  try {
    // (4) Our marks are in the log, so a replica that is at its end has everything that was written before them.
    await replica.caughtUp(number);
    const state = await replica.load(number);
    await warnOfOldIds(number, state, replica);
    const ends = await Promise.all(delivery.tail.partitions.map((partition) => log.end("messages", partition)));
    const eventsFrom = await log.start("events", number);
    shard = new Shard({ ...options, number, writer, state, eventsFrom, ends });
    options.opened(shard);
    shard.start();
    for (const partition of delivery.tail.partitions) {
      if (shardThatWrites(log, partition) !== number) continue;
      for (const block of blocks.unwritten(partition)) shard.put(block);
    }
    // (5) Events that were accepted before now are folded, and committed (6), before anything is sent.
    const end = await log.end("events", number);
    let next = shard.events;
    while (next < end && !signal.aborted) {
      const chunk = await log.read("events", number, next, { maxBytes: CHUNK_BYTES });
      reportGap({ ...chunk, partition: number });
      await shard.receive(chunk.records, chunk.next);
      next = chunk.next;
    }
    await shard.foldedTo(next);
    const quiet = await readQuiet(options, shard.book.watermarks);
    if (!signal.aborted && !shard.isOver) {
      follower.add("events", number, next);
      // (7)
      await shard.attach(delivery, quiet);
    }
  } catch (error) {
    if (shard === undefined) await writer.close();
    else await shard.drop();
    throw error;
  }
}

/** The topics that have messages between a shard's watermarks and the tail: the tail's memory may not reach back so far (A4.1). */
async function readQuiet(
  { log, blocks, delivery }: TakeOptions,
  watermarks: readonly number[],
): Promise<QuietTopics | undefined> {
  // A log with an index by key keeps no topics in blocks. Its one process starts its tail at the watermarks.
  if (log.supports.keyIndex) return undefined;
  const found = await Promise.all(delivery.tail.partitions.map((partition) => {
    return blocks.topicsFrom(partition, watermarks[partition] ?? 0);
  }));
  return {
    until: found.map(({ until }) => until),
    mayHave: (partition, topicId) => found[partition]!.topics.has(topicId),
  };
}

/** Says that events were lost before this process folded them. */
export function reportGap({ gap, partition: shard }: Pick<Batch, "gap" | "partition">): void {
  if (gap === undefined) return;
  const { from, to } = gap;
  logger.error("Events {from} to {to} of shard {shard} were removed before they were folded", { from, to, shard });
}
