// The log on Kafka while its broker is killed, paused and stopped. The test has a broker of its own, because it harms it.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { openKafkaLog } from "../../../../core/log/kafka/kafka-log.ts";
import type { Log, LogRecord } from "../../../../core/log/log.ts";
import { eventually, pause } from "../../../support/eventually.ts";
import { startKafka, whyNoKafka } from "../../../support/kafka/kafka.ts";
import type { Kafka } from "../../../support/kafka/node.ts";

const AT_ONCE = 24;
const PARTITIONS = 4;

describe("the log on Kafka, when its broker fails", { skip: await whyNoKafka(), timeout: 150_000 }, () => {
  let kafka: Kafka;
  let logs = 0;
  before(async () => {
    kafka = await startKafka();
  });
  after(() => kafka?.close());

  const open = (giveUpMs = 30_000) =>
    openKafkaLog({
      brokers: [kafka.address],
      prefix: `faults-${logs++}`,
      retentionMs: 7 * 86_400_000,
      maxMessageBytes: 1_000_000,
      clientId: "tidings-test",
      replication: 1,
      partitions: PARTITIONS,
      giveUpMs,
    });

  const faults: Record<string, () => Promise<void>> = {
    "is killed and started again": async () => {
      await kafka.kill();
      await kafka.start();
    },
    "is stopped twice for a short while": async () => {
      await kafka.stop();
      await kafka.start();
      await pause(300);
      await kafka.stop();
      await kafka.start();
    },
    // The pause is longer than a request may take, so the first requests are still in the broker's sockets when they are sent again.
    "stands still for 6 s": async () => {
      kafka.pause();
      await pause(6_000);
      kafka.resume();
    },
  };
  for (const [what, fault] of Object.entries(faults)) {
    it(`A2.1 A2.2 A2.4 a broker that ${what} loses and repeats nothing`, async () => {
      const log = await open();
      try {
        const followed = new Map<number, number[]>();
        const follower = log.follow({ messages: Array.from({ length: PARTITIONS }, () => 0) }, (batch) => {
          assert.equal(batch.gap, undefined);
          const offsets = batch.records.map(({ offset }) => offset);
          followed.set(batch.partition, [...followed.get(batch.partition) ?? [], ...offsets]);
        });
        const load = startLoad(log);
        await eventually("1,000 appends before", () => load.acknowledged.size > 1_000);
        await fault();
        const before = load.acknowledged.size;
        await eventually("1,000 appends after", () => load.acknowledged.size > before + 1_000, { deadlineMs: 20_000 });
        await load.stop();
        assert.deepEqual(load.refused, []);

        const records = await readMessages(log);
        const places = new Map<string, string>();
        for (const { key, partition, offset } of records) {
          assert.ok(!places.has(key), `${key} is there twice`);
          places.set(key, `${partition}/${offset}`);
        }
        for (const [key, place] of load.acknowledged) assert.equal(places.get(key), place, `${key} is lost`);
        assert.equal(records.length, load.acknowledged.size);

        const total = () => [...followed.values()].reduce((sum, offsets) => sum + offsets.length, 0);
        await eventually("the follower", () => total() >= records.length);
        await follower.close();
        for (const [partition, offsets] of followed) {
          assert.deepEqual(offsets, offsets.map((_, index) => index), `what was followed of partition ${partition}`);
        }
      } finally {
        await log.close();
      }
    });
  }

  it("A3.1 a shard's commits go on when its broker is killed, and nobody is fenced", async () => {
    const log = await open();
    try {
      const writer = await log.openWriter(0);
      let version = 0;
      let stopped = false;
      const committing = (async () => {
        for (; !stopped; version++) {
          await writer.commit(
            (["topics", "cursors"] as const).map((stream) => ({
              stream,
              key: "state",
              value: Buffer.from(String(version)),
            })),
          );
        }
      })();
      await eventually("20 commits before", () => version > 20);
      await kafka.kill();
      await kafka.start();
      const before = version;
      await Promise.race([
        eventually("20 commits after", () => version > before + 20, { deadlineMs: 30_000 }),
        committing,
      ]);
      stopped = true;
      await committing;
      for (const stream of ["topics", "cursors"] as const) {
        const versions = await eventually("the last version", async () => {
          const { records } = await log.read(stream, 0, 0, { maxBytes: 10_000_000 });
          const found = records.filter(({ key }) => key === "state").map(({ value }) => Number(Buffer.from(value!)));
          return found.at(-1) === version - 1 && found;
        });
        // A repeated commit writes the same again. Nothing is left out, and nothing goes back.
        assert.deepEqual([...new Set(versions)], Array.from({ length: version }, (_, index) => index));
        assert.deepEqual(versions, versions.toSorted((a, b) => a - b));
      }
    } finally {
      await log.close();
    }
  });

  it("A2.1 without a broker nothing is acknowledged, every call ends as unavailable in time, and a close does not wait", async () => {
    const log = await open(1_000);
    try {
      const follower = log.follow({ messages: [0, 0, 0, 0] }, () => {});
      await log.append("messages", { key: "before", value: Buffer.from("x") }, 0);
      await kafka.kill();
      const unavailable = { code: "unavailable" };
      const killed = performance.now();
      try {
        await Promise.all([
          assert.rejects(log.append("messages", { key: "lost", value: Buffer.from("x") }, 0), unavailable),
          assert.rejects(log.end("messages", 0), unavailable),
          assert.rejects(log.read("messages", 0, 0, { maxBytes: 1_000 }), unavailable),
          assert.rejects(log.ping(), unavailable),
          refusedAtOnce(log),
        ]);
        assert.ok(performance.now() - killed < 10_000, `refused after ${performance.now() - killed} ms`);
      } finally {
        await kafka.start();
      }
      // It answers before it leads its partitions again.
      const { offset } = await eventually("an append", () => {
        return log.append("messages", { key: "after", value: Buffer.from("x") }, 0).catch(() => undefined);
      }, { deadlineMs: 30_000 });
      assert.ok(offset >= 1);

      kafka.pause();
      // The broker may answer a little longer, until its last thread has stopped.
      await eventually("it to stand still", () => {
        return Promise.race([log.end("messages", 0).then(() => false, () => true), pause(300).then(() => true)]);
      });
      const refused = assert.rejects(log.append("messages", { key: "pending", value: Buffer.from("x") }, 0), {
        code: "closed",
      });
      const paused = performance.now();
      await follower.close();
      assert.ok(performance.now() - paused < 3_000, `followed on for ${performance.now() - paused} ms`);
      await log.close();
      assert.ok(performance.now() - paused < 6_000, `closed after ${performance.now() - paused} ms`);
      await refused;
    } finally {
      kafka.resume();
      await log.close();
    }
  });
});

/** Memory is bounded: beyond 64 MiB an append is refused. */
async function refusedAtOnce(log: Log): Promise<void> {
  const value = Buffer.alloc(900_000);
  const started = performance.now();
  const waits = await Promise.all(
    Array.from(
      { length: 100 },
      () =>
        log.append("messages", { key: "much", value }).then(
          () => assert.fail("it was acknowledged"),
          (error: unknown) => {
            assert.equal((error as { code: string }).code, "unavailable");
            return performance.now() - started;
          },
        ),
    ),
  );
  const atOnce = waits.filter((ms) => ms < 500).length;
  assert.ok(atOnce > 10 && atOnce < 60, `${atOnce} of 100 were refused at once`);
}

interface Load {
  /** Key → `partition/offset`. */
  readonly acknowledged: Map<string, string>;
  readonly refused: string[];
  stop(): Promise<void>;
}

/** Appends from several sides, each waiting for its answers, until it is told to stop. */
function startLoad(log: Log): Load {
  const acknowledged = new Map<string, string>();
  const refused: string[] = [];
  let stopped = false;
  let count = 0;
  const sides = Array.from({ length: AT_ONCE }, async () => {
    while (!stopped) {
      const key = `load-${count++}`;
      try {
        const { partition, offset } = await log.append("messages", { key, value: Buffer.alloc(512) });
        acknowledged.set(key, `${partition}/${offset}`);
      } catch (error) {
        refused.push(`${key}: ${(error as Error).message}`);
      }
      await pause(1);
    }
  });
  return {
    acknowledged,
    refused,
    async stop() {
      stopped = true;
      await Promise.all(sides);
    },
  };
}

async function readMessages(log: Log): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const end = await log.end("messages", partition);
    for (let next = 0; next < end;) {
      const chunk = await log.read("messages", partition, next, { maxBytes: 1_000_000 });
      records.push(...chunk.records);
      next = chunk.next;
    }
  }
  return records;
}
