// A few chaos trials; `npm run chaos` runs as many as one wants.
import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { describe, it } from "node:test";
import { failed, total, type TrialLine } from "../chaos/report.ts";
import { runChaos } from "../chaos/run.ts";
import { whyNoKafka } from "../support/kafka/kafka.ts";

const skip = await whyNoKafka();

/** What the test prints if a promise was broken: enough to find out why. */
function broken(lines: readonly TrialLine[]): string {
  const seen = failed(lines).flatMap(({ seed, fault, seen }) => [`seed ${seed}, ${JSON.stringify(fault)}`, ...seen]);
  return [...seen, ...total(lines)].join("\n");
}

describe("chaos", { timeout: 220_000 }, () => {
  it("breaks no promise of ARCHITECTURE §6 in 20 trials on the embedded log", async () => {
    const lines = await runChaos({ trials: 20, fresh: 20 });
    assert.equal(lines.length, 20);
    assert.equal(failed(lines).length, 0, broken(lines));
    assert.ok(lines.every(({ accepted, recoveryMs }) => accepted > 0 && recoveryMs !== null), broken(lines));
    assert.ok(lines.reduce((sum, { repeated }) => sum + repeated, 0) > 0, "crashes were felt");
  });

  it(
    "breaks no promise of ARCHITECTURE §6 in 3 trials on Kafka, the broker's faults among them",
    { skip },
    async () => {
      // Seeds 3 and 4: the broker is put to sleep, and killed.
      const lines = await runChaos({ trials: 3, from: 2, kafka: true });
      assert.equal(lines.length, 3);
      assert.ok(lines.some(({ fault }) => fault.target === "broker"));
      assert.equal(failed(lines).length, 0, broken(lines));
    },
  );

  it("finds the loss when checkpoints run ahead of delivery", async () => {
    const found = new AbortController();
    const lines = await runChaos({
      trials: 40,
      from: 4,
      checkpointAhead: true,
      signal: found.signal,
      onTrial: async ({ breaches }, kept) => {
        if (kept !== undefined) await rm(kept, { recursive: true, force: true, maxRetries: 3 });
        if ((breaches.lost ?? 0) > 0) found.abort();
      },
    });
    assert.ok(found.signal.aborted, broken(lines));
  });
});
