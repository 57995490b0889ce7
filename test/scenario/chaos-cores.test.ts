// A few chaos trials with several cores and edges; `npm run chaos -- --kafka --cores 3` runs as many as one wants.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { failed, total } from "../chaos/report.ts";
import { runChaos } from "../chaos/run.ts";
import { whyNoKafka } from "../support/kafka/kafka.ts";

describe("chaos of several cores", { skip: await whyNoKafka(), timeout: 230_000 }, () => {
  it("breaks no promise of ARCHITECTURE §6 in 5 trials with 3 cores and 2 edges on Kafka", async () => {
    const lines = await runChaos({ trials: 5, kafka: true, cores: 3 });
    const seen = failed(lines).flatMap(({ seed, fault, more = [], seen }) => [
      `seed ${seed}, ${JSON.stringify([fault, ...more])}`,
      ...seen,
    ]);
    assert.equal(lines.length, 5);
    assert.equal(failed(lines).length, 0, [...seen, ...total(lines)].join("\n"));
    assert.ok(lines.every(({ accepted, deliveries }) => accepted > 0 && deliveries > 0));
  });
});
