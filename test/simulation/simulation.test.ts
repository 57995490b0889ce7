import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { runTrial } from "./trial.ts";

/** `npm run simulate` runs as many as one likes. */
const SEEDS = 200;

describe("cores under simulated time, brokers and faults", () => {
  it(`§6.1 to §6.6 hold in ${SEEDS} seeds`, async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { violations } = await runTrial({ seed });
      assert.deepEqual(violations, [], `again: npm run simulate -- --from ${seed} --seeds 1`);
    }
  });

  it("a seed is the same run each time, and another seed another", async () => {
    const first = await runTrial({ seed: 7 });
    assert.deepEqual(await runTrial({ seed: 7 }), first);
    assert.notEqual((await runTrial({ seed: 8 })).trace, first.trace);
  });
});
