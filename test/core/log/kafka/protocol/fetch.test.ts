// What a reader learns from the bytes of a fetch, on batches made here.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { committed, type FetchResult } from "../../../../../core/log/kafka/protocol/fetch.ts";
import { encodeBatch } from "../../../../../core/log/kafka/protocol/record-batch.ts";

const APPENDED = { producerId: 7, producerEpoch: 0, firstSequence: 0, transactional: false };
const NOW = 1_700_000_000_000;
const CONTROL = 0x20;

describe("the records of a fetch", () => {
  it("are decoded as they were encoded", () => {
    const records = [
      { key: "k1", value: Buffer.from("one"), headers: { id: "m1", topic: "ü" } },
      { key: "", value: null, headers: {} },
      { key: "k3", value: Buffer.alloc(0), headers: { empty: "" } },
      { key: "k".repeat(300), value: Buffer.alloc(70_000, 1), headers: {} },
    ];
    const { records: found, next } = committed(result(placed(encodeBatch(records, APPENDED, NOW), 40)), 40);
    assert.equal(next, 44);
    assert.deepEqual(
      found.map(({ key, value, headers }) => ({ key, value: value && Buffer.from(value), headers })),
      records,
    );
    assert.deepEqual(found.map(({ offset, time, partition }) => ({ offset, time, partition })), [
      { offset: 40, time: NOW, partition: 3 },
      { offset: 41, time: NOW, partition: 3 },
      { offset: 42, time: NOW, partition: 3 },
      { offset: 43, time: NOW, partition: 3 },
    ]);
  });

  it("begin at the offset asked for, inside a batch too", () => {
    const { records, next } = committed(result(placed(batch("a", "b", "c"), 10)), 11);
    assert.deepEqual(records.map(({ key, offset }) => [key, offset]), [["b", 11], ["c", 12]]);
    assert.equal(next, 13);
  });

  it("end before a batch that is cut short", () => {
    const whole = placed(batch("a"), 0);
    const cut = placed(batch("b"), 1);
    for (const left of [0, 5, 12, 30, cut.length - 1]) {
      const { records, next } = committed(result(Buffer.concat([whole, cut.subarray(0, left)])), 0);
      assert.deepEqual(records.map(({ key }) => key), ["a"], `${left} bytes of the second`);
      assert.equal(next, 1);
    }
  });

  it("may be none: next passes a batch that compaction emptied, and a marker", () => {
    const emptied = placed(encodeBatch([], { ...APPENDED, transactional: true }, NOW), 5);
    emptied.writeInt32BE(9, 23); // its last offset stays 5 + 9
    assert.deepEqual(committed(result(emptied), 5), { records: [], next: 15 });
    assert.deepEqual(committed(result(marker(7, "commit", 15)), 15), { records: [], next: 16 });
  });

  it("leave out aborted transactions, and only those", () => {
    const bytes = Buffer.concat([
      placed(batch("plain"), 0),
      placed(transactional(1, "aborted-1", "aborted-2"), 1),
      placed(transactional(2, "committed"), 3),
      placed(batch("between"), 4),
      marker(1, "abort", 5),
      marker(2, "commit", 6),
      // The same producer's next transaction counts.
      placed(transactional(1, "later"), 7),
      marker(1, "commit", 8),
      placed(transactional(2, "aborted-3"), 9),
      marker(2, "abort", 10),
    ]);
    const aborted = [{ producerId: 2, firstOffset: 9 }, { producerId: 1, firstOffset: 1 }];
    const { records, next } = committed({ ...result(bytes), aborted }, 0);
    assert.deepEqual(records.map(({ key }) => key), ["plain", "committed", "between", "later"]);
    assert.equal(next, 11);
    assert.deepEqual(committed({ ...result(bytes), aborted }, 9), { records: [], next: 11 });
  });

  it("that another client compressed are an error, and not skipped", () => {
    const bytes = placed(batch("a"), 0);
    bytes.writeInt16BE(1, 21);
    assert.throws(() => committed(result(bytes), 0), /compressed/);
  });
});

function result(bytes: Buffer): FetchResult {
  return { kafkaTopic: "t", partition: 3, errorCode: 0, aborted: [], bytes };
}

function batch(...keys: string[]): Buffer {
  return encodeBatch(keys.map((key) => ({ key, value: Buffer.from(key) })), APPENDED, NOW);
}

function transactional(producerId: number, ...keys: string[]): Buffer {
  const records = keys.map((key) => ({ key, value: Buffer.from(key) }));
  return encodeBatch(records, { ...APPENDED, producerId, transactional: true }, NOW);
}

/** The broker gives a batch its offset when it is written. */
function placed(bytes: Buffer, offset: number): Buffer {
  bytes.writeBigInt64BE(BigInt(offset), 0);
  return bytes;
}

/** A control batch as brokers write it: one record, whose key is a version and a type. */
function marker(producerId: number, type: "commit" | "abort", offset: number): Buffer {
  const record = { key: String.fromCharCode(0, 0, 0, type === "abort" ? 0 : 1), value: Buffer.alloc(6) };
  const bytes = placed(encodeBatch([record], { ...APPENDED, producerId, transactional: true }, NOW), offset);
  bytes.writeInt16BE(bytes.readInt16BE(21) | CONTROL, 21);
  return bytes;
}
