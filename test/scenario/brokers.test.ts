// One round of each scenario that `npm run scenario` runs at length.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { openKafkaLog } from "../../core/log/kafka/kafka-log.ts";
import { whyNoKafka } from "../support/kafka/kafka.ts";
import { type KafkaCluster, startKafkaCluster } from "../support/kafka/cluster.ts";
import { runBrokers } from "./brokers.ts";
import type { ScenarioReport } from "./load.ts";
import { runRolling } from "./rolling.ts";

function assertPromises({ phases, breaches, seen, accepted, deliveries, ended }: ScenarioReport): void {
  const told = [...seen, ...phases.map((phase) => JSON.stringify(phase))].join("\n");
  assert.deepEqual(breaches, {}, told);
  assert.ok(accepted > 0 && deliveries > 0, told);
  assert.equal(ended, 0, `a process had to be started again\n${told}`);
}

describe("three brokers", { skip: await whyNoKafka(), timeout: 220_000 }, () => {
  let cluster: KafkaCluster;
  before(async () => {
    cluster = await startKafkaCluster();
  });
  after(() => cluster?.close());

  it("A2.1 one killed: nothing is lost or stands still; two killed: 503 with Retry-After, nothing acknowledged, and it goes on", async () => {
    const report = await runBrokers({ cluster, cores: 1, edges: 2, kills: 1, doubleKills: 1 });
    assertPromises(report);
    const [, one] = report.phases;
    assert.ok(one!.accepted > 0, JSON.stringify(one));
    assert.equal(report.acceptedWhileTwoWereDead, 0);
    assert.ok(report.refusedWhileTwoWereDead > 0, "publishers were answered");
  });

  it("§6.1 every process and broker restarted in turn under load: nothing lost, nobody refused but by 503 with Retry-After", async () => {
    assertPromises(await runRolling({ cluster, cores: 1, edges: 2, rounds: 1 }));
  });
});

describe("three brokers that keep transactions less safely than messages", {
  skip: await whyNoKafka(),
  timeout: 60_000,
}, () => {
  it("A2.1 it is found out at the first transaction, and at every start after", async () => {
    const cluster = await startKafkaCluster(["transaction.state.log.min.isr=1"]);
    try {
      const open = () =>
        openKafkaLog({
          brokers: cluster.addresses,
          prefix: "unsafe",
          retentionMs: 86_400_000,
          maxMessageBytes: 1_000_000,
          clientId: "tidings-test",
          partitions: 1,
        });
      const refusal = {
        code: "misconfigured",
        message: /__transaction_state: expected min\.insync\.replicas to be at least 2, found 1$/,
      };
      const log = await open();
      try {
        await assert.rejects(log.openWriter(0), refusal);
      } finally {
        await log.close();
      }
      await assert.rejects(open(), refusal);
    } finally {
      await cluster.close();
    }
  });
});
