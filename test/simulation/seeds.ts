// A range of seeds as a test: CI runs these, and `npm run simulate` as many as one wants.
import assert from "node:assert/strict";
import { runTrial } from "./trial.ts";

/** @throws {AssertionError} at the first seed with a violation; the message says how to run it again */
export async function holdsFor(from: number, to: number): Promise<void> {
  for (let seed = from; seed <= to; seed++) {
    const { violations } = await runTrial({ seed });
    assert.deepEqual(violations, [], `again: npm run simulate -- --from ${seed} --seeds 1`);
  }
}
