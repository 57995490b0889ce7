// Reads a few topics' messages from a log that has no index by topic: the block index says where they stand (A4.2). Where a topic
// has few messages in a block, each is read by itself, several at once; where it has many, the block is read.
import type { Chunk, Log, LogRecord } from "../log/log.ts";
import { BLOCK_OFFSETS, type TopicInBlock } from "./block.ts";
import type { BlockIndex } from "./block-index.ts";

export interface ReadTopicsOptions {
  readonly log: Pick<Log, "read" | "start">;
  readonly index: Pick<BlockIndex, "places">;
}

/** With more topics than this, what is skipped is not worth the asking. */
export const MOST_TOPICS = 16;
/** Blocks of one topic that are looked up at once. */
const MOST_BLOCKS = 64;
/** Messages of one chunk that are read each by itself, and how many of them at once. */
const MOST_RECORDS = 64;
const AT_ONCE = 8;
/** Bytes of values that one read of a single record is to bring: the record and nothing else. */
const ONE_RECORD = 1;

/** What is to be read next: single records, or from an offset on. */
type Step =
  | { readonly kind: "records"; readonly offsets: readonly number[]; readonly next: number }
  | { readonly kind: "from"; readonly offset: number }
  | { readonly kind: "nothing"; readonly next: number };

/** A chunk of the topics' messages, as `Log.read` with `keys` brings it; `next` may be far beyond the last of them. */
export async function readTopics(
  { log, index }: ReadTopicsOptions,
  partition: number,
  from: number,
  { keys, maxBytes }: { readonly keys: ReadonlySet<string>; readonly maxBytes: number },
): Promise<Chunk> {
  const asked = [...keys].map((topicId) => index.places(partition, topicId, from, MOST_BLOCKS));
  const [start, ...found] = await Promise.all([log.start("messages", partition), ...asked]);
  // Blocks are kept for longer than messages: what retention has removed is told by the log (A4.5).
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

/** Up to where all of the topics are told, from the nearest message on. */
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
  log: ReadTopicsOptions["log"],
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
      // Retention came between: whoever reads on from here is told of the gap.
      if (gap !== undefined) return { records, next: offset };
      if (record === undefined || record.offset !== offset || !keys.has(record.key)) continue;
      bytes += record.value?.byteLength ?? 0;
      if (records.length > 0 && bytes > maxBytes) return { records, next: offset };
      records.push(record);
    }
    // The next ones may be large too.
    if (bytes >= maxBytes) return { records, next: wave.at(-1)! + 1 };
  }
  return { records, next };
}
