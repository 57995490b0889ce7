import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { runCommand, signalCommand } from "../support/hub/command.ts";
import { whyNoKafka } from "../support/kafka/kafka.ts";

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
  it("keeps every promise", () => keepsEveryPromise());

  for (const runtime of ["deno", "bun", "workerd"]) {
    it(`keeps every promise on ${runtime}`, () => keepsEveryPromise("--runtime", runtime));
  }

  it("keeps every promise on a real broker that it starts", { skip }, () => keepsEveryPromise("--kafka"));
});
