import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import {
  type CursorRecord,
  encodeRecord,
  SHARD_KEY,
  type SubscriptionRecord,
  type TopicRecord,
} from "../../../core/state/records.ts";
import { subscriptionIdOf, topicIdOf } from "../../../core/state/ids.ts";
import { openLibsqlLog } from "../../../core/log/libsql/libsql-log.ts";
import type { Log, ShardRecord, ShardWriter } from "../../../core/log/log.ts";
import { openReplica, type Replica } from "../../../core/replica/replica.ts";
import { type Clock, createClock, withDirectory } from "../../support/rigs/core-rig.ts";
import { subscriptionOf, TOPIC } from "../../support/rigs/subscription-events.ts";
import { unreachable } from "../../../core/shards/old-ids.ts";
import { inFile } from "../../support/sqlite-file.ts";
import { eventually, never, pause } from "../../support/eventually.ts";

const DAY_MS = 86_400_000;
const TOPIC_ID = topicIdOf(TOPIC);
const callbackOf = (n: number) => `http://127.0.0.1:9/${n}`;
const idOf = (n: number) => subscriptionIdOf(TOPIC, callbackOf(n));

interface Place extends AsyncDisposable {
  readonly directory: string;
  readonly path: string;
  readonly clock: Clock;
  log: Log;
  writer: ShardWriter;
  readonly failures: Error[];
  /** Opens the replica, over another log if one is given, and reads everything. */
  open(log?: Log, path?: string): Promise<Replica>;
  reopenLog(): Promise<void>;
}

async function inPlace(run: (place: Place) => Promise<void>): Promise<void> {
  await withDirectory(async (directory) => {
    const clock = createClock();
    const failures: Error[] = [];
    const onFatal = (error: Error) => void failures.push(error);
    const openLog = () =>
      openLibsqlLog({
        directory,
        retentionMs: 7 * DAY_MS,
        maxMessageBytes: 1e6,
        onFatal,
        clock,
        sweepMs: 50,
      });
    const log = await openLog();
    await using place: Place = {
      directory,
      path: join(directory, "replica.db"),
      clock,
      log,
      writer: await log.openWriter(0),
      failures,
      async open(other = place.log, path = place.path) {
        const replica = await openReplica({ path, log: other, clock, onFatal });
        if (other === place.log) await replica.caughtUp(0);
        return replica;
      },
      async reopenLog() {
        await place.log.close();
        place.log = await openLog();
        place.writer = await place.log.openWriter(0);
      },
      async [Symbol.asyncDispose]() {
        await place.log.close();
      },
    };
    await run(place);
  });
}

const topicOf = (version: number): TopicRecord => ({ topic: TOPIC, version, start: 0, operations: [] });

function recordOf(n: number, more: Partial<SubscriptionRecord> = {}): SubscriptionRecord {
  return subscriptionOf({ callback: callbackOf(n), version: n, life: n, verified: n, expiresAt: 0, ...more });
}

function subscription(n: number, record: SubscriptionRecord | null = recordOf(n)): ShardRecord {
  return { stream: "subscriptions", key: idOf(n), value: record === null ? null : encodeRecord(record) };
}

function position(stream: "topics" | "subscriptions" | "cursors", events: number, more: object = {}): ShardRecord {
  return { stream, key: SHARD_KEY, value: encodeRecord({ events, ...more }) };
}

/** Adds a topic that the log does not have: after a rebuild of the file it is gone. */
async function mark(path: string): Promise<void> {
  const record = JSON.stringify(topicOf(0));
  await inFile(
    path,
    (client) =>
      client.execute({
        sql: "INSERT INTO records (stream, partition, key, record, topic_id) VALUES ('topics', 0, 'marked', ?, NULL)",
        args: [record],
      }),
  );
}

const followsNothing = () => ({ add: () => {}, remove: () => {}, close: () => Promise.resolve() });

describe("the replica", { timeout: 60_000 }, () => {
  it("shows the newest record of each key, and none where there is a tombstone", async () => {
    await inPlace(async (place) => {
      const replica = await place.open();
      const cursor: CursorRecord = { life: 1, position: 7 };
      await place.writer.commit([
        { stream: "topics", key: TOPIC_ID, value: encodeRecord(topicOf(1)) },
        subscription(1, recordOf(1, { phase: "pending" })),
        subscription(2),
        { stream: "cursors", key: idOf(1), value: encodeRecord(cursor) },
        position("subscriptions", 3),
      ]);
      await place.writer.commit([subscription(1), subscription(2, null), position("subscriptions", 4)]);
      assert.ok(await replica.reached("subscriptions", 0, 4, 5_000));
      await replica.caughtUp(0);
      assert.deepEqual(await replica.topic(TOPIC_ID), topicOf(1));
      assert.deepEqual(await replica.subscription(idOf(1)), recordOf(1));
      assert.equal(await replica.subscription(idOf(2)), undefined);
      assert.deepEqual(await replica.cursor(idOf(1)), cursor);
      assert.equal(await replica.topic("unknown"), undefined);
      await replica.close();
    });
  });

  it("knows whether anybody waits for a topic: active, expired or pending, of that topic alone", async () => {
    await inPlace(async (place) => {
      const replica = await place.open();
      const pending = { id: "i", offset: 1, time: 1, mode: "subscribe", topic: TOPIC, callback: "c", end: 0 } as const;
      const waits = async (record: Partial<SubscriptionRecord>) => {
        await place.writer.commit([subscription(1, recordOf(1, record))]);
        await replica.caughtUp(0);
        return (await replica.subscribedOf([TOPIC_ID, other])).has(TOPIC_ID);
      };
      const other = topicIdOf("another topic");
      assert.deepEqual(await replica.subscribedOf([TOPIC_ID, other]), new Set());
      assert.equal(await waits({ phase: "pending" }), false);
      assert.equal(await waits({ phase: "pending", pending: [pending] }), true);
      for (const phase of ["active", "expired"] as const) assert.equal(await waits({ phase }), true, phase);
      for (const phase of ["unsubscribed", "gone", "revoked", "deregistered"] as const) {
        assert.equal(await waits({ phase }), false, phase);
        assert.equal(await waits({ phase, pending: [pending] }), true, phase);
      }
      assert.deepEqual(await replica.subscribedOf([other]), new Set());
      await replica.close();
    });
  });

  it("WIRE Words live records under ids that their spellings no longer have are found, and those that have come again are not named", async () => {
    await inPlace(async (place) => {
      const put = (stream: "topics" | "subscriptions", key: string, record: object) => {
        return { stream, key, value: Buffer.from(JSON.stringify(record)) };
      };
      const [old, again] = ["https://Old.example:443", "https://Again.example"];
      const topic = (name: string) => ({ topic: name, version: 1, start: 0, operations: [] });
      const pair = (callback: string) => ({ ...recordOf(1), topic: old, callback });
      await place.writer.commit([
        put("topics", "key-of-old", topic(old)),
        put("topics", "key-of-again", topic(again)),
        put("topics", topicIdOf(again), topic(again)),
        put("topics", "key-of-ended", { ...topic("https://Ended.example"), endedAt: 5 }),
        put("topics", topicIdOf("HTTPS://New.example"), topic("HTTPS://New.example")),
        put("topics", topicIdOf("a name"), topic("a name")),
        put("subscriptions", "key-of-pair", pair("http://C.example/%2f")),
        put("subscriptions", "key-of-gone", { ...pair("http://D.example/"), phase: "gone", endedAt: 5 }),
        put("subscriptions", subscriptionIdOf(old, "http://E.example/"), pair("http://E.example/")),
        subscription(1),
        ...Array.from({ length: 10 }, (_, n) => put("subscriptions", `key-of-${n}`, pair(`HTTP://many.example/${n}`))),
      ]);
      const replica = await place.open();
      const { oldRecords = [] } = await replica.load(0);
      const pairs = ["http://C.example/%2f", ...Array.from({ length: 10 }, (_, n) => `HTTP://many.example/${n}`)];
      assert.deepEqual(oldRecords, [
        { topic: old },
        { topic: again },
        ...pairs.map((callback) => ({ topic: old, callback })),
      ]);
      const { count, named } = await unreachable(oldRecords, replica);
      assert.equal(count, 12, "all but the topic that was registered again");
      const some = pairs.slice(0, 4).map((callback) => `topic ${old} with callback ${callback}`);
      assert.equal(named, [`topic ${old}`, ...some, "…"].join("; "));
      await replica.close();
    });
  });

  it("A3.2 a shard loads everything it wrote, however much, and where it stands", async () => {
    await inPlace(async (place) => {
      const count = 4_500;
      for (let n = 0; n < count; n += 500) {
        await place.writer.commit(Array.from({ length: 500 }, (_, i) => subscription(n + i)));
      }
      const operations = [["op", 1]];
      await place.writer.commit([
        position("topics", 9, { operations }),
        position("subscriptions", 9),
        position("cursors", 9, { watermarks: [5] }),
        // An owner on Kafka writes a token here, which is not JSON.
        ...(["topics", "subscriptions", "cursors"] as const).map((stream) => ({
          stream,
          key: "~owner",
          value: Buffer.from("5d3f-0"),
        })),
      ]);
      const replica = await place.open();
      const state = await replica.load(0);
      assert.equal(state.subscriptions.size, count);
      assert.deepEqual(state.subscriptions.get(idOf(4_321)), recordOf(4_321));
      assert.equal(state.topics.size, 0, "marks and positions are no topics");
      assert.deepEqual(state.shard.topics, { events: 9, operations });
      assert.deepEqual(state.shard.cursors, { events: 9, watermarks: [5] });
      assert.equal(replica.watermark(0, 0), 5);
      assert.equal(replica.watermark(0, 1), undefined);
      await replica.close();
    });
  });
});

describe("A3.11 reading what was just accepted", { timeout: 60_000 }, () => {
  it("A3.11 a wait ends when the stream shows everything before that event, not sooner", async () => {
    await inPlace(async (place) => {
      const replica = await place.open();
      let done = false;
      const waiting = replica.reached("subscriptions", 0, 5, 5_000).then((reached) => {
        done = true;
        return reached;
      });
      await place.writer.commit([position("subscriptions", 4), position("topics", 9)]);
      await never("a wait that ends too soon", () => done, 60);
      await place.writer.commit([subscription(1), position("subscriptions", 5)]);
      assert.equal(await waiting, true);
      assert.deepEqual(await replica.subscription(idOf(1)), recordOf(1), "in the same transaction");
      assert.equal(await replica.reached("subscriptions", 0, 5, 0), true, "at once from now on");
      await replica.close();
    });
  });

  it("A3.11 a wait that is in vain ends at its deadline, and at a close", async () => {
    await inPlace(async (place) => {
      const replica = await place.open();
      assert.equal(await replica.reached("topics", 0, 1, 30), false);
      const waiting = replica.reached("topics", 0, 1, 60_000);
      await replica.close();
      assert.equal(await waiting, false);
    });
  });

  it("A3.11 what was reached is known again after a restart", async () => {
    await inPlace(async (place) => {
      await place.writer.commit([position("subscriptions", 5), position("cursors", 5, { watermarks: [3] })]);
      await (await place.open()).close();
      // This replica follows nothing: all that it knows is in its file.
      const replica = await place.open({ ...place.log, follow: followsNothing });
      assert.equal(await replica.reached("subscriptions", 0, 5, 0), true);
      assert.equal(replica.watermark(0, 0), 3);
      await replica.close();
    });
  });
});

describe("A3.12 a stale replica", { timeout: 60_000 }, () => {
  /** Fills and marks a replica; `change` makes it stale; returns whether it was rebuilt. */
  async function rebuiltAfter(change: (place: Place) => Promise<void>): Promise<boolean> {
    let rebuilt: boolean | undefined;
    await inPlace(async (place) => {
      await place.writer.commit([subscription(1), position("subscriptions", 1)]);
      await (await place.open()).close();
      await mark(place.path);
      await change(place);
      const replica = await place.open();
      assert.deepEqual(await replica.subscription(idOf(1)), recordOf(1), "it has what the log has");
      rebuilt = await replica.topic("marked") === undefined;
      assert.deepEqual(place.failures, []);
      await replica.close();
    });
    return rebuilt!;
  }

  it("A3.12 one that is not is followed on from where it was", async () => {
    assert.equal(await rebuiltAfter(() => Promise.resolve()), false);
  });

  it("A3.12 deleted: it rebuilds itself", async () => {
    assert.equal(
      await rebuiltAfter(async ({ path }) => {
        for (const suffix of ["", "-wal", "-shm"]) await rm(path + suffix, { force: true });
      }),
      true,
    );
  });

  it("A3.12 a file that is no database, or is damaged, is rebuilt", async () => {
    assert.equal(
      await rebuiltAfter(async ({ path }) => {
        for (const suffix of ["-wal", "-shm"]) await rm(path + suffix, { force: true });
        await writeFile(path, "not a database ".repeat(1_000));
      }),
      true,
    );
  });

  it("A3.12 of another log: it is rebuilt", async () => {
    assert.equal(
      await rebuiltAfter(({ path }) =>
        inFile(path, async (client) => void await client.execute("UPDATE origin SET identity = 'another v1'"))
      ),
      true,
    );
  });

  it("A3.12 beyond an end: it is rebuilt", async () => {
    assert.equal(
      await rebuiltAfter(({ path }) =>
        inFile(path, async (client) => void await client.execute("UPDATE positions SET next = next + 1"))
      ),
      true,
    );
  });

  it("A3.12 last followed over 6 days ago: it is rebuilt; less: it is not", async () => {
    assert.equal(await rebuiltAfter(({ clock }) => Promise.resolve(clock.advance(6 * DAY_MS + 60_000))), true);
    assert.equal(await rebuiltAfter(({ clock }) => Promise.resolve(clock.advance(6 * DAY_MS - 60_000))), false);
  });

  it("A3.12 a start that read nothing makes it no younger", async () => {
    const opened = await rebuiltAfter(async (place) => {
      place.clock.advance(4 * DAY_MS);
      await place.writer.commit([subscription(2), position("subscriptions", 2)]);
      const deaf: Log = { ...place.log, follow: followsNothing };
      await (await place.open(deaf)).close();
      place.clock.advance(4 * DAY_MS);
    });
    assert.equal(opened, true);
  });

  it("A3.12 what ended while it was away, its tombstone gone too, does not come back", async () => {
    await inPlace(async (place) => {
      await place.writer.commit([subscription(1), subscription(2)]);
      await (await place.open()).close();
      await place.writer.commit([subscription(1, null)]);
      place.clock.advance(7 * DAY_MS + 60_000);
      await eventually("the tombstone is gone", async () => {
        const { records } = await place.log.read("subscriptions", 0, 0, { maxBytes: 1e6 });
        return !records.some(({ value }) => value === null);
      });
      const replica = await place.open();
      assert.equal(await replica.subscription(idOf(1)), undefined);
      assert.deepEqual(await replica.subscription(idOf(2)), recordOf(2));
      await replica.close();
    });
  });

  it("A3.12 a log that was made anew in the same directory: nothing of the old one is shown", async () => {
    await inPlace(async (place) => {
      await place.writer.commit([subscription(1)]);
      await (await place.open()).close();
      await place.log.close();
      for (const suffix of ["", "-wal", "-shm"]) await rm(join(place.directory, `log.db${suffix}`), { force: true });
      await place.reopenLog();
      const replica = await place.open();
      assert.equal(await replica.subscription(idOf(1)), undefined);
      await replica.close();
    });
  });
});

describe("A2.5 a replica without room", { timeout: 60_000 }, () => {
  it("A2.5 waits for room, says nothing wrong meanwhile, and ends no process", async (test) => {
    await inPlace(async (place) => {
      const small = join(place.directory, "small");
      await mkdir(small);
      try {
        execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", small], { stdio: "ignore" });
      } catch {
        return test.skip("it may not mount a small tmpfs");
      }
      try {
        const replica = await place.open(place.log, join(small, "replica.db"));
        await writeFile(join(small, "ballast"), Buffer.alloc(400 * 1024));
        const many = Array.from(
          { length: 1_000 },
          (_, n) => subscription(n, recordOf(n, { secret: "x".repeat(199) })),
        );
        await place.writer.commit([...many, position("subscriptions", 1_000)]);
        assert.equal(await replica.reached("subscriptions", 0, 1_000, 300), false);
        assert.deepEqual(place.failures, []);
        await rm(join(small, "ballast"));
        execFileSync("mount", ["-o", "remount,size=16m", small]);
        assert.equal(await replica.reached("subscriptions", 0, 1_000, 10_000), true);
        for (const n of [0, 999]) assert.equal((await replica.subscription(idOf(n)))?.secret?.length, 199);
        assert.deepEqual(place.failures, []);
        await replica.close();
      } finally {
        execFileSync("umount", ["-l", small]);
      }
    });
  });

  it("A2.5 a close does not wait for room", async (test) => {
    await inPlace(async (place) => {
      const small = join(place.directory, "small");
      await mkdir(small);
      try {
        execFileSync("mount", ["-t", "tmpfs", "-o", "size=300k", "tmpfs", small], { stdio: "ignore" });
      } catch {
        return test.skip("it may not mount a small tmpfs");
      }
      try {
        const replica = await place.open(place.log, join(small, "replica.db"));
        const many = Array.from(
          { length: 1_000 },
          (_, n) => subscription(n, recordOf(n, { secret: "x".repeat(199) })),
        );
        await place.writer.commit(many);
        await pause(50);
        const begun = performance.now();
        await replica.close();
        assert.ok(performance.now() - begun < 3_000);
        assert.deepEqual(place.failures, []);
        assert.ok(existsSync(small));
      } finally {
        execFileSync("umount", ["-l", small]);
      }
    });
  });
});
