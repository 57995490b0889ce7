// Reads messages as whoever is behind reads them: without repeats, and no further than the index reaches (A4.2, A4.4). Catch-up
// and missed-message reads share it, so that both find what the tail found.
import { type Message, toMessage } from "./message.ts";
import type { RecentIds } from "./recent-ids.ts";
import type { Gap, Log, ReadLimits } from "../log/log.ts";
import type { BlockIndex } from "./block-index.ts";
import { MOST_TOPICS, readTopics } from "./read-topics.ts";

export interface MessageChunk {
  /** In order, without repeats. */
  readonly messages: readonly Message[];
  /** Where to go on, at most where the index reaches. */
  readonly next: number;
  readonly gap?: Gap;
}

/** As `Log.read` of `messages`. */
export type ReadMessages = (partition: number, from: number, limits: ReadLimits) => Promise<MessageChunk>;

export interface ReadMessagesOptions {
  readonly log: Pick<Log, "read" | "start" | "supports">;
  readonly index: Pick<BlockIndex, "reach" | "repeats" | "places">;
  readonly recentIds: Pick<RecentIds, "isRepeat">;
}

export function createReadMessages({ log, index, recentIds }: ReadMessagesOptions): ReadMessages {
  return async (partition, from, limits) => {
    const reach = index.reach(partition);
    const { keys, maxBytes } = limits;
    // A log with an index of its own skips by itself.
    const skips = !log.supports.keyIndex && keys !== undefined && keys.size <= MOST_TOPICS && from < reach;
    const chunk = skips
      ? await readTopics({ log, index }, partition, from, { keys, maxBytes })
      : await log.read("messages", partition, from, limits);
    const next = Math.max(from, Math.min(chunk.next, reach));
    const all = chunk.records.flatMap((record) => record.offset < next ? toMessage(record) : []);
    const repeats = all.some(({ keyed }) => keyed) ? await index.repeats(partition, from, next) : undefined;
    return {
      messages: all.filter((message) => !(message.keyed ? repeats!.has(message.offset) : recentIds.isRepeat(message))),
      next,
      ...(chunk.gap === undefined ? {} : { gap: chunk.gap }),
    };
  };
}
