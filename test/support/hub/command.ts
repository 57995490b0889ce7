// A command as a newcomer types it, in a process group of its own like a terminal's job.
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

export interface Command {
  readonly process: ChildProcess;
  readonly output: () => string;
  readonly errors: () => string;
  /** Its exit code; null if a signal ended it. */
  readonly ended: Promise<number | null>;
}

/** Runs it, by default in the repository's root, without this process's own settings. */
export function runCommand(
  command: string,
  args: readonly string[],
  settings: Readonly<Record<string, string>> = {},
  directory = ROOT,
): Command {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(?:TIDINGS_|npm_)/.test(name));
  const child = spawn(command, args, {
    cwd: directory,
    env: { ...Object.fromEntries(inherited), ...settings },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let [output, errors] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (part: string) => void (output += part));
  child.stderr.setEncoding("utf8").on("data", (part: string) => void (errors += part));
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  return { process: child, output: () => output, errors: () => errors, ended };
}

/** Signals all processes of a command's group, however npm and the shell nest them. */
export function signalCommand({ process: child }: Command, name: NodeJS.Signals): void {
  try {
    process.kill(-child.pid!, name);
  } catch {
    // It has ended already.
  }
}
