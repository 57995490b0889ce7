// Transactions on a real broker, ours and those of another client (kafkajs's producer), as our readers see them.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import kafkajs from "kafkajs";
import { openKafkaLog } from "../../../../core/log/kafka/kafka-log.ts";
import type { Batch, Log } from "../../../../core/log/log.ts";
import { eventually, never } from "../../../support/eventually.ts";
import { kafkaForTests } from "../../../support/kafka/kafka.ts";

const kafka = await kafkaForTests();
after(() => kafka.close());

describe("transactions on Kafka", { skip: kafka.skip, timeout: 60_000 }, () => {
  const prefix = kafka.newPrefix();
  let log: Log;
  before(async () => {
    log = await openKafkaLog({
      brokers: kafka.brokers,
      prefix,
      retentionMs: 7 * 86_400_000,
      maxMessageBytes: 1_000_000,
      clientId: "tidings-test",
      replication: 1,
      partitions: 2,
    });
  });
  after(() => log?.close());

  const client = new kafkajs.Kafka({ brokers: [...kafka.brokers], logLevel: kafkajs.logLevel.NOTHING });
  const newProducer = (transactionalId: string) =>
    client.producer({
      transactionalId,
      idempotent: true,
      maxInFlightRequests: 1,
      createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    });

  it("A2.4 open and aborted transactions are invisible, and a reader passes them to the end", async () => {
    const stream = "dead-letters";
    const batches: Batch[] = [];
    const follower = log.follow({ [stream]: [0, 0] }, (batch) => void batches.push(batch));
    const producer = newProducer(`${prefix}.stranger`);
    await producer.connect();
    const send = (transaction: Awaited<ReturnType<typeof producer.transaction>>, key: string) =>
      transaction.send({ topic: `${prefix}.${stream}`, messages: [{ key, value: key, partition: 0 }] });
    try {
      const aborted = await producer.transaction();
      await send(aborted, "aborted-1");
      await send(aborted, "aborted-2");
      // Open: the end is the last stable offset.
      assert.equal(await log.end(stream, 0), 0);
      await never("an open record", () => batches.length > 0, 300);
      await aborted.abort();
      // Two records and a marker.
      await eventually("the end", async () => await log.end(stream, 0) === 3);
      assert.deepEqual(await log.read(stream, 0, 0, { maxBytes: 1_000 }), { records: [], next: 3 });
      await eventually("the follower at the end", () => batches.at(-1)?.next === 3);

      const committed = await producer.transaction();
      await send(committed, "committed");
      await committed.commit();
      await eventually("the committed record", () => batches.some(({ records }) => records.length > 0));
      const chunk = await log.read(stream, 0, 0, { maxBytes: 1_000 });
      assert.deepEqual(chunk.records.map(({ key, offset }) => [key, offset]), [["committed", 3]]);
      assert.equal(chunk.next, 5);
      assert.equal(await log.end(stream, 0), 5);
    } finally {
      await producer.disconnect();
      await follower.close();
    }
    assert.deepEqual(batches.flatMap(({ records }) => records.map(({ key }) => key)), ["committed"]);
    assert.equal(batches.at(-1)!.next, 5);
  });

  it("A3.1 an owner whose open transaction a stranger aborted takes the shard back: nobody left a mark", async () => {
    const writer = await log.openWriter(0);
    await writer.commit([{ stream: "topics", key: "mine", value: Buffer.from("1") }]);
    // Like the coordinator's timeout, this raises the epoch without another owner.
    const stranger = newProducer(`${prefix}.shard-0`);
    await stranger.connect();
    await (await stranger.transaction()).abort();
    await stranger.disconnect();
    await writer.commit([{ stream: "topics", key: "mine", value: Buffer.from("2") }]);
    const values = await eventually("the second", async () => {
      const { records } = await log.read("topics", 0, 0, { maxBytes: 100_000 });
      const found = records.filter(({ key }) => key === "mine").map(({ value }) => Buffer.from(value!).toString());
      return found.includes("2") && found;
    });
    assert.deepEqual(values, ["1", "2"]);
    await writer.close();
  });

  it("A3.2 an opened writer's marks are below the ends of its streams", async () => {
    for (let round = 0; round < 5; round++) {
      const before = await log.end("cursors", 1);
      const writer = await log.openWriter(1);
      for (const stream of ["topics", "subscriptions", "cursors"] as const) {
        const end = await log.end(stream, 1);
        const { records } = await log.read(stream, 1, 0, { maxBytes: 1_000_000 });
        const marks = records.filter(({ key, offset }) => key === "~owner" && offset < end);
        assert.equal(marks.length, round + 1, stream);
      }
      assert.ok(await log.end("cursors", 1) > before);
      await writer.close();
    }
  });

  it("A3.1 if several owners take a shard at once, one has it in the end, and the others know", async () => {
    const opened = await Promise.allSettled(Array.from({ length: 4 }, () => log.openWriter(0)));
    const outcomes = await Promise.allSettled(
      opened.map(async (outcome, index) => {
        if (outcome.status === "rejected") throw outcome.reason;
        await outcome.value.commit([{ stream: "cursors", key: `owner-${index}`, value: Buffer.from("x") }]);
        return index;
      }),
    );
    const codes = outcomes.map((outcome) =>
      outcome.status === "fulfilled" ? "committed" : (outcome.reason as { code: string }).code
    );
    assert.ok(codes.filter((code) => code === "committed").length >= 1, codes.join());
    assert.ok(codes.every((code) => code === "committed" || code === "fenced"), codes.join());
    // Owners may have committed before the last one took the shard. Now only the last one can.
    const again = await Promise.allSettled(
      opened.map((outcome) =>
        outcome.status === "fulfilled"
          ? outcome.value.commit([{ stream: "cursors", key: "again", value: Buffer.from("x") }])
          : Promise.reject(outcome.reason)
      ),
    );
    assert.equal(again.filter(({ status }) => status === "fulfilled").length, 1);
    for (const outcome of opened) if (outcome.status === "fulfilled") await outcome.value.close();
  });

  it("A3.4 a commit that was fenced while ownership is uncertain waits until it is certain, and fences nobody before", async () => {
    let confirmed = true;
    let asked = 0;
    const writer = await log.openWriter(1, () => {
      asked++;
      return confirmed;
    });
    confirmed = false;
    // Without a mark no owner has taken the shard: it may have been a late request of our own.
    const stranger = newProducer(`${prefix}.shard-1`);
    await stranger.connect();
    await (await stranger.transaction()).abort();
    await stranger.disconnect();
    let done = false;
    const before = asked;
    const committing = writer.commit([{ stream: "dead-letters", key: "in doubt", value: Buffer.from("x") }])
      .then(() => done = true);
    await eventually("it to ask again and again", () => asked > before + 2, { deadlineMs: 20_000 });
    assert.equal(done, false);
    confirmed = true;
    await committing;
    await writer.close();
  });
});
