import assert from "node:assert/strict";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { openLibsqlLog } from "../../../core/log/libsql/libsql-log.ts";
import { openKafkaLog } from "../../../core/log/kafka/kafka-log.ts";
import type { Log } from "../../../core/log/log.ts";
import { openReplica } from "../../../core/replica/replica.ts";
import type { Replica } from "../../../core/replica/replica.ts";
import { createClock, withDirectory } from "../../support/rigs/core-rig.ts";
import { eventually } from "../../support/eventually.ts";
import { kafkaForTests } from "../../support/kafka/kafka.ts";
import { inFile } from "../../support/sqlite-file.ts";

const DAY_MS = 86_400_000;
const ME = "me".padEnd(43, "-");
const OTHER = "other".padEnd(43, "-");
const onFatal = (error: Error) => {
  throw error;
};

const letter = (key: string, life: number, offset: number) => ({
  stream: "dead-letters" as const,
  key,
  value: Buffer.from(JSON.stringify({
    life,
    id: `message-${offset}`,
    partition: 0,
    offset,
    reason: "answered 422",
    status: 422,
    attempts: 5,
    firstAt: 1,
    lastAt: 2,
  })),
});
const ask = (replica: Replica, more: { life?: number; from?: number; afterMessage?: number; limit?: number } = {}) =>
  replica.deadLetters({ subscriptionId: ME, life: 7, from: 0, afterMessage: -1, limit: 100, ...more }, 5_000);
const messages = (found: Awaited<ReturnType<typeof ask>>) => found?.map(({ offset }) => offset);

/** What must hold on either log. */
async function holds(log: Log, replica: Replica): Promise<void> {
  const shard = log.partitionOf("dead-letters", ME);
  const writer = await log.openWriter(shard);
  assert.deepEqual(await ask(replica), []);
  await writer.commit([letter(ME, 6, 1), letter(OTHER, 7, 2), letter(ME, 7, 5)]);
  await writer.commit([letter(ME, 7, 3), letter(ME, 7, 5), letter(ME, 7, 9)]);
  // In the order in which they were given up. Kafka's last stable offset follows a commit a few ms later.
  const all = await eventually("all four", async () => {
    const found = await ask(replica);
    return found?.length === 4 && found;
  });
  assert.deepEqual(messages(all), [5, 3, 5, 9]);
  assert.deepEqual(messages(await ask(replica, { life: 6 })), [1]);
  assert.deepEqual(messages(await ask(replica, { limit: 2 })), [5, 3]);
  assert.deepEqual(messages(await ask(replica, { from: all[1]!.place + 1 })), [5, 9]);
  assert.deepEqual(messages(await ask(replica, { afterMessage: 3 })), [5, 5, 9]);
  assert.deepEqual(all[3], {
    life: 7,
    id: "message-9",
    partition: 0,
    offset: 9,
    reason: "answered 422",
    status: 422,
    attempts: 5,
    firstAt: 1,
    lastAt: 2,
    place: all[3]!.place,
  });
  // A dead letter whose replay was delivered is no longer one. Another letter of the same message stays.
  const replayed = { stream: "dead-letters" as const, key: ME, value: Buffer.from(`{"replayed":${all[0]!.place}}`) };
  await writer.commit([replayed]);
  await eventually("three", async () => (await ask(replica))?.length === 3);
  assert.deepEqual(messages(await ask(replica)), [3, 5, 9]);
  const query = { subscriptionId: ME, life: 7, from: 0, afterMessage: -1, limit: 9, messageId: "message-5" };
  assert.deepEqual(messages(await replica.deadLetters(query, 5_000)), [5]);
  await writer.close();
}

describe("the replica's dead letters", () => {
  it("are a subscription's and a life's, on the embedded log", () =>
    withDirectory(async (directory) => {
      const clock = Date.now;
      const log = await openLibsqlLog({ directory, retentionMs: DAY_MS, maxMessageBytes: 1_000, onFatal });
      const replica = await openReplica({ path: join(directory, "replica.db"), log, clock, onFatal });
      await holds(log, replica);
      await replica.close();
      // Another process's start reads only what came since.
      const again = await openReplica({ path: join(directory, "replica.db"), log, clock, onFatal });
      assert.deepEqual(messages(await ask(again)), [3, 5, 9]);
      await again.close();
      await log.close();
    }));

  it("of which there are very many are found a part at a time, and the loop has its turns in between", () =>
    withDirectory(async (directory) => {
      const clock = Date.now;
      const log = await openLibsqlLog({ directory, retentionMs: DAY_MS, maxMessageBytes: 1_000, onFatal });
      const path = join(directory, "replica.db");
      const replica = await openReplica({ path, log, clock, onFatal });
      // Each of 15,000 messages was given up twice, the newest first.
      await inFile(path, (writer) =>
        writer.execute({
          sql: `WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 29999)
            INSERT INTO dead_letters SELECT 0, n, ?, 7, 14999 - n / 2, ?, json_object('id', n, 'offset', 14999 - n / 2) FROM n`,
          args: [ME, clock()],
        }));
      let turns = 0;
      const ticking = setInterval(() => turns++);
      const places = (found: Awaited<ReturnType<typeof ask>>) => found?.map(({ place }) => place);
      assert.deepEqual(places(await ask(replica, { afterMessage: 14_998 })), [0, 1]);
      assert.deepEqual(places(await ask(replica, { afterMessage: 4_998, from: 19_999 })), [19_999, 20_000, 20_001]);
      assert.deepEqual(places(await ask(replica, { afterMessage: 5, limit: 30_000 }))?.length, 29_988);
      const letters = (skip: number, limit: number) =>
        replica.letterMessages({ subscriptionId: ME, life: 7, from: 1, before: 14_999, skip, limit }, 5_000);
      assert.deepEqual(await letters(0, 2), { skipped: 0, offsets: [1, 2] });
      assert.deepEqual(await letters(12_000, 2), { skipped: 12_000, offsets: [12_001, 12_002] });
      assert.deepEqual(await letters(14_997, 2), { skipped: 14_997, offsets: [14_998] });
      assert.deepEqual(await letters(14_999, 2), { skipped: 14_998, offsets: [] });
      assert.ok(turns > 0);
      clearInterval(ticking);
      await replica.close();
      await log.close();
    }));

  it("are kept for the retention, and then really deleted", () =>
    withDirectory(async (directory) => {
      const clock = createClock();
      // The log itself keeps them for longer, so only the replica deletes here.
      const log = await openLibsqlLog({ directory, retentionMs: DAY_MS, maxMessageBytes: 1_000, onFatal, clock });
      const path = join(directory, "replica.db");
      const replica = await openReplica({ path, log, clock, onFatal, retentionMs: 8_000 });
      const writer = await log.openWriter(0);
      await writer.commit([letter(ME, 7, 1), letter(OTHER, 7, 2)]);
      assert.deepEqual(messages(await ask(replica)), [1]);
      clock.advance(7_000);
      await writer.commit([letter(ME, 7, 3)]);
      assert.deepEqual(messages(await ask(replica)), [1, 3]);
      clock.advance(2_000);
      assert.deepEqual(messages(await ask(replica)), [3]);
      await inFile(path, (reader) =>
        eventually("one row left", async () => {
          const { rows } = await reader.execute("SELECT count(*) AS count FROM dead_letters");
          return Number(rows[0]?.["count"]) === 1;
        }));
      await replica.close();
      await log.close();
    }));
});

const kafka = await kafkaForTests();
after(() => kafka.close());
describe("the replica's dead letters, Kafka", { skip: kafka.skip }, () => {
  it("are a subscription's and a life's", () =>
    withDirectory(async (directory) => {
      const log = await openKafkaLog({
        brokers: kafka.brokers,
        prefix: kafka.newPrefix(),
        retentionMs: DAY_MS,
        maxMessageBytes: 1_000,
        clientId: "test",
        replication: 1,
        partitions: 2,
      });
      const replica = await openReplica({ path: join(directory, "replica.db"), log, clock: Date.now, onFatal });
      await holds(log, replica);
      await replica.close();
      await log.close();
    }));
});
