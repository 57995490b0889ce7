// A child process under test: its output and its end. It never outlives its test.
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { signal } from "../../../shared/runtime/process.ts";
import { eventually } from "../eventually.ts";

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

/** Runs a script on this runtime with only these settings; the rest of the environment stays. */
export function runChild(
  script: URL,
  { args = [], settings = {} }: { readonly args?: readonly string[]; readonly settings?: Record<string, string> } = {},
): Child {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("TIDINGS_"));
  const child = spawn(process.execPath, [fileURLToPath(script), ...args], {
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
    signal: (name) => signal(child, name),
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

/** Whether a process lives: signal 0 asks without sending anything. */
export function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
