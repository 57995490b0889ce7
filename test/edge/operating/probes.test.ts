// Probes have no limit, so a flood of them must cost the cores nothing.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createProbes } from "../../../edge/operating/probes.ts";

describe("WIRE §8 a flood of probes", () => {
  it("asks the cores once a second, whichever of them it asks for", async () => {
    let [time, asked] = [0, 0];
    const core = { isReady: async () => ++asked > 1 };
    const probes = createProbes({ core, now: () => time });
    const flood = async () => {
      const answers = Array.from({ length: 1_000 }, (_, n) => n % 2 === 0 ? probes.readyz() : probes.actuator());
      return new Set((await Promise.all(answers)).map(({ status }) => status));
    };
    assert.deepEqual(await flood(), new Set([503]));
    time = 999;
    assert.deepEqual(await flood(), new Set([503]));
    assert.equal(asked, 1);
    time = 1_000;
    assert.deepEqual(await flood(), new Set([200]));
    assert.equal(asked, 2);
  });
});
