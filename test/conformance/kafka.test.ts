// The black box again, on a real Kafka broker.

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { openOwnHub } from "../support/hub/hub.ts";
import { kafkaForTests } from "../support/kafka/kafka.ts";
import { streamsOnKafka } from "../support/kafka/topics.ts";
import { conformance } from "./conformance.ts";
import { openRig, VARIANT_SETTINGS } from "./rig.ts";

const foreign = process.env["TIDINGS_TEST_HUB"] !== undefined;
const kafka = foreign ? undefined : await kafkaForTests();
if (kafka === undefined || kafka.skip !== false) {
  describe("conformance, Kafka", { skip: kafka?.skip ?? "the hub under test is not ours" }, () => {});
} else {
  after(() => kafka.close());
  // Each hub has Kafka topics of its own.
  const log = (prefix: string) => ({ TIDINGS_KAFKA_BROKERS: kafka.brokers.join(","), TIDINGS_KAFKA_PREFIX: prefix });
  const prefix = kafka.newPrefix();
  const hub = await openOwnHub({ settings: log(prefix) });
  const variant = () => openOwnHub({ settings: { ...VARIANT_SETTINGS, ...log(kafka.newPrefix()) } });
  it("the hub's log is on the broker", async () => {
    const streams = await streamsOnKafka(kafka.brokers, prefix);
    assert.deepEqual(streams, ["blocks", "cursors", "dead-letters", "events", "messages", "subscriptions", "topics"]);
  });
  conformance("conformance, Kafka", await openRig(hub, variant));
}
