// All tests: `node test/run.ts [path…]` on Node, `--on deno`, `--on bun`, `--on worker` or `--on clients` for another target. One Kafka broker serves
// them all (test/support/kafka/kafka.ts). REQUIRE_…=1 makes a test that was skipped for want of something a failure
// (test/support/suites/required.ts).
// While working: `--check` runs the rules on the tree, and the tests that open nothing. `--table` prints the last run of each target.
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { closure, readTree } from "./support/architecture.ts";
import { environmentOf as environmentOfKafka, startKafka, whyNoKafka } from "./support/kafka/kafka.ts";
import { startKeycloak } from "./support/keycloak/keycloak.ts";
import { environmentOf as environmentOfKeycloak, whyNoKeycloak } from "./support/keycloak/shared.ts";
import { operationsTable } from "./support/suites/operations.ts";
import { type Plan, planOf, testFiles } from "./support/suites/plan.ts";
import { requiredButSkipped } from "./support/suites/required.ts";
import { type Job, runApart, runOnNode } from "./support/suites/runners.ts";
import { keep, keptRuns, table, tallyOf } from "./support/suites/tally.ts";
import { environmentOf, isRuntime, isTarget, type Target } from "./support/suites/targets.ts";

const KAFKA = "test/support/kafka/kafka.ts";
const KEYCLOAK = "test/support/keycloak/shared.ts";

const { values: { on, check, table: onlyTable }, positionals } = parseArgs({
  options: {
    on: { type: "string", default: "node" },
    check: { type: "boolean", default: false },
    table: { type: "boolean", default: false },
  },
  allowPositionals: true,
});
if (!isTarget(on)) throw new Error(`--on must be node, deno, bun, worker or clients, not "${on}"`);

// Each test file is a process that loads half the tree: with the types stripped once, its start takes a third less.
process.env["NODE_COMPILE_CACHE"] ??= fileURLToPath(new URL("../node_modules/.cache/tests", import.meta.url));

const stop = new AbortController();
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => stop.abort());

if (onlyTable) say(table(await keptRuns()));
else process.exitCode = await runTests(on, positionals.map((path) => path.replace(/^\.\//, ""))) ? 0 : 1;
if (stop.signal.aborted) process.exitCode = 130;

/** Whether all tests passed, and none that is required was skipped. */
async function runTests(target: Target, paths: readonly string[]): Promise<boolean> {
  const tree = await readTree();
  const plan = planOf(tree, testFiles(tree, paths), target, { named: paths.length > 0, check });
  const files = [...plan.inside, ...plan.against];
  if (files.length === 0) throw new Error(`No test runs for ${target} at ${paths.join(", ")}`);
  if (check) return (await runOnNode(files, { together: true, signal: stop.signal })).passed;
  const need = (what: string) => files.some((path) => closure(tree, path).files.includes(what));
  await using shared = new AsyncDisposableStack();
  if (need(KAFKA)) shared.defer(await sharedBroker());
  if (need(KEYCLOAK)) shared.defer(await sharedKeycloak());
  // A person who names files may want to see them on every runtime.
  if (target === "node" && paths.length === 0) Object.assign(process.env, environmentOf(target));
  const outcome = target === "node"
    ? await runOnNode(files, { signal: stop.signal })
    : await runApart(jobsOf(plan, target), { environment: environmentOf(target), signal: stop.signal });
  const tally = tallyOf(outcome.files);
  if (paths.length === 0 && !stop.signal.aborted) await keep(target, tally);
  const missing = requiredButSkipped(outcome.skipped, process.env);
  if (target === "clients") say(["", ...operationsTable(outcome.reports)]);
  say(["", ...table(new Map([[target, tally]])), ...missing]);
  return outcome.passed && missing.length === 0;
}

function jobsOf({ inside, against }: Plan, target: Target): Job[] {
  return [
    ...against.map((path): Job => ({ path, on: "node" })),
    ...inside.map((path): Job => ({ path, on: isRuntime(target) ? target : "node" })),
  ];
}

/** Starts a broker for all files, unless there is one or can be none; resolves to its end. */
async function sharedBroker(): Promise<() => Promise<void>> {
  if (process.env["TIDINGS_TEST_KAFKA_BROKERS"] || await whyNoKafka()) return () => Promise.resolve();
  const kafka = await startKafka();
  Object.assign(process.env, environmentOfKafka(kafka));
  return () => kafka.close();
}

/** Starts a Keycloak for all files, unless there can be none; resolves to its end. */
async function sharedKeycloak(): Promise<() => Promise<void>> {
  if (await whyNoKeycloak()) return () => Promise.resolve();
  const keycloak = await startKeycloak();
  Object.assign(process.env, environmentOfKeycloak(keycloak.origin));
  return () => keycloak.close();
}

function say(lines: readonly string[]): void {
  for (const line of lines) console.log(line);
}
