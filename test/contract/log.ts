// What every log adapter must do (ARCHITECTURE §2). An adapter's test calls `logContract` with a way to make its logs.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { Batch, FollowFrom, Log, LogRecord, Position, ShardRecord, Stream } from "../../core/log/log.ts";
import { STREAMS } from "../../core/log/log.ts";
import { eventually, never, pause } from "../support/eventually.ts";
import { type LogLimits, type LogRecipe, openLog } from "../support/rigs/log-recipe.ts";

/** Where one log is kept: in a directory, or under a prefix on a broker. */
export interface LogPlace {
  readonly recipe: LogRecipe;
  remove(): Promise<void>;
}

export interface LogSetting {
  /** Why this adapter cannot be tested here, or false. */
  readonly skip: string | false;
  /** Why retention and compaction cannot be awaited here, or false. */
  readonly skipSlow: string | false;
  /** Whether a shard's second writer fences the first (on the embedded log the process lock does). */
  readonly fences: boolean;
  newPlace(limits: LogLimits): Promise<LogPlace>;
}

const DAY_MS = 86_400_000;
const MAX_BYTES = 1_000_000;
const APPENDER = fileURLToPath(new URL("../support/rigs/append-until-killed.ts", import.meta.url));

export function logContract(name: string, setting: LogSetting): void {
  describe(`${name}: the log's contract`, { skip: setting.skip, timeout: 120_000 }, () => {
    let place: LogPlace;
    let log: Log;
    before(async () => {
      place = await setting.newPlace({ retentionMs: 7 * DAY_MS, maxMessageBytes: MAX_BYTES });
      log = await openLog(place.recipe);
    });
    after(async () => {
      await log?.close();
      await place?.remove();
    });

    describe("appending", () => {
      it("A2.1 an append is acknowledged with the position and the time it is read at", async () => {
        const appended = await log.append("messages", { key: "ack", value: bytes("one"), headers: { id: "m1" } });
        const { records, next } = await log.read("messages", appended.partition, appended.offset, { maxBytes: 1_000 });
        assert.deepEqual(records, [
          { ...appended, key: "ack", value: bytes("one"), headers: { id: "m1" } },
        ]);
        assert.equal(next, appended.offset + 1);
        assert.ok(Math.abs(appended.time - Date.now()) < 10_000, `dated ${new Date(appended.time).toISOString()}`);
      });

      it("a key's records are in its partition, in the order of the calls", async () => {
        const from = await ends(log, "messages");
        const keys = Array.from({ length: 20 }, (_, index) => `order-${index}`);
        const appended = await Promise.all(
          Array.from({ length: 1_000 }, (_, index) => {
            const key = keys[index % keys.length]!;
            return log.append("messages", { key, value: bytes(String(index)) });
          }),
        );
        for (const [index, { partition }] of appended.entries()) {
          assert.equal(partition, log.partitionOf("messages", keys[index % keys.length]!));
        }
        const all = (await readAll(log, "messages", from)).filter(({ key }) => key.startsWith("order-"));
        assert.equal(all.length, 1_000);
        for (const key of keys) {
          const order = all.filter((record) => record.key === key).map(({ value }) => Number(text(value)));
          assert.deepEqual(order, order.toSorted((a, b) => a - b), `order of ${key}`);
        }
      });

      it("an explicit partition is obeyed", async () => {
        const last = log.partitions("events") - 1;
        const { partition } = await log.append("events", { key: "anywhere", value: bytes("x") }, last);
        assert.equal(partition, last);
      });

      it("co-partitioned streams put a key into the same partition", () => {
        for (let index = 0; index < 200; index++) {
          const key = `key-${index}`;
          const partition = log.partitionOf("events", key);
          assert.ok(partition >= 0 && partition < log.partitions("events"));
          for (const stream of ["topics", "subscriptions", "cursors", "dead-letters"] as const) {
            assert.equal(log.partitionOf(stream, key), partition);
            assert.equal(log.partitions(stream), log.partitions("events"));
          }
        }
      });

      it("bytes, keys and headers are kept exactly", async () => {
        const cases = [
          { key: "plain", value: Uint8Array.from({ length: 256 }, (_, byte) => byte), headers: {} },
          { key: "empty", value: new Uint8Array(), headers: { empty: "" } },
          { key: "ünïcode ✓", value: bytes("\u{1f600}"), headers: { "content-type": "text/plain; x=✓", time: "1" } },
          { key: "null", value: null, headers: { why: "tombstone" } },
          { key: "not utf-8", value: Uint8Array.of(0xff, 0xfe, 0x00, 0xc3, 0x28), headers: {} },
        ];
        for (const record of cases) {
          const { partition, offset } = await log.append("messages", record);
          const found = (await log.read("messages", partition, offset, { maxBytes: 1_000 })).records[0]!;
          assert.deepEqual({ key: found.key, value: found.value, headers: found.headers }, record);
        }
      });

      it("a body of the limit is taken, one of a byte more is too_large", async () => {
        const largest = randomBytes(MAX_BYTES);
        const { partition, offset } = await log.append("messages", { key: "limit", value: largest });
        const { records } = await log.read("messages", partition, offset, { maxBytes: 1 });
        assert.equal(records.length, 1);
        assert.ok(Buffer.from(largest).equals(records[0]!.value!));
        const end = await log.end("messages", partition);
        await assert.rejects(log.append("messages", { key: "limit", value: new Uint8Array(MAX_BYTES + 1) }), {
          code: "too_large",
        });
        assert.equal(await log.end("messages", partition), end, "nothing of it was written");
      });

      it("A2.2 thousands of appends at once are all there once", async () => {
        const from = await ends(log, "messages");
        const count = 5_000;
        const body = randomBytes(1_024);
        const appended = await Promise.all(
          Array.from(
            { length: count },
            (_, index) =>
              log.append("messages", { key: `many-${index % 97}`, value: body, headers: { id: String(index) } }),
          ),
        );
        const ids = new Map<string, string>();
        for (const record of await readAll(log, "messages", from)) {
          if (!record.key.startsWith("many-")) continue;
          assert.ok(!ids.has(record.headers["id"]!), `${record.headers["id"]} is there twice`);
          ids.set(record.headers["id"]!, `${record.partition}/${record.offset}`);
        }
        assert.equal(ids.size, count);
        for (const [index, { partition, offset }] of appended.entries()) {
          assert.equal(ids.get(String(index)), `${partition}/${offset}`);
        }
      });

      it("A2.2 large bodies at once are all there", async () => {
        const from = await ends(log, "messages");
        const bodies = Array.from({ length: 12 }, () => randomBytes(900_000));
        await Promise.all(bodies.map((value, index) => log.append("messages", { key: `large-${index}`, value })));
        const found = (await readAll(log, "messages", from)).filter(({ key }) => key.startsWith("large-"));
        assert.equal(found.length, bodies.length);
        for (const { key, value } of found) {
          assert.ok(Buffer.from(bodies[Number(key.slice(6))]!).equals(value!), `bytes of ${key}`);
        }
      });
    });

    describe("reading", () => {
      it("a read stops after about maxBytes, brings at least one record, and goes on at next", async () => {
        const from = await ends(log, "messages");
        await Promise.all(
          Array.from(
            { length: 100 },
            (_, index) => log.append("messages", { key: `pages-${index}`, value: randomBytes(1_000) }, 0),
          ),
        );
        let position = from[0]!;
        let pages = 0;
        const keys: string[] = [];
        for (const end = await log.end("messages", 0); position < end; pages++) {
          const { records, next } = await log.read("messages", 0, position, { maxBytes: 10_000 });
          assert.ok(records.length <= 20, `${records.length} records of 1,000 bytes`);
          assert.ok(next > position, "a read before the end moves on");
          keys.push(...records.map(({ key }) => key));
          position = next;
        }
        assert.ok(pages >= 5, `${pages} pages`);
        assert.deepEqual(keys, Array.from({ length: 100 }, (_, index) => `pages-${index}`));
        const one = await log.read("messages", 0, from[0]!, { maxBytes: 1 });
        assert.equal(one.records.length, 1);
      });

      it("a read by keys brings only theirs, and next passes the others", async () => {
        const [from] = await ends(log, "messages");
        for (const key of ["wanted", "other", "other", "wanted", "other"]) {
          await log.append("messages", { key, value: bytes(key) }, 0);
        }
        const keys: string[] = [];
        const end = await log.end("messages", 0);
        for (let position = from!; position < end;) {
          const { records, next } = await log.read("messages", 0, position, {
            maxBytes: 100_000,
            keys: new Set(["wanted", "never"]),
          });
          keys.push(...records.map(({ key }) => key));
          assert.ok(next > position);
          position = next;
        }
        assert.deepEqual(keys, ["wanted", "wanted"]);
      });

      it("at the end there is nothing, at once", async () => {
        const end = await log.end("messages", 0);
        const started = performance.now();
        const { records, next, gap } = await log.read("messages", 0, end, { maxBytes: 1_000 });
        assert.deepEqual({ records, next, gap }, { records: [], next: end, gap: undefined });
        assert.ok(performance.now() - started < 1_000);
      });

      it("end is the offset that the next record gets, start that of the first", async () => {
        const before = await log.end("events", 0);
        const { offset } = await log.append("events", { key: "end", value: bytes("x") }, 0);
        assert.equal(offset, before);
        assert.equal(await log.end("events", 0), offset + 1);
        assert.equal(await log.start("events", 0), 0);
        const many = await Promise.all(Array.from({ length: 100 }, () => log.end("events", 0)));
        assert.deepEqual(new Set(many), new Set([offset + 1]));
      });

      it("positionAt is the first record at or after a time", async () => {
        const appended = [];
        for (let index = 0; index < 5; index++) {
          await pause(15);
          appended.push(await log.append("events", { key: "time", value: bytes(String(index)) }, 0));
        }
        for (const [index, { offset, time }] of appended.entries()) {
          assert.equal(await log.positionAt("events", 0, time), offset);
          assert.equal(await log.positionAt("events", 0, time + 1), appended[index + 1]?.offset ?? offset + 1);
        }
        assert.equal(await log.positionAt("events", 0, 0), await log.start("events", 0));
        assert.equal(await log.positionAt("events", 0, Date.now() + 60_000), await log.end("events", 0));
      });

      it("A3.1 times never go back within a partition", async () => {
        for (let partition = 0; partition < log.partitions("messages"); partition++) {
          const times = (await readPartition(log, "messages", partition, 0)).records.map(({ time }) => time);
          assert.deepEqual(times, times.toSorted((a, b) => a - b));
        }
      });

      it("an answer to ping means the log is there", async () => {
        await log.ping();
      });
    });

    describe("following", () => {
      it("A2.4 from the start brings everything once, in order, as reading does", async () => {
        const from: FollowFrom = { messages: zeros(log, "messages"), events: zeros(log, "events") };
        const expected = new Map<string, readonly LogRecord[]>();
        for (const stream of ["messages", "events"] as const) {
          for (let partition = 0; partition < log.partitions(stream); partition++) {
            expected.set(`${stream}/${partition}`, (await readPartition(log, stream, partition, 0)).records);
          }
        }
        const followed = follow(log, from);
        await eventually("all records", () => followed.count() >= count(expected));
        await followed.close();
        for (const [name, records] of expected) {
          assert.deepEqual(followed.offsets(name), records.map(({ offset }) => offset), name);
        }
      });

      it("A2.4 what is appended meanwhile comes too, over several streams and partitions", async () => {
        const from = { messages: await ends(log, "messages"), events: await ends(log, "events") };
        const followed = follow(log, from);
        const appended = [];
        for (let index = 0; index < 60; index++) {
          const stream = index % 3 === 0 ? "events" as const : "messages" as const;
          const position = await log.append(stream, { key: `live-${index}`, value: bytes(String(index)) });
          appended.push(`${stream}/${position.partition}/${position.offset}`);
        }
        await eventually("60 records", () => followed.count() >= 60);
        await followed.close();
        assert.deepEqual(followed.all().toSorted(), appended.toSorted());
      });

      it("a follower gets a live record within 100 ms at the median", async () => {
        const times: number[] = [];
        let arrived: (() => void) | undefined;
        const follower = log.follow({ messages: await ends(log, "messages") }, ({ records }) => {
          if (records.length > 0) arrived?.();
        });
        for (let index = 0; index < 21; index++) {
          const started = performance.now();
          const seen = new Promise<void>((resolve) => arrived = resolve);
          await log.append("messages", { key: "quick", value: bytes("x") });
          await seen;
          times.push(performance.now() - started);
        }
        await follower.close();
        assert.ok(times.toSorted((a, b) => a - b)[10]! < 100, `${times.map(Math.round).join(", ")} ms`);
      });

      it("a handler is awaited before it is called again, and order holds", async () => {
        const from = await ends(log, "messages");
        let running = 0;
        let most = 0;
        const offsets = new Map<number, number[]>();
        const follower = log.follow({ messages: from }, async ({ partition, records }) => {
          most = Math.max(most, ++running);
          await pause(3);
          for (const { offset } of records) offsets.set(partition, [...offsets.get(partition) ?? [], offset]);
          running--;
        });
        for (let burst = 0; burst < 10; burst++) {
          await Promise.all(
            Array.from(
              { length: 50 },
              (_, index) => log.append("messages", { key: `slow-${burst}-${index}`, value: randomBytes(20_000) }),
            ),
          );
        }
        await eventually("500 records", () => count(offsets) >= 500, { deadlineMs: 20_000 });
        await follower.close();
        assert.equal(most, 1);
        assert.equal(count(offsets), 500);
        for (const [partition, found] of offsets) {
          assert.deepEqual(found, found.map((_, index) => from[partition]! + index));
        }
      });

      it("followers do not wait for each other", async () => {
        const from = { messages: await ends(log, "messages") };
        const held = Promise.withResolvers<void>();
        const slow = log.follow(from, () => held.promise);
        const quick = follow(log, from);
        for (let index = 0; index < 5; index++) await log.append("messages", { key: "both", value: bytes("x") });
        await eventually("5 records", () => quick.count() >= 5);
        held.resolve();
        await Promise.all([slow.close(), quick.close()]);
      });

      it("a follower takes partitions in and lets go of them while it runs", async () => {
        const from = await ends(log, "events");
        const batches: Batch[] = [];
        const follower = log.follow({ events: [] }, (batch) => void batches.push(batch));
        const got = () => batches.flatMap(({ records }) => records.map(({ value }) => text(value)));
        const append = (body: string) => log.append("events", { key: "any", value: bytes(body) }, 0);
        await append("1");
        await never("what is not followed", () => batches.length > 0, 300);
        follower.add("events", 0, from[0]!);
        await eventually("the first", () => got().length === 1);
        await append("2");
        await eventually("the second", () => got().length === 2);
        follower.remove("events", 0);
        await append("3");
        await never("what is followed no more", () => got().length > 2, 300);
        follower.add("events", 0, from[0]! + 1);
        await eventually("from the new offset on", () => got().length === 4);
        assert.deepEqual(got(), ["1", "2", "2", "3"]);
        await follower.close();
      });

      it("a follower that waits is closed at once, and its handler is not called again", async () => {
        const from = { messages: await ends(log, "messages"), events: await ends(log, "events") };
        const followed = follow(log, from);
        await log.append("messages", { key: "first", value: bytes("x") });
        await eventually("the first record", () => followed.count() === 1);
        const started = performance.now();
        await followed.close();
        await followed.close();
        assert.ok(performance.now() - started < 500, `closed after ${performance.now() - started} ms`);
        await log.append("messages", { key: "second", value: bytes("x") });
        await never("a record after the close", () => followed.count() > 1, 400);
      });

      it("a close resolves after the running handler has ended", async () => {
        const held = Promise.withResolvers<void>();
        const entered = Promise.withResolvers<void>();
        let ended = false;
        const follower = log.follow({ messages: await ends(log, "messages") }, async ({ records }) => {
          if (records.length === 0) return;
          entered.resolve();
          await held.promise;
          ended = true;
        });
        await log.append("messages", { key: "held", value: bytes("x") });
        await entered.promise;
        let closed = false;
        const closing = follower.close().then(() => closed = true);
        await never("a close before the handler's end", () => closed, 100);
        held.resolve();
        await closing;
        assert.ok(ended);
      });
    });

    describe("a shard's writer", () => {
      it("A3.1 a commit writes to several streams, and followers see all of it", async () => {
        const shard = log.partitions("topics") - 1;
        const streams = ["topics", "subscriptions", "cursors", "dead-letters", "blocks"] as const;
        const from: Record<string, number[]> = {};
        for (const stream of streams) from[stream] = await ends(log, stream);
        const writer = await log.openWriter(shard);
        const value = (stream: string) => bytes(`state of ${stream}`);
        await writer.commit(streams.map((stream) => ({ stream, key: "k", value: value(stream), headers: { v: "1" } })));
        const followed = follow(log, from as FollowFrom);
        await eventually("five records", () => followed.records().filter(({ key }) => key === "k").length >= 5);
        await followed.close();
        for (const stream of streams) {
          const found = followed.records(`${stream}/${shard}`).find(({ key }) => key === "k");
          assert.deepEqual(found?.value, value(stream), stream);
          assert.deepEqual(found?.headers, { v: "1" });
        }
        await writer.close();
      });

      it("A3.1 a commit of thousands of records and more than any batch holds is there whole", async () => {
        const from = await ends(log, "subscriptions");
        const writer = await log.openWriter(0);
        const records: ShardRecord[] = Array.from({ length: 3_000 }, (_, index) => ({
          stream: "subscriptions",
          key: `whole-${index}`,
          value: randomBytes(600),
        }));
        await writer.commit(records);
        await writer.close();
        const found = await eventually("3,000 records", async () => {
          const all = (await readPartition(log, "subscriptions", 0, from[0]!)).records;
          const keys = all.map(({ key }) => key).filter((key) => key.startsWith("whole-"));
          return keys.length >= 3_000 && keys;
        });
        assert.deepEqual(found, records.map(({ key }) => key));
      });

      it("commits are in the order of their calls", async () => {
        const writer = await log.openWriter(0);
        const from = await ends(log, "cursors");
        await Promise.all(
          Array.from(
            { length: 30 },
            (_, index) => writer.commit([{ stream: "cursors", key: `turn-${index}`, value: bytes("x") }]),
          ),
        );
        await writer.close();
        const keys = await eventually("30 records", async () => {
          const { records } = await readPartition(log, "cursors", 0, from[0]!);
          const turns = records.map(({ key }) => key).filter((key) => key.startsWith("turn-"));
          return turns.length >= 30 && turns;
        });
        assert.deepEqual(keys, Array.from({ length: 30 }, (_, index) => `turn-${index}`));
      });

      it("null is a tombstone", async () => {
        const writer = await log.openWriter(0);
        await writer.commit([{ stream: "topics", key: "gone", value: bytes("here") }]);
        await writer.commit([{ stream: "topics", key: "gone", value: null }]);
        await writer.close();
        const last = await eventually("the tombstone", async () => {
          const { records } = await readPartition(log, "topics", 0, 0);
          const newest = records.findLast(({ key }) => key === "gone");
          return newest?.value === null && newest;
        });
        assert.equal(last.value, null);
      });

      it("a closed writer refuses as closed", async () => {
        const writer = await log.openWriter(0);
        await writer.close();
        await assert.rejects(writer.commit([{ stream: "topics", key: "late", value: bytes("x") }]), { code: "closed" });
      });

      it("A3.1 a second writer fences the first, whose commit leaves nothing", { skip: !setting.fences }, async () => {
        const first = await log.openWriter(0);
        await first.commit([{ stream: "topics", key: "fence", value: bytes("first") }]);
        const second = await log.openWriter(0);
        await assert.rejects(first.commit([{ stream: "topics", key: "fence", value: bytes("fenced") }]), {
          code: "fenced",
        });
        await assert.rejects(first.commit([{ stream: "cursors", key: "fence", value: bytes("again") }]), {
          code: "fenced",
        });
        await second.commit([{ stream: "topics", key: "fence", value: bytes("second") }]);
        const values = await eventually("the second's record", async () => {
          const { records } = await readPartition(log, "topics", 0, 0);
          const found = records.filter(({ key }) => key === "fence").map(({ value }) => text(value));
          return found.at(-1) === "second" && found;
        });
        // Compaction may have removed the first record; the fenced one was never written.
        assert.ok(!values.includes("fenced"), values.join());
        await second.close();
      });

      it("A3.4 a writer that may not open fences nobody", { skip: !setting.fences }, async () => {
        const first = await log.openWriter(0);
        await assert.rejects(log.openWriter(0, () => false), { code: "fenced" });
        await first.commit([{ stream: "topics", key: "fence", value: bytes("still here") }]);
        await first.close();
      });
    });

    describe("over time", () => {
      it("A2.3 of a compacted stream the newest record of each key stays, and next passes the holes", {
        skip: setting.skipSlow,
      }, async () => {
        const from = await ends(log, "topics");
        const writer = await log.openWriter(0);
        for (let round = 0; round < 5; round++) {
          await writer.commit(
            ["a", "b", "c"].map((key) => ({ stream: "topics", key: `compact-${key}`, value: bytes(`${key}${round}`) })),
          );
        }
        await writer.commit([{ stream: "topics", key: "compact-c", value: null }]);
        const found = await eventually("compaction", async () => {
          // Kafka compacts a segment only after a later one has begun, which needs a write.
          await writer.commit([{ stream: "topics", key: "compact-roll", value: bytes("x") }]);
          const { records } = await readPartition(log, "topics", 0, from[0]!);
          const ours = records.filter(({ key }) => /^compact-[abc]$/.test(key));
          return ours.length <= 3 && ours;
        }, { deadlineMs: 20_000, everyMs: 200 });
        const newest = Object.fromEntries(found.map(({ key, value }) => [key.slice(8), value && text(value)]));
        assert.equal(newest["a"], "a4");
        assert.equal(newest["b"], "b4");
        assert.ok(newest["c"] === null || newest["c"] === undefined);
        const { next } = await readPartition(log, "topics", 0, from[0]!);
        assert.ok(next >= await log.end("topics", 0), "a reader of compacted records reaches the end");
        const followed = follow(log, { topics: from });
        await eventually("the end", async () => followed.next("topics/0") >= await log.end("topics", 0));
        await followed.close();
        await writer.close();
      });

      it("A2.3 retention removes what is too old, and a reader of it learns the gap", {
        skip: setting.skipSlow,
      }, async () => {
        const short = await setting.newPlace({ retentionMs: 2_000, maxMessageBytes: MAX_BYTES });
        let brief = await openLog(short.recipe);
        try {
          const old: Position[] = [];
          for (let index = 0; index < 10; index++) {
            old.push(await brief.append("messages", { key: "old", value: bytes(String(index)) }, 0));
          }
          const started = performance.now();
          // The last record is removed too: the start is the end then, and no offset is used twice.
          const start = await eventually("retention", async () => {
            const first = await brief.start("messages", 0);
            return first > old.at(-1)!.offset && first;
          }, { deadlineMs: 25_000, everyMs: 100 });
          assert.ok(performance.now() - started >= 1_000, "not before its time");
          const recent = await brief.append("messages", { key: "new", value: bytes("new") }, 0);
          assert.ok(recent.offset >= start);
          // Memory may still have records that are gone from the disk.
          await brief.close();
          brief = await openLog(short.recipe);

          const chunk = await brief.read("messages", 0, 0, { maxBytes: 1_000 });
          assert.deepEqual(chunk.gap, { from: 0, to: start });
          assert.deepEqual(chunk.records.map(({ key }) => key), ["new"]);
          const followed = follow(brief, { messages: zeros(brief, "messages") });
          await eventually("the new record", () => followed.count() > 0);
          await followed.close();
          const gaps = followed.batches().filter(({ gap }) => gap !== undefined);
          assert.deepEqual(gaps.map(({ partition, gap }) => ({ partition, gap })), [
            { partition: 0, gap: { from: 0, to: start } },
          ]);
          assert.deepEqual(followed.offsets("messages/0"), [recent.offset]);
          const inside = await brief.read("messages", 0, recent.offset, { maxBytes: 1_000 });
          assert.equal(inside.gap, undefined);
        } finally {
          await brief.close();
          await short.remove();
        }
      });

      it("a log that is opened again is the same one", async () => {
        const { partition, offset } = await log.append("messages", { key: "reopen", value: bytes("before") });
        const { identity } = log;
        const before: Record<string, number[]> = {};
        for (const stream of STREAMS) before[stream] = await ends(log, stream);
        await log.close();
        log = await openLog(place.recipe);
        assert.equal(log.identity, identity);
        for (const stream of STREAMS) assert.deepEqual(await ends(log, stream), before[stream], stream);
        const { records } = await log.read("messages", partition, offset, { maxBytes: 1_000 });
        assert.equal(text(records[0]!.value), "before");
        const next = await log.append("messages", { key: "reopen", value: bytes("after") });
        assert.deepEqual({ ...next, time: 0 }, { partition, offset: offset + 1, time: 0 });
      });

      it("A2.1 what was acknowledged before a SIGKILL is there after it", async () => {
        const victim = await setting.newPlace({ retentionMs: 7 * DAY_MS, maxMessageBytes: MAX_BYTES });
        try {
          const acknowledged = await appendUntilKilled(victim.recipe);
          const again = await openLog(victim.recipe);
          try {
            const found = new Map(
              (await readAll(again, "messages", zeros(again, "messages")))
                .map((record) => [`${record.partition} ${record.offset}`, `${record.key} ${text(record.value)}`]),
            );
            for (const line of acknowledged) {
              const [partition, offset, key] = line.split(" ");
              assert.equal(found.get(`${partition} ${offset}`), `${key} body of ${key}`);
            }
            const { partition, offset } = await again.append("messages", { key: "after", value: bytes("x") });
            assert.ok(!found.has(`${partition} ${offset}`), "no offset is used twice");
          } finally {
            await again.close();
          }
        } finally {
          await victim.remove();
        }
      });

      it("a log that is closed ends its waits and refuses as closed", async () => {
        const spare = await setting.newPlace({ retentionMs: 7 * DAY_MS, maxMessageBytes: MAX_BYTES });
        const closing = await openLog(spare.recipe);
        const followed = follow(closing, { messages: zeros(closing, "messages"), topics: zeros(closing, "topics") });
        const writer = await closing.openWriter(0);
        const pending = Promise.allSettled(
          Array.from(
            { length: 50 },
            (_, index) => closing.append("messages", { key: `pending-${index}`, value: bytes("x") }),
          ),
        );
        const started = performance.now();
        await closing.close();
        await closing.close();
        assert.ok(performance.now() - started < 3_000, `closed after ${performance.now() - started} ms`);
        for (const outcome of await pending) {
          if (outcome.status === "rejected") assert.equal((outcome.reason as { code: string }).code, "closed");
        }
        const closed = { code: "closed" };
        await assert.rejects(closing.append("messages", { key: "late", value: bytes("x") }), closed);
        await assert.rejects(closing.read("messages", 0, 0, { maxBytes: 1 }), closed);
        await assert.rejects(closing.ping(), closed);
        await assert.rejects(writer.commit([{ stream: "topics", key: "late", value: bytes("x") }]), closed);
        const seen = followed.count();
        await never("a record after the close", () => followed.count() > seen, 200);
        await spare.remove();
      });
    });
  });
}

/** Appends in a child process, kills it after a few hundred acknowledgements, and returns the lines that it wrote. */
async function appendUntilKilled(recipe: LogRecipe): Promise<string[]> {
  const child = spawn(process.execPath, [APPENDER, JSON.stringify(recipe)], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let errors = "";
  child.stdout.on("data", (part: Buffer) => void (output += part.toString()));
  child.stderr.on("data", (part: Buffer) => void (errors += part.toString()));
  const ended = once(child, "close");
  try {
    await eventually("300 acknowledged appends", () => output.split("\n").length > 300, {
      deadlineMs: 30_000,
      seen: () => errors || `${output.split("\n").length} lines`,
    });
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
  // The last line may be cut.
  return output.split("\n").slice(0, -1);
}

interface Followed {
  batches(): readonly Batch[];
  /** All records, or those of one partition; `name` is `stream/partition`, here and below. */
  records(name?: string): LogRecord[];
  offsets(name: string): number[];
  next(name: string): number;
  /** `stream/partition/offset` of each record, in the order of arrival. */
  all(): string[];
  count(): number;
  close(): Promise<void>;
}

/** A follower that keeps everything it gets. */
function follow(log: Log, from: FollowFrom): Followed {
  const batches: Batch[] = [];
  const follower = log.follow(from, (batch) => void batches.push(batch));
  const of = (name: string) => batches.filter(({ stream, partition }) => `${stream}/${partition}` === name);
  return {
    batches: () => batches,
    records: (name) => (name === undefined ? batches : of(name)).flatMap(({ records }) => records),
    offsets: (name) => of(name).flatMap(({ records }) => records.map(({ offset }) => offset)),
    next: (name) => of(name).at(-1)?.next ?? 0,
    all: () =>
      batches.flatMap(({ stream, partition, records }) =>
        records.map(({ offset }) => `${stream}/${partition}/${offset}`)
      ),
    count: () => batches.reduce((sum, { records }) => sum + records.length, 0),
    close: () => follower.close(),
  };
}

async function ends(log: Log, stream: Stream): Promise<number[]> {
  return await Promise.all(zeros(log, stream).map((_, partition) => log.end(stream, partition)));
}

function zeros(log: Log, stream: Stream): number[] {
  return Array.from({ length: log.partitions(stream) }, () => 0);
}

/** All records from an offset to the end, and the end. */
async function readPartition(
  log: Log,
  stream: Stream,
  partition: number,
  from: number,
): Promise<{ records: LogRecord[]; next: number }> {
  const records: LogRecord[] = [];
  let next = from;
  for (const end = await log.end(stream, partition); next < end;) {
    const chunk = await log.read(stream, partition, next, { maxBytes: 1024 * 1024 });
    assert.ok(chunk.next > next, `a read of ${stream}/${partition} at ${next}, before the end ${end}, moves on`);
    records.push(...chunk.records);
    next = chunk.next;
  }
  return { records, next };
}

async function readAll(log: Log, stream: Stream, from: readonly number[]): Promise<LogRecord[]> {
  const parts = await Promise.all(from.map((offset, partition) => readPartition(log, stream, partition, offset)));
  return parts.flatMap(({ records }) => records);
}

function count(lists: ReadonlyMap<unknown, readonly unknown[]>): number {
  return [...lists.values()].reduce((sum, list) => sum + list.length, 0);
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function text(value: Uint8Array | null): string {
  return value === null ? "" : new TextDecoder().decode(value);
}

function randomBytes(length: number): Uint8Array {
  const result = new Uint8Array(length);
  for (let at = 0; at < length; at += 65_536) crypto.getRandomValues(result.subarray(at, at + 65_536));
  return result;
}
