// Kafka's hash of keys, against kafkajs's documented API.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import kafkajs from "kafkajs";
import { partitionOfKey } from "../../../../../core/log/kafka/protocol/key-hash.ts";

describe("the partition of a key", () => {
  it("is the one that Kafka's other clients choose", () => {
    const none = { partitionErrorCode: 0, leader: 0, replicas: [], isr: [] };
    const choose = kafkajs.Partitioners.DefaultPartitioner();
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 40 }), fc.integer({ min: 1, max: 999 }), (key, count) => {
        const partitionMetadata = Array.from({ length: count }, (_, partitionId) => ({ ...none, partitionId }));
        const theirs = choose({ topic: "t", partitionMetadata, message: { key, value: null } });
        assert.equal(partitionOfKey(key, count), theirs);
      }),
    );
  });
});
