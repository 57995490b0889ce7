import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { produce } from "../../../../../core/log/kafka/protocol/produce.ts";
import { Reader, Writer } from "../../../../../core/log/kafka/protocol/wire.ts";

describe("Kafka's primitive types", () => {
  it("are read as they were written, also where the buffer grows at any of them", () => {
    const write = (writer: Writer) =>
      writer.int8(-3).int16(-300).int32(-70_000).uint32(4_000_000_000).int64(-(2 ** 40)).varint(-1).varint(2 ** 30)
        .string("a text").raw(Uint8Array.of(1, 2, 3)).take();
    const whole = write(new Writer(1_000));
    for (let size = 0; size < whole.length; size++) {
      assert.deepEqual(write(new Writer(size)), whole, `from ${size} bytes`);
    }
    const reader = new Reader(whole);
    assert.deepEqual([reader.int8(), reader.int16(), reader.int32()], [-3, -300, -70_000]);
  });

  it("a name of 249 characters, the longest that Kafka knows, stands in a request", () => {
    const kafkaTopic = "x".repeat(249);
    const parts = [kafkaTopic, "y"].map((kafkaTopic) => ({ kafkaTopic, partition: 0, batch: Buffer.from("batch") }));
    const chunks = produce(parts.toReversed(), { transactionalId: null, timeoutMs: 1 }).encode();
    assert.ok(Buffer.concat(chunks).includes(kafkaTopic));
  });
});
