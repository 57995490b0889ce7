import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  Block,
  BLOCK_OFFSETS,
  blockOf,
  type BlockStore,
  decodeBlock,
  encodeBlock,
  type Keyed,
} from "../../../core/messages/block.ts";
import { type BlockIndex, openBlockIndex } from "../../../core/messages/block-index.ts";
import { createReadMessages } from "../../../core/messages/read-messages.ts";
import { MESSAGE_HEADERS } from "../../../core/messages/message.ts";
import { keyedMessageIdOf, topicIdOf } from "../../../core/state/ids.ts";
import type { Chunk, LogRecord } from "../../../core/log/log.ts";

const REMEMBER_MS = 10_000;
const TOPICS = ["a", "b", "c"].map(topicIdOf);
const digest = (body: string) => topicIdOf(body);

/** One message of a random log. */
interface Written {
  readonly topic: number;
  /** undefined: without a key. */
  readonly key: number | undefined;
  readonly body: number;
  /** ms after the one before it. */
  readonly after: number;
}

const written: fc.Arbitrary<Written> = fc.record({
  topic: fc.nat(TOPICS.length - 1),
  key: fc.option(fc.nat(3), { nil: undefined }),
  body: fc.nat(1),
  after: fc.oneof(fc.constant(0), fc.nat(4_000), fc.constant(REMEMBER_MS - 1), fc.constant(REMEMBER_MS)),
});

/** Of a topic that is not asked for, without a key. */
const OTHER: Written = { topic: TOPICS.length - 1, key: undefined, body: 0, after: 0 };

/** What happens to the process that has the index, before it takes in the next batch. */
type Event = "crash" | "follow one" | "follow all" | "same batch again" | "nothing";
const happening: fc.Arbitrary<{ readonly event: Event; readonly batch: number }> = fc.record({
  event: fc.constantFrom<Event>("crash", "follow one", "follow all", "same batch again", "nothing"),
  batch: fc.integer({ min: 1, max: 700 }),
});

function recordsOf(all: readonly Written[]): LogRecord[] {
  let time = 1_000_000;
  return all.map(({ topic, key, body, after }, offset) => {
    time += after;
    const topicId = TOPICS[topic]!;
    const value = Buffer.from(String(body));
    const headers = key === undefined ? { [MESSAGE_HEADERS.id]: `msg_${offset}` } : {
      [MESSAGE_HEADERS.id]: keyedMessageIdOf("", topicId, String(key)),
      [MESSAGE_HEADERS.sha256]: digest(String(body)),
    };
    return { partition: 0, offset, key: topicId, value, headers, time };
  });
}

/** A4.4, word by word: which offsets are repeats, and of which first. */
function scan(records: readonly LogRecord[]): Map<number, number> {
  const firsts = new Map<number, number>();
  const keyed = records.filter(({ headers }) => headers[MESSAGE_HEADERS.sha256] !== undefined);
  for (const same of Map.groupBy(keyed, ({ headers }) => headers[MESSAGE_HEADERS.id]).values()) {
    for (const { offset, time } of same) {
      const earlier = same.filter((other) => other.offset < offset && time - other.time < REMEMBER_MS).at(-1);
      if (earlier !== undefined) firsts.set(offset, firsts.get(earlier.offset) ?? earlier.offset);
    }
  }
  return firsts;
}

/** The stream of one partition and a replica of it that follows when it is told to. */
class World {
  readonly records: LogRecord[];
  readonly stream: Uint8Array[] = [];
  #followed = 0;
  readonly #blocks = new Map<number, ReturnType<typeof decodeBlock>>();
  #heard = new Set<(partition: number, block: number) => void>();
  readonly store: BlockStore = {
    newestBlock: () => Promise.resolve(this.#blocks.size === 0 ? undefined : Math.max(...this.#blocks.keys())),
    keyed: (_, ids) => Promise.resolve(this.#keyed().filter(({ id }) => ids.includes(id))),
    repeats: (_, from, to) =>
      Promise.resolve(
        this.#keyed().flatMap(({ offset, first }) =>
          first !== undefined && offset >= from && offset < to ? offset : []
        ),
      ),
    countRepeats: (_, topicId, from, before) =>
      Promise.resolve(
        this.#keyed().filter((keyed) =>
          keyed.first !== undefined && keyed.topicId === topicId && keyed.offset >= from && keyed.offset < before
        ).length,
      ),
    places: (_, topicId, fromBlock, limit) =>
      Promise.resolve(
        [...this.#blocks.values()].filter(({ number }) => number >= fromBlock)
          .toSorted((a, b) => a.number - b.number)
          .flatMap(({ number, topics }) => {
            const found = topics.find((topic) => topic.topicId === topicId);
            return found === undefined ? [] : { block: number, offsets: found.offsets };
          }).slice(0, limit),
      ),
    topicsFrom: (_, fromBlock) =>
      Promise.resolve([
        ...new Set(
          [...this.#blocks.values()].filter(({ number }) => number >= fromBlock)
            .flatMap(({ topics }) => topics.map(({ topicId }) => topicId)),
        ),
      ]),
    onBlock: (heard) => {
      this.#heard.add(heard);
      return () => void this.#heard.delete(heard);
    },
  };

  constructor(records: LogRecord[]) {
    this.records = records;
  }

  #keyed(): Keyed[] {
    return [...this.#blocks.values()].flatMap(({ keyed }) => keyed);
  }

  read(from: number, most: number): Chunk {
    const records = this.records.slice(from, from + most);
    return { records, next: from + records.length };
  }

  follow(most: number): void {
    for (const value of this.stream.slice(this.#followed, this.#followed + most)) {
      const block = decodeBlock(value);
      this.#blocks.set(block.number, block);
      this.#followed++;
      for (const heard of this.#heard) heard(0, block.number);
    }
  }

  get waiting(): number {
    return this.stream.length - this.#followed;
  }

  /** As after a start: what was written was followed, the rest is read again up to where the tail begins. */
  open(tail: number, reading = 300): Promise<BlockIndex> {
    this.follow(Infinity);
    return openBlockIndex({
      log: {
        start: () => Promise.resolve(0),
        read: (_stream, _partition, from) => Promise.resolve(this.read(from, reading)),
      },
      store: this.store,
      rememberMs: REMEMBER_MS,
      write: ({ value }) => void this.stream.push(value!),
    }, [tail]);
  }
}

describe("the block index", () => {
  const logs = fc.array(written, { minLength: 1, maxLength: 40 }).chain((pattern) =>
    fc.integer({ min: 1, max: 2_600 }).map((length) =>
      // A pattern repeated: long logs with few distinct steps.
      Array.from({ length }, (_, n) => pattern[n % pattern.length]!)
    )
  );

  it("A4.4 finds the repeats that a scan of the log finds, whatever is followed late and wherever it crashes", async () => {
    await fc.assert(
      fc.asyncProperty(logs, fc.array(happening, { minLength: 1, maxLength: 12 }), async (all, events) => {
        const world = new World(recordsOf(all));
        const { records } = world;
        const expected = scan(records);
        const found = new Set<number>();
        let index = await world.open(0);
        for (let tail = 0, n = 0; tail < records.length; n++) {
          const { event, batch: most } = events[n % events.length]!;
          if (event === "follow one") world.follow(1);
          if (event === "follow all") world.follow(Infinity);
          if (event === "crash") {
            index.close();
            // The watermark may lie behind what the index has passed.
            tail = Math.max(0, tail - Math.floor(most / 2));
            index = await world.open(tail);
          }
          const batch = { stream: "messages" as const, partition: 0, ...world.read(tail, most) };
          const repeats = await index.pass(batch);
          if (event === "same batch again") {
            assert.deepEqual(await index.pass(batch), repeats);
          }
          for (const { offset } of batch.records) {
            assert.equal(repeats.has(offset), expected.has(offset), `offset ${offset}`);
            if (repeats.has(offset)) found.add(offset);
          }
          tail = batch.next;
          assert.ok(index.reach(0) >= tail);
        }
        assert.deepEqual([...found].toSorted((a, b) => a - b), [...expected.keys()].toSorted((a, b) => a - b));
        const middle = Math.floor(records.length / 3);
        assert.deepEqual(
          [...await index.repeats(0, middle, records.length)].toSorted((a, b) => a - b),
          [...expected.keys()].filter((offset) => offset >= middle).toSorted((a, b) => a - b),
        );
        for (const topicId of TOPICS) {
          const repeats = [...expected.keys()].filter((at) => at >= middle && records[at]!.key === topicId);
          assert.equal(await index.countRepeats(0, topicId, middle), repeats.length);
        }
        for (const [offset, first] of [...expected].slice(-5)) {
          const told = await index.firstOf(0, records[offset]!.headers[MESSAGE_HEADERS.id]!, offset);
          assert.equal(told?.offset, first);
          assert.equal(told?.sha256, records[first]!.headers[MESSAGE_HEADERS.sha256]);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("A4.4 is the same where another process was quicker to pass the log, and to write of it", async () => {
    await fc.assert(
      fc.asyncProperty(logs, fc.array(happening, { minLength: 1, maxLength: 6 }), async (all, events) => {
        const world = new World(recordsOf(all));
        const { records } = world;
        const expected = scan(records);
        const slow = await world.open(0);
        // What both finish is written by the other.
        const quick = await world.open(0);
        for (let tail = 0, n = 0; tail < records.length; n++) {
          const { event, batch: most } = events[n % events.length]!;
          if (event !== "nothing") {
            await quick.pass({ stream: "messages", partition: 0, ...world.read(quick.reach(0), 900) });
          }
          world.follow(Infinity);
          const batch = { stream: "messages" as const, partition: 0, ...world.read(tail, most) };
          const repeats = await slow.pass(batch);
          for (const { offset } of batch.records) {
            assert.equal(repeats.has(offset), expected.has(offset), `offset ${offset}`);
          }
          tail = batch.next;
        }
        world.follow(Infinity);
        assert.equal(slow.unwritten(0).length, 0, "a stored block does not wait");
      }),
      { numRuns: 60 },
    );
  });

  it("A4.2 tells where a topic stands as a scan of the log does, block by block", async () => {
    await fc.assert(
      fc.asyncProperty(
        logs,
        fc.integer({ min: 1, max: 3 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.boolean(),
        async (all, limit, where, follows) => {
          const world = new World(recordsOf(all));
          const index = await world.open(world.records.length);
          if (follows) world.follow(1);
          const topicId = TOPICS[0]!;
          const from = Math.floor(world.records.length * where);
          const told: number[] = [];
          for (let at = from; at < world.records.length;) {
            const { places, until } = await index.places(0, topicId, at, limit);
            assert.ok(until > at && until <= world.records.length);
            for (const { block, offsets } of places) {
              const inBlock = world.records.slice(block * BLOCK_OFFSETS, (block + 1) * BLOCK_OFFSETS)
                .flatMap(({ offset, key }) => key === topicId ? offset : []);
              assert.deepEqual(offsets ?? (inBlock.length > 16 ? inBlock : []), inBlock, `block ${block}`);
              told.push(...inBlock.filter((offset) => offset >= at && offset < until));
            }
            at = until;
          }
          const expected = world.records.flatMap(({ offset, key }) => offset >= from && key === topicId ? offset : []);
          assert.deepEqual(told, expected);
          // A4.1: of whole blocks, so perhaps more than there are, never fewer.
          const { topics, until } = await index.topicsFrom(0, from);
          assert.equal(until, world.records.length);
          for (const { offset, key } of world.records) {
            assert.ok(offset < from || topics.has(key), `${key} at ${offset}`);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it("A4.4 remembers a key for its time by the log's clock, and no longer", async () => {
    const records = recordsOf([{ topic: 0, key: 1, body: 0, after: 0 }, { topic: 0, key: 1, body: 1, after: 9_000 }]);
    const index = await new World(records).open(2);
    const id = records[0]!.headers[MESSAGE_HEADERS.id]!;
    const [first, newest] = records.map(({ time }) => time) as [number, number];
    assert.equal((await index.remembered(0, id, first + 1))?.offset, 0);
    // Itself a repeat or not: the newest counts.
    assert.equal((await index.remembered(0, id, newest + REMEMBER_MS - 1))?.offset, 0);
    assert.equal(await index.remembered(0, id, newest + REMEMBER_MS), undefined);
    assert.equal(await index.remembered(0, "msg_other", first), undefined);
  });

  it("A4.4 a batch without keys is passed at once, without a promise", async () => {
    const world = new World(
      recordsOf(Array.from({ length: 2_500 }, () => ({ topic: 0, key: undefined, body: 0, after: 1 }))),
    );
    const index = await world.open(0);
    const repeats = index.pass({ stream: "messages", partition: 0, ...world.read(0, 2_500) });
    assert.ok(!(repeats instanceof Promise));
    assert.equal(repeats.size, 0);
    assert.equal(world.stream.length, 2, "two blocks are complete");
  });

  it("A4.2 a gap that retention left ends the block before it, and the rest goes on", async () => {
    const world = new World(
      recordsOf(Array.from({ length: 100 }, (_, n) => ({ topic: n % 3, key: n % 7, body: 0, after: 1 }))),
    );
    const index = await world.open(100);
    const gap = { from: 100, to: 5_500 };
    await index.pass({ stream: "messages", partition: 0, records: [], next: 5_500, gap });
    assert.equal(index.reach(0), 5_500);
    assert.deepEqual(world.stream.map((value) => decodeBlock(value).number), [0]);
    world.follow(1);
    const again = { ...world.records[0]!, offset: 5_500, time: world.records[99]!.time };
    assert.deepEqual([...await index.pass({ stream: "messages", partition: 0, records: [again], next: 5_501 })], [
      5_500,
    ]);
  });

  it("§6.6 records that are not of our making are of no topic and have no key", async () => {
    const world = new World([]);
    const index = await world.open(0);
    const [id, sha256] = [keyedMessageIdOf("", TOPICS[0]!, "k"), digest("x")];
    const strange = [
      { key: "x".repeat(60_000), headers: { id, sha256 } },
      { key: TOPICS[0]!, headers: { id: "x".repeat(60_000), sha256 } },
      { key: TOPICS[0]!, headers: { id, sha256: "short" } },
      { key: TOPICS[0]!, headers: { sha256 } },
    ].map((record, offset) => ({ partition: 0, offset, value: null, time: 1, ...record }));
    const records = [...strange, ...strange].map((record, offset) => ({ ...record, offset }));
    assert.equal((await index.pass({ stream: "messages", partition: 0, records, next: 8 })).size, 0);
    await index.pass({ stream: "messages", partition: 0, records: [], next: BLOCK_OFFSETS });
    assert.ok(world.stream[0]!.byteLength < 1_000);
  });
});

describe("a block", () => {
  it("A4.2 comes back from the log as it was, and the largest is small enough for any log", () => {
    const block = new Block(3);
    for (let n = 0; n < BLOCK_OFFSETS; n++) {
      const offset = 3 * BLOCK_OFFSETS + n;
      const topicId = topicIdOf(`topic ${n}`);
      const keyed: Keyed = {
        offset,
        topicId,
        id: keyedMessageIdOf("", topicId, String(n)),
        time: 1_700_000_000_000 + n,
        sha256: digest(String(n)),
        first: n % 3 === 0 ? 123_456_789_012 : undefined,
      };
      block.add({ offset, key: topicId, time: keyed.time }, keyed);
    }
    const value = encodeBlock(block);
    assert.ok(value.byteLength < 300_000, `${value.byteLength} bytes`);
    const decoded = decodeBlock(value);
    assert.equal(decoded.number, 3);
    assert.equal(decoded.time, block.time);
    assert.deepEqual(decoded.keyed, [...block.keyed]);
    assert.deepEqual(decoded.topics.map(({ topicId }) => topicId), [...block.topics()]);
    for (const { topicId, offsets } of decoded.topics) assert.deepEqual(offsets, block.place(topicId)?.offsets);
    assert.equal(blockOf(block.number * BLOCK_OFFSETS + 999), 3);
  });
});

describe("reading messages", () => {
  it("A4.4 brings no repeat, and nothing beyond what the index has passed", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(written, { minLength: 1, maxLength: 60 }),
        fc.nat(59),
        fc.nat(59),
        async (all, a, b) => {
          const world = new World(recordsOf(all));
          const [from, reach] = [Math.min(a, b, all.length), Math.min(Math.max(a, b), all.length)];
          const index = await world.open(0);
          await index.pass({ stream: "messages", partition: 0, ...world.read(0, reach) });
          const read = createReadMessages({
            log: {
              start: () => Promise.resolve(0),
              read: (_stream, _partition, at) => Promise.resolve(world.read(at, 100)),
              supports: { keyIndex: true, group: false },
            },
            index,
            recentIds: { isRepeat: () => false },
          });
          const { messages, next } = await read(0, from, { maxBytes: 1 });
          assert.equal(next, reach);
          const repeats = scan(world.records);
          const expected = world.records.slice(from, reach).flatMap(({ offset }) => repeats.has(offset) ? [] : offset);
          assert.deepEqual(messages.map(({ offset }) => offset), expected);
        },
      ),
    );
  });

  it("A4.2 a log without an index by topic is read where the topics are, all of it and in order", async () => {
    const sparse = fc.array(written, { minLength: 1, maxLength: 20 }).chain((pattern) =>
      fc.tuple(fc.constant(pattern), fc.integer({ min: 1, max: 400 }), fc.integer({ min: 1, max: 4_000 }))
    ).map(([pattern, every, length]) =>
      Array.from({ length }, (_, n) => n % every === 0 ? pattern[(n / every) % pattern.length]! : OTHER)
    );
    await fc.assert(
      fc.asyncProperty(sparse, fc.nat(3_999), fc.nat(3), fc.boolean(), async (all, where, kept, both) => {
        const world = new World(recordsOf(all));
        const { records } = world;
        const index = await world.open(records.length);
        if (where % 2 === 0) world.follow(1);
        // Retention has taken what was before.
        const start = kept === 0 ? Math.floor(records.length / 3) : 0;
        const from = where % records.length;
        const reads: number[] = [];
        const read = createReadMessages({
          log: {
            start: () => Promise.resolve(start),
            read: (_stream, _partition, at, { keys, maxBytes }) => {
              const begin = Math.max(at, start);
              const chunk = world.read(begin, maxBytes === 1 ? 1 : 300);
              reads.push(chunk.records.length);
              return Promise.resolve({
                records: chunk.records.filter(({ key }) => keys?.has(key) ?? true),
                next: chunk.next,
                ...(begin > at ? { gap: { from: at, to: start } } : {}),
              });
            },
            supports: { keyIndex: false, group: false },
          },
          index,
          recentIds: { isRepeat: () => false },
        });
        const keys = new Set(both ? TOPICS.slice(0, 2) : TOPICS.slice(0, 1));
        const told: number[] = [];
        const gaps = [];
        for (let at = from; at < records.length;) {
          const chunk = await read(0, at, { keys, maxBytes: 100_000 });
          assert.ok(chunk.next > at || chunk.gap !== undefined);
          told.push(...chunk.messages.map(({ offset }) => offset));
          if (chunk.gap !== undefined) gaps.push(chunk.gap);
          at = chunk.next;
        }
        const repeats = scan(records);
        const expected = records.flatMap(({ offset, key }) =>
          offset >= Math.max(from, start) && keys.has(key) && !repeats.has(offset) ? offset : []
        );
        assert.deepEqual(told, expected);
        assert.deepEqual(gaps, from < start ? [{ from, to: start }] : []);
        const inBlocks = Map.groupBy(
          records.filter(({ key }) => keys.has(key)),
          ({ offset, key }) => `${blockOf(offset)} ${key}`,
        );
        const most = Math.max(0, ...[...inBlocks.values()].map(({ length }) => length));
        // Where no block has many of a topic, nothing is read but the messages themselves.
        if (most <= 16) assert.ok(reads.every((count) => count <= 1), `read ${reads.join()}`);
      }),
      { numRuns: 150 },
    );
  });
});
