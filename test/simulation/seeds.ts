// A range of seeds as a test: `npm run simulate` runs as many as one likes, CI these.
import assert from "node:assert/strict";
import { runTrial } from "./trial.ts";

/** @throws {AssertionError} at the first seed that violates anything, saying how to see it again */
export async function holdsFor(from: number, to: number): Promise<void> {
  for (let seed = from; seed <= to; seed++) {
    const { violations } = await runTrial({ seed });
    assert.deepEqual(violations, [], `again: npm run simulate -- --from ${seed} --seeds 1`);
  }
}
