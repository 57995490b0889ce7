// All tests: `node test/run.ts [path…]`. Deno and Bun run the portable ones first, then Node runs all; its summary comes last.
// One Kafka broker serves them all (test/support/kafka/kafka.ts). With REQUIRE_KAFKA=1 a skipped Kafka test is a failure.
// While working: `node test/run.ts --check` runs the rules on the tree and the portable tests, on Node alone.
import { spawn } from "node:child_process";
import { once } from "node:events";
import os from "node:os";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";
import { closure, readTree, type Tree } from "./support/architecture.ts";
import { environmentOf, startKafka, whyNoKafka } from "./support/kafka/kafka.ts";
import type { Kafka } from "./support/kafka/node.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const KAFKA = "test/support/kafka/kafka.ts";
/** A test file that runs longer has failed. */
const FILE_DEADLINE_MS = 240_000;
/** Long files start first, so that the run does not end with one of them alone. */
const LONG = ["test/conformance/", "test/scenario/", "test/core/log/", "test/simulation/"];
/** A portable test imports these modules of Node only, and no package that needs Node; it opens no socket and starts no process. */
const PORTABLE = /^node:(?:test|assert|assert\/strict|crypto|buffer|path|url|fs|fs\/promises|util|events)$/;
const NOT_PORTABLE =
  /^(?:undici|kafkajs|@libsql\/client|drizzle-orm|@hono\/node-server|oxc-parser|pubsubhubbub)(?:\/|$)/;

/** The tests of rules on the whole tree. */
const ON_THE_TREE = /^test\/[^/]+\.test\.ts$/;

const tree = await readTree();
const check = process.argv[2] === "--check";
const wanted = process.argv.slice(check ? 3 : 2).map((path) => path.replace(/^\.\//, ""));
const files = [...tree.keys()]
  .filter((path) => path.startsWith("test/") && path.endsWith(".test.ts"))
  .filter((path) => wanted.length === 0 || wanted.some((start) => path.startsWith(start)))
  .filter((path) => !check || ON_THE_TREE.test(path) || isPortable(tree, path))
  .toSorted((a, b) => rank(a) - rank(b) || a.localeCompare(b));
if (files.length === 0) throw new Error(`No ${check ? "portable " : ""}tests at ${wanted.join(", ")}`);

process.exitCode = await (check ? runTogether(files) : runEverywhere(files)) ? 0 : 1;

/** Runs files in this process, one after the other: starting a process for each would take most of the time. */
async function runTogether(files: readonly string[]): Promise<boolean> {
  return await report(run({ files: absolute(files), isolation: "none" }));
}

async function runEverywhere(files: readonly string[]): Promise<boolean> {
  const kafka = files.some((path) => closure(tree, path).files.includes(KAFKA)) ? await sharedBroker() : undefined;
  try {
    const onOthers = await runPortable(files.filter((path) => isPortable(tree, path)));
    const onNode = await runNode(files);
    return onOthers && onNode;
  } finally {
    await kafka?.close();
  }
}

async function sharedBroker(): Promise<Kafka | undefined> {
  if (process.env["TIDINGS_TEST_KAFKA_BROKERS"]) return undefined;
  if (await whyNoKafka()) return undefined;
  const kafka = await startKafka();
  Object.assign(process.env, environmentOf(kafka));
  return kafka;
}

async function runPortable(portable: readonly string[]): Promise<boolean> {
  if (portable.length === 0) return true;
  console.log(`${portable.length} portable test files on Deno and Bun`);
  const deno = await runQuietly("deno", ["test", "-A", "--no-check", ...portable]);
  const bun = await runQuietly("bun", ["test", ...portable.map((path) => `./${path}`)]);
  return deno && bun;
}

/** Runs a runtime's own test command; its output is shown only if it fails, else the totals. */
async function runQuietly(command: string, args: readonly string[]): Promise<boolean> {
  const child = spawn(command, args, {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NO_COLOR: "1" },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (part: string) => void (output += part));
  }
  const [code] = await once(child, "close") as [number | null];
  if (code !== 0) console.log(output);
  const totals = output.split("\n").filter((line) => /^\s*\d+ (?:pass|fail)$|\d+ passed/.test(line));
  console.log(`${command}: ${totals.map((line) => line.trim()).join(", ")} (exit code ${code})`);
  return code === 0;
}

async function runNode(files: readonly string[]): Promise<boolean> {
  const concurrency = Math.max(2, Math.min(4, os.availableParallelism() - 1));
  return await report(run({ files: absolute(files), concurrency, timeout: FILE_DEADLINE_MS }));
}

/** Prints results and totals. Resolves to whether all passed, and with REQUIRE_KAFKA=1 whether no Kafka test was skipped. */
async function report(results: ReturnType<typeof run>): Promise<boolean> {
  let passed = true;
  let kafkaSkipped = 0;
  results.on("test:fail", () => passed = false);
  results.on("test:pass", ({ skip, name }) => {
    if (skip !== undefined && /kafka|java|maven/i.test(`${name} ${skip}`)) kafkaSkipped++;
  });
  for await (const line of results.compose(new spec())) process.stdout.write(line as string);
  if (kafkaSkipped > 0 && process.env["REQUIRE_KAFKA"] === "1") {
    console.error(`${kafkaSkipped} Kafka tests were skipped, and REQUIRE_KAFKA=1`);
    return false;
  }
  return passed;
}

function absolute(files: readonly string[]): string[] {
  return files.map((path) => `${ROOT}${path}`);
}

function isPortable(tree: Tree, path: string): boolean {
  const { externals } = closure(tree, path);
  return externals.every((name) => name.startsWith("node:") ? PORTABLE.test(name) : !NOT_PORTABLE.test(name));
}

function rank(path: string): number {
  const at = LONG.findIndex((start) => path.startsWith(start));
  return at < 0 ? LONG.length : at;
}
