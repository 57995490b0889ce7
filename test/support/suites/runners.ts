// Runs test files: on Node all of them in one run with one summary; for another target each in a process of its own.
import os from "node:os";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";
import type { Runtime } from "../../../shared/runtime/which.ts";
import { type FileOutcome, runFile } from "./file-process.ts";
import type { Report, Skip } from "./junit.ts";
import type { Counts } from "./tally.ts";

/** What a run of files came to. */
export interface Outcome {
  readonly files: ReadonlyMap<string, Counts>;
  readonly passed: boolean;
  readonly skipped: readonly Skip[];
  /** What each file reported, if each ran in a process of its own. */
  readonly reports: readonly Report[];
}

/** How a file runs. */
export interface Job {
  readonly path: string;
  readonly on: Runtime;
}

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
/** A test file that runs longer has failed. */
const FILE_DEADLINE_MS = 240_000;
const concurrency = () => Math.max(2, Math.min(4, os.availableParallelism() - 1));

/** Runs files on Node and prints results and totals. `together`: in this process, one after the other, which is faster for small ones. */
export async function runOnNode(
  files: readonly string[],
  { together = false, signal }: { readonly together?: boolean; readonly signal: AbortSignal },
): Promise<Outcome> {
  const absolute = files.map((path) => `${ROOT}${path}`);
  const results = run(
    together
      ? { files: absolute, isolation: "none", signal }
      : { files: absolute, concurrency: concurrency(), timeout: FILE_DEADLINE_MS, signal },
  );
  let passed = true;
  const counts = new Map<string, Counts>();
  const skipped: Skip[] = [];
  results.on("test:fail", () => passed = false);
  results.on("test:pass", ({ skip, name }) => {
    if (skip !== undefined) skipped.push({ test: name, why: typeof skip === "string" ? skip : "" });
  });
  results.on("test:summary", ({ file, counts: { tests, passed, skipped, todo } }) => {
    if (file !== undefined) {
      counts.set(file.replace(ROOT, ""), { passed, failed: tests - passed - skipped - todo, skipped });
    }
  });
  for await (const line of results.compose(new spec())) process.stdout.write(line as string);
  if (!together) {
    // A file that could not be loaded has no summary.
    for (const path of files) if (!counts.has(path)) counts.set(path, { passed: 0, failed: 1, skipped: 0 });
  }
  const failed = [...counts.values()].some((file) => file.failed > 0);
  return { files: counts, passed: passed && !failed, skipped, reports: [] };
}

/** Runs each file in a process of its own, some at the same time. Prints a line for each, and all output of one that failed. */
export async function runApart(
  jobs: readonly Job[],
  { environment, signal }: { readonly environment: Readonly<Record<string, string>>; readonly signal: AbortSignal },
): Promise<Outcome> {
  const reports: Report[] = [];
  const files = new Map<string, Counts>();
  const skipped: Skip[] = [];
  const waiting = [...jobs];
  await Promise.all(Array.from({ length: concurrency() }, async () => {
    for (let job = waiting.shift(); job !== undefined && !signal.aborted; job = waiting.shift()) {
      const outcome = await runFile(job.path, { on: job.on, environment, deadlineMs: FILE_DEADLINE_MS, signal });
      files.set(job.path, countsOf(outcome));
      skipped.push(...outcome.skipped);
      reports.push(outcome);
      if (!signal.aborted) print(job, outcome);
    }
  }));
  const passed = files.size === jobs.length && [...files.values()].every(({ failed }) => failed === 0);
  return { files, passed, skipped, reports };
}

function countsOf({ passed, failed, skipped }: FileOutcome): Counts {
  return { passed: passed.length, failed: failed.length, skipped: skipped.length };
}

function print({ path, on }: Job, { passed, failed, skipped, output, seconds }: FileOutcome): void {
  const counts = [`${passed.length} passed`, `${failed.length} failed`, `${skipped.length} skipped`]
    .filter((text) => !text.startsWith("0 ")).join(", ");
  if (failed.length > 0) console.log(output);
  console.log(`${failed.length === 0 ? "✔" : "✖"} ${path} on ${on}: ${counts} (${seconds.toFixed(1)} s)`);
  for (const what of failed) console.log(`  ✖ ${what}`);
}
