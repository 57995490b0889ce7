// `npm run simulate -- --seeds 1000 [--from 1]`: that many runs, one after the other. `--trace` prints every step, `--pair s0`
// prints what happened to one subscription.
import { parseArgs } from "node:util";
import { type Case, storyOf } from "./auditor.ts";
import { runTrial } from "./trial.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "1" },
    trace: { type: "boolean", default: false },
    pair: { type: "string" },
  },
});
/** How many violations of each kind a run prints. */
const SHOWN = 3;
const from = Number(values.from);
const seeds = Number(values.seeds);
const begun = performance.now();
let [steps, virtual, attempts, faults, violations] = [0, 0, 0, 0, 0];
const failed: number[] = [];
for (let seed = from; seed < from + seeds; seed++) {
  const outcome = await runTrial({
    seed,
    ...(values.trace ? { onStep: (line: string) => console.log(line) } : {}),
    ...(values.pair === undefined ? {} : { onEnd: (one: Case) => tell(one, values.pair!) }),
  });
  steps += outcome.steps;
  virtual += outcome.seconds;
  attempts += outcome.attempts;
  faults += outcome.faults;
  violations += outcome.violations.length;
  if (outcome.violations.length === 0) continue;
  failed.push(seed);
  console.log(`seed ${seed}, trace ${outcome.trace.toString(16)}:`);
  for (const [kind, ofKind] of Map.groupBy(outcome.violations, (violation) => violation.kind)) {
    for (const { what } of ofKind.slice(0, SHOWN)) console.log(`  ${kind}: ${what}`);
    if (ofKind.length > SHOWN) console.log(`  ${kind}: and ${ofKind.length - SHOWN} more`);
  }
  console.log(`  again: npm run simulate -- --from ${seed} --seeds 1`);
}
const seconds = (performance.now() - begun) / 1_000;
console.log(
  `${seeds} seeds from ${from}: ${steps} steps, ${
    Math.round(virtual / 60)
  } min of virtual time, ${attempts} attempts, ` +
    `${faults} faults, ${violations} violations in ${failed.length} seeds, ${seconds.toFixed(1)} s`,
);

function tell(one: Case, name: string): void {
  for (const line of storyOf(one, name)) console.log(line);
}
process.exitCode = failed.length === 0 ? 0 : 1;
