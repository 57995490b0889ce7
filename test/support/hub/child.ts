// A child process under test: its output and its end. It never outlives its test.
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { BUN_FLAGS } from "../../../shared/runtime/tier-command.ts";
import { type Runtime, runtime } from "../../../shared/runtime/which.ts";
import { eventually } from "../eventually.ts";
import { launcherCommand } from "./launcher-command.ts";

export interface Child extends AsyncDisposable {
  readonly process: ChildProcess;
  readonly signal: (name: NodeJS.Signals) => void;
  /** Everything that it has written so far. */
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** Waits for a match in stdout and returns it; default 10 s. */
  readonly says: (pattern: RegExp, deadlineMs?: number) => Promise<RegExpMatchArray>;
  /** Resolves when it has ended and its whole output was read. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null }>;
}

export interface ChildOptions {
  readonly args?: readonly string[];
  readonly settings?: Record<string, string>;
  /** Run as a launcher on this runtime; default as a plain script on the one of the test. */
  readonly launcherOn?: Runtime | undefined;
}

/** Runs a script with only these settings; the rest of the environment stays. */
export function runChild(script: URL, { args = [], settings = {}, launcherOn }: ChildOptions = {}): Child {
  const path = fileURLToPath(script);
  const [command, ...flags] = launcherOn === undefined ? ownCommand(path) : launcherCommand(launcherOn, path);
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("TIDINGS_"));
  const child = spawn(command, [...flags, ...args], {
    env: { ...Object.fromEntries(inherited), ...settings },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (part: string) => void (stdout += part));
  child.stderr.setEncoding("utf8").on("data", (part: string) => void (stderr += part));
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
  return {
    process: child,
    signal: (name) => signalChild(child, name),
    stdout: () => stdout,
    stderr: () => stderr,
    says: (pattern, deadlineMs = 10_000) =>
      eventually(String(pattern), () => stdout.match(pattern), { deadlineMs, seen: () => stdout + stderr }),
    ended,
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await ended;
    },
  };
}

/** A script on the runtime of this test, with the flags that the hub's servers need there. */
function ownCommand(path: string): [command: string, ...args: string[]] {
  return [process.execPath, ...(runtime() === "bun" ? BUN_FLAGS : []), path];
}

/** Whether a process lives: signal 0 asks without sending anything. */
export function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Signals a child by its id. Deno takes a child that it signalled through its handle for killed by that signal. */
export function signalChild(child: { readonly pid?: number | undefined }, name: NodeJS.Signals): void {
  try {
    if (child.pid !== undefined) process.kill(child.pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
