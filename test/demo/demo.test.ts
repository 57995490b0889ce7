import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { runCommand, signalCommand } from "../support/hub/command.ts";
import { RUNTIMES } from "../support/runtimes.ts";
import { whyNoKafka } from "../support/kafka/kafka.ts";

/** What the demo's tiers run on here: the suite's target, or each runtime. */
const RUNS_ON = process.env["TIDINGS_TEST_EDGE_RUNTIME"] === "workerd" ? ["workerd"] : RUNTIMES;
const skip = await whyNoKafka();

async function keepsEveryPromise(...args: readonly string[]): Promise<void> {
  const demo = runCommand("npm", ["run", "-s", "demo", "--", ...args]);
  try {
    assert.equal(await demo.ended, 0, demo.output() + demo.errors());
    assert.match(demo.output(), /Every promise was kept/);
  } finally {
    signalCommand(demo, "SIGKILL");
  }
}

describe("npm run demo", { timeout: 220_000 }, () => {
  for (const runtime of RUNS_ON) {
    it(`keeps every promise on ${runtime}`, () => keepsEveryPromise("--runtime", runtime));
  }

  if (RUNS_ON.includes("node")) {
    it("keeps every promise on a real broker that it starts", { skip }, () => keepsEveryPromise("--kafka"));
  }
});
