// One test file in a process of its own, under a runtime's own test command. What it started does not outlive it.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";
import { BUN_FLAGS } from "../../../shared/runtime/tier-command.ts";
import type { Runtime } from "../../../shared/runtime/which.ts";
import { pause } from "../eventually.ts";
import { executableOf } from "../runtimes.ts";
import { readReport, type Report } from "./junit.ts";

export interface FileOutcome extends Report {
  readonly output: string;
  readonly seconds: number;
}

export interface FileOptions {
  readonly on: Runtime;
  readonly environment: Readonly<Record<string, string>>;
  /** A file that runs longer has failed. */
  readonly deadlineMs: number;
  /** Ends it at once. */
  readonly signal: AbortSignal;
}

const BEFORE_ON_DENO = fileURLToPath(new URL("./uncaught-on-deno.ts", import.meta.url));
const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
/** For a test that names no time of its own: Bun gives it 5 s. */
const TEST_DEADLINE_MS = 120_000;
/** The processes of a file may end so long after it. */
const LEFT_BEHIND_MS = 5_000;

/** Runs a file and reads its report. What is wrong with the run itself is a failure beside those of its tests. */
export async function runFile(path: string, options: FileOptions): Promise<FileOutcome> {
  const directory = await mkdtemp(join(tmpdir(), "tidings-report-"));
  const begun = performance.now();
  try {
    const [file, notes] = [join(directory, "report.xml"), join(directory, "uncaught")];
    const environment = { ...options.environment, TIDINGS_TEST_UNCAUGHT: notes };
    const { output, code, late, left } = await run(commandOf(options.on, path, file), { ...options, environment });
    const report = readReport(await readFile(file, "utf8").catch(() => ""), path);
    const uncaught = await readFile(notes, "utf8").catch(() => "");
    const failed = [...report.failed];
    if (uncaught !== "") failed.push(`an exception was not caught: ${uncaught.trim()}`);
    if (late) failed.push(`the file ran longer than ${options.deadlineMs / 1_000} s`);
    else if (code !== 0 && failed.length === 0) failed.push(`the file ended with ${code}, and no test had failed`);
    if (left) failed.push("the file left a process behind");
    if (report.passed.length + failed.length + report.skipped.length === 0) failed.push("the file has no test");
    return { ...report, failed, output, seconds: (performance.now() - begun) / 1_000 };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function commandOf(on: Runtime, path: string, report: string): readonly [program: string, ...args: string[]] {
  const program = executableOf(on);
  switch (on) {
    case "node": {
      const forPeople = ["--test-reporter=spec", "--test-reporter-destination=stdout"];
      const forUs = ["--test-reporter=junit", `--test-reporter-destination=${report}`];
      return [program, "--test", "--test-isolation=none", ...forPeople, ...forUs, path];
    }
    case "deno":
      return [program, "test", "-A", "--no-check", `--preload=${BEFORE_ON_DENO}`, `--junit-path=${report}`, path];
    case "bun":
      return [
        program,
        ...BUN_FLAGS,
        "test",
        `--timeout=${TEST_DEADLINE_MS}`,
        "--reporter=junit",
        `--reporter-outfile=${report}`,
        isAbsolute(path) ? path : `./${path}`,
      ];
  }
}

interface Run {
  readonly output: string;
  /** null if a signal ended it. */
  readonly code: number | null;
  readonly late: boolean;
  /** Whether something that it started still ran after it. */
  readonly left: boolean;
}

async function run([program, ...args]: readonly [string, ...string[]], options: FileOptions): Promise<Run> {
  // Inside a test of Node's, this variable would take the reports away.
  const { NODE_TEST_CONTEXT: _, ...inherited } = process.env;
  // It leads a process group of its own, so that everything in it can be seen and ended.
  const child = spawn(program, args, {
    cwd: ROOT,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...inherited, ...options.environment, NO_COLOR: "1" },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (part: string) => void (output += part));
  }
  const closed = once(child, "close");
  let late = false;
  const end = () => void signalGroup(child, "SIGKILL");
  const deadline = setTimeout(() => {
    late = true;
    end();
  }, options.deadlineMs);
  options.signal.addEventListener("abort", end);
  try {
    const [code] = await once(child, "exit") as [number | null];
    const left = !await isGroupGone(child);
    end();
    await closed;
    return { output, code, late, left };
  } finally {
    clearTimeout(deadline);
    options.signal.removeEventListener("abort", end);
  }
}

/** Whether all processes of the group end in time. */
async function isGroupGone(child: ChildProcess): Promise<boolean> {
  const until = performance.now() + LEFT_BEHIND_MS;
  while (signalGroup(child, 0)) {
    if (performance.now() > until) return false;
    await pause(20);
  }
  return true;
}

/** Signals all processes of the child's group; false if there is none. */
function signalGroup({ pid }: ChildProcess, name: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-pid!, name);
    return true;
  } catch {
    return false;
  }
}
