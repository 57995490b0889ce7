import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { holdsFor } from "./seeds.ts";
import { runTrial } from "./trial.ts";

describe("cores under simulated time, brokers and faults", () => {
  it("§6.1 to §6.6 hold in 60 seeds", () => holdsFor(1, 60));

  it("a seed is the same run each time, and another seed another", async () => {
    const first = await runTrial({ seed: 7 });
    assert.deepEqual(await runTrial({ seed: 7 }), first);
    assert.notEqual((await runTrial({ seed: 8 })).trace, first.trace);
  });
});
