import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NO_SABOTAGE, type Sabotage, SABOTAGES } from "./sabotage.ts";
import { runTrial } from "./trial.ts";

/** The simulation must find each sabotage within this many seeds. */
const FOUND_WITHIN = 25;

describe("a simulated run finds what is broken on purpose", () => {
  for (const sabotage of SABOTAGES) {
    it(sabotage.name, async () => {
      const seed = await firstFound(sabotage);
      assert.ok(seed !== undefined, `nothing was found in ${FOUND_WITHIN} seeds`);
      // Without the sabotage the same plan finds nothing.
      const { violations } = await runTrial({ seed, sabotage: { ...NO_SABOTAGE, adjust: sabotage.adjust } });
      assert.deepEqual(violations, []);
    });
  }
});

async function firstFound(sabotage: Sabotage): Promise<number | undefined> {
  const { firstSeed } = sabotage;
  for (let seed = firstSeed; seed < firstSeed + FOUND_WITHIN; seed++) {
    const { violations } = await runTrial({ seed, sabotage });
    if (violations.length > 0) return seed;
  }
  return undefined;
}
