// All tests: `node test/run.ts [path…]`. The portable ones run by Deno and Bun first, then all by Node, whose summary comes
// last. One Kafka broker serves them all (test/support/kafka/kafka.ts); with REQUIRE_KAFKA=1 a test skipped for want of it fails.
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
/** A file that takes longer hangs. */
const FILE_DEADLINE_MS = 240_000;
/** What takes long begins first, so that nothing long is left for the end. */
const LONG = ["test/conformance/", "test/scenario/", "test/core/log/", "test/simulation/"];
/** What a portable test may import of Node, and nothing that does runs on Node alone. */
const PORTABLE = /^node:(?:test|assert|assert\/strict|crypto|buffer|path|url|fs|fs\/promises|util|events)$/;
const NOT_PORTABLE =
  /^(?:undici|kafkajs|@libsql\/client|drizzle-orm|@hono\/node-server|oxc-parser|pubsubhubbub)(?:\/|$)/;

const tree = await readTree();
const wanted = process.argv.slice(2).map((path) => path.replace(/^\.\//, ""));
const files = [...tree.keys()]
  .filter((path) => path.startsWith("test/") && path.endsWith(".test.ts"))
  .filter((path) => wanted.length === 0 || wanted.some((start) => path.startsWith(start)))
  .toSorted((a, b) => rank(a) - rank(b) || a.localeCompare(b));
if (files.length === 0) throw new Error(`No tests at ${wanted.join(", ")}`);

const kafka = files.some((path) => closure(tree, path).files.includes(KAFKA)) ? await sharedBroker() : undefined;
try {
  const portable = files.filter((path) => isPortable(tree, path));
  const onOthers = await runPortable(portable);
  const onNode = await runNode(files);
  process.exitCode = onOthers && onNode ? 0 : 1;
} finally {
  await kafka?.close();
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
  let passed = true;
  let kafkaSkipped = 0;
  const concurrency = Math.max(2, Math.min(4, os.availableParallelism() - 1));
  const stream = run({ files: files.map((path) => `${ROOT}${path}`), concurrency, timeout: FILE_DEADLINE_MS });
  stream.on("test:fail", () => passed = false);
  stream.on("test:pass", ({ skip, name }) => {
    if (skip !== undefined && /kafka|java|maven/i.test(`${name} ${skip}`)) kafkaSkipped++;
  });
  const lines = stream.compose(new spec());
  for await (const line of lines) process.stdout.write(line as string);
  if (kafkaSkipped > 0 && process.env["REQUIRE_KAFKA"] === "1") {
    console.error(`${kafkaSkipped} Kafka tests were skipped, and REQUIRE_KAFKA=1`);
    return false;
  }
  return passed;
}

function isPortable(tree: Tree, path: string): boolean {
  const { externals } = closure(tree, path);
  return externals.every((name) => name.startsWith("node:") ? PORTABLE.test(name) : !NOT_PORTABLE.test(name));
}

function rank(path: string): number {
  const at = LONG.findIndex((start) => path.startsWith(start));
  return at < 0 ? LONG.length : at;
}
