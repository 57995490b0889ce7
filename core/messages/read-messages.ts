// Reads messages for lanes that are behind and for the reads of missed messages: without repeats, and no further than the index reaches
// (A4.2, A4.4). Both find what the tail found. On a log without an index by topic, the block index says which parts to skip: if a topic
// has few messages in a block, each is read by itself, several at once; if it has many, the block is read.
import type { Chunk, Gap, Log, LogRecord, ReadLimits } from "../log/log.ts";
import { BLOCK_OFFSETS, type TopicInBlock } from "./block.ts";
import type { BlockIndex } from "./block-index.ts";
import { type Message, toMessage } from "./message.ts";
import type { RecentIds } from "./recent-ids.ts";

export interface MessageChunk {
  /** In order, without repeats. */
  readonly messages: readonly Message[];
  /** Where to go on; the index reaches at least so far. */
  readonly next: number;
  readonly gap?: Gap;
}

/** Reads a chunk of `messages`, as `Log.read` does. @throws {LogError} */
export type ReadMessages = (partition: number, from: number, limits: ReadLimits) => Promise<MessageChunk>;

export interface ReadMessagesOptions {
  readonly log: Pick<Log, "read" | "start" | "supports">;
  readonly index: Pick<BlockIndex, "reach" | "repeats" | "places">;
  readonly recentIds: Pick<RecentIds, "isRepeat">;
}

/** For more topics than this, asking the index costs more than it saves. */
const MOST_TOPICS = 16;
/** The most blocks of one topic that are looked up at once. */
const MOST_BLOCKS = 64;
/** The most messages of one chunk that are each read by itself. */
const MOST_RECORDS = 64;
/** How many of them are read at once. */
const AT_ONCE = 8;
/** The bytes to ask for so that a read brings one record and nothing else. */
const ONE_RECORD = 1;

export function createReadMessages(options: ReadMessagesOptions): ReadMessages {
  const { log, index, recentIds } = options;
  return async (partition, from, limits) => {
    const reach = index.reach(partition);
    const { keys, maxBytes } = limits;
    // A log with an index of its own skips without help.
    const skips = !log.supports.keyIndex && keys !== undefined && keys.size <= MOST_TOPICS && from < reach;
    const chunk = skips
      ? await readTopics(options, partition, from, { keys, maxBytes })
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

/** How to read on: single records, a stretch from an offset on, or nothing. */
type Step =
  | { readonly kind: "records"; readonly offsets: readonly number[]; readonly next: number }
  | { readonly kind: "from"; readonly offset: number }
  | { readonly kind: "nothing"; readonly next: number };

/**
 * Reads a few topics' messages from a log that has no index by topic: the block index says where they are (A4.2). The chunk is as
 * `Log.read` with `keys` brings it; `next` may be far beyond the last record.
 */
async function readTopics(
  { log, index }: ReadMessagesOptions,
  partition: number,
  from: number,
  { keys, maxBytes }: { readonly keys: ReadonlySet<string>; readonly maxBytes: number },
): Promise<Chunk> {
  const asked = [...keys].map((topicId) => index.places(partition, topicId, from, MOST_BLOCKS));
  const [start, ...found] = await Promise.all([log.start("messages", partition), ...asked]);
  // Blocks are kept for longer than messages: only the log knows what retention removed (A4.5).
  if (from < start) return { records: [], next: start, gap: { from, to: start } };
  const step = stepOf(found, from);
  switch (step.kind) {
    case "from":
      return await log.read("messages", partition, step.offset, { keys, maxBytes });
    case "nothing":
      return { records: [], next: step.next };
    case "records":
      return await readRecords(log, partition, { ...step, keys, maxBytes });
  }
}

/** The next step, from the nearest message on; it goes no further than the index has told of all topics. */
function stepOf(found: readonly { places: readonly TopicInBlock[]; until: number }[], from: number): Step {
  const until = Math.min(...found.map((one) => one.until));
  const byBlock = Map.groupBy(found.flatMap(({ places }) => places), ({ block }) => block);
  const offsets: number[] = [];
  for (const block of [...byBlock.keys()].toSorted((a, b) => a - b)) {
    const begin = block * BLOCK_OFFSETS;
    if (begin >= until) break;
    const topics = byBlock.get(block)!;
    if (topics.some((topic) => topic.offsets === undefined)) {
      if (offsets.length > 0) return { kind: "records", offsets, next: begin };
      return { kind: "from", offset: Math.max(from, begin) };
    }
    const wanted = topics.flatMap((topic) => topic.offsets!).filter((offset) => offset >= from && offset < until);
    offsets.push(...wanted.toSorted((a, b) => a - b));
    if (offsets.length >= MOST_RECORDS) {
      const cut = offsets.slice(0, MOST_RECORDS);
      return { kind: "records", offsets: cut, next: cut.at(-1)! + 1 };
    }
  }
  return offsets.length > 0 ? { kind: "records", offsets, next: until } : { kind: "nothing", next: until };
}

async function readRecords(
  log: ReadMessagesOptions["log"],
  partition: number,
  { offsets, next, keys, maxBytes }: {
    offsets: readonly number[];
    next: number;
    keys: ReadonlySet<string>;
    maxBytes: number;
  },
): Promise<Chunk> {
  const records: LogRecord[] = [];
  let bytes = 0;
  for (let i = 0; i < offsets.length; i += AT_ONCE) {
    const wave = offsets.slice(i, i + AT_ONCE);
    const chunks = await Promise.all(
      wave.map((offset) => log.read("messages", partition, offset, { maxBytes: ONE_RECORD })),
    );
    for (const [n, { records: [record], gap }] of chunks.entries()) {
      const offset = wave[n]!;
      // Retention came in between: the next read, from here, has the gap.
      if (gap !== undefined) return { records, next: offset };
      if (record === undefined || record.offset !== offset || !keys.has(record.key)) continue;
      bytes += record.value?.byteLength ?? 0;
      if (records.length > 0 && bytes > maxBytes) return { records, next: offset };
      records.push(record);
    }
    // The next records may be large too.
    if (bytes >= maxBytes) return { records, next: wave.at(-1)! + 1 };
  }
  return { records, next };
}
