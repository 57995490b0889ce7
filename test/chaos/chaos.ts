// `npm run chaos -- --trials N [--kafka [--cores N]] [--from N] [--seed N] [--append FILE] [--fresh N]`: kills, stops and restarts the
// hub's processes under load, and audits what came. It ends with 1 if a promise of ARCHITECTURE §6 was broken. With
// `--trials 0 --append FILE` it only adds up what is in the file. With `--checkpoint-ahead` the cores lose messages, and the
// audit must find that. The tiers run on what TIDINGS_TEST_CORE_RUNTIME and TIDINGS_TEST_EDGE_RUNTIME name, default Node.

import { execFileSync } from "node:child_process";
import { appendFile, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { describe, failed, total, type TrialLine } from "./report.ts";
import { versionsOf } from "../support/hub/pairings.ts";
import { runtimeOf } from "../support/hub/tier-process.ts";
import { runChaos, runtimeOfTiers } from "./run.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const { values } = parseArgs({
  options: {
    trials: { type: "string", default: "20" },
    from: { type: "string", default: "1" },
    seed: { type: "string", default: "0" },
    fresh: { type: "string", default: "25" },
    append: { type: "string" },
    kafka: { type: "boolean", default: false },
    cores: { type: "string", default: "1" },
    quiet: { type: "boolean", default: false },
    "checkpoint-ahead": { type: "boolean", default: false },
  },
});
const number = (name: "trials" | "from" | "seed" | "fresh" | "cores") => {
  const value = Number(values[name]);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`--${name} is not a whole number: ${values[name]}`);
  return value;
};

const stop = new AbortController();
// The running trial ends first. npm passes on a signal that the terminal has sent already, so a second one means the same.
process.on("SIGINT", () => stop.abort());
process.on("SIGTERM", () => stop.abort());
console.log(`Tiers on ${await versionsOf({ core: runtimeOf("core"), edge: runtimeOf("edge") })}\n`);
const begun = performance.now();
let lines = await runChaos({
  trials: number("trials"),
  from: number("from"),
  seed: number("seed"),
  fresh: Math.max(1, number("fresh")),
  kafka: values.kafka,
  cores: number("cores"),
  commit: commit(),
  checkpointAhead: values["checkpoint-ahead"],
  signal: stop.signal,
  onTrial: async (line, kept) => {
    if (!values.quiet || line.seen.length > 0) console.log(describe(line));
    for (const what of line.seen) console.log(`  BROKEN  ${what}`);
    if (kept !== undefined) console.log(`  its data, books and output are in ${kept}`);
    if (values.append !== undefined) await appendFile(values.append, `${JSON.stringify(line)}\n`);
  },
});
console.log(`\n${lines.length} trials in ${((performance.now() - begun) / 1_000).toFixed(0)} s\n`);
if (values.append !== undefined) {
  const [log, runtime] = [values.kafka ? "kafka" : "embedded", runtimeOfTiers()];
  const all = (await readFile(values.append, "utf8")).split("\n").filter((line) => line !== "");
  lines = all.map((line) => JSON.parse(line) as TrialLine)
    .filter((line) =>
      line.log === log && (line.cores ?? 1) === number("cores") && (line.runtime ?? "node") === runtime
    );
}
for (const line of total(lines)) console.log(line);
process.exitCode = failed(lines).length === 0 ? 0 : 1;

function commit(): string {
  const git = (...args: string[]) => execFileSync("git", args, { cwd: ROOT, encoding: "utf8" }).trim();
  try {
    const changed = git("status", "--porcelain", "--", "edge", "core", "shared") !== "";
    return `${git("rev-parse", "--short=10", "HEAD")}${changed ? "+" : ""}`;
  } catch {
    return "unknown";
  }
}
