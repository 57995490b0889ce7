// A driver of a third-party client in its own language: it takes commands on stdin and tells what happens on stdout, one JSON object a line.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";

export interface DriverEvent {
  readonly event: string;
  readonly [field: string]: unknown;
}

export interface Driver extends AsyncDisposable {
  /** All events so far, in order. */
  readonly events: readonly DriverEvent[];
  tell(command: Readonly<Record<string, string | readonly string[]>>): void;
  /** Waits for the first event of that kind and resolves to it; later ones after `skip` of them. */
  happens(event: string, skip?: number): Promise<DriverEvent>;
}

const DEADLINE_MS = 20_000;

/** A Python driver has packages (a directory for PYTHONPATH) that trust this authority (a PEM file). */
export function startPythonDriver(script: string, packages: string, ca: string): Promise<Driver> {
  const environment = { PYTHONPATH: packages, PYTHONDONTWRITEBYTECODE: "1", REQUESTS_CA_BUNDLE: ca };
  return startDriver("python3", script, environment);
}

/** Starts a script of this folder. Its arguments are a directory of its own and a free port. */
export async function startDriver(
  interpreter: string,
  script: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<Driver> {
  const directory = await mkdtemp(join(tmpdir(), "tidings-driver-"));
  const program = fileURLToPath(new URL(`./${script}`, import.meta.url));
  const child = spawn(interpreter, [program, directory, String(await freePort())], {
    stdio: "pipe",
    env: { ...process.env, ...environment },
  });
  const closed = once(child, "close");
  const events: DriverEvent[] = [];
  let [rest, errors] = ["", ""];
  child.stderr.setEncoding("utf8").on("data", (part: string) => void (errors += part));
  child.stdout.setEncoding("utf8").on("data", (part: string) => {
    const lines = (rest + part).split("\n");
    rest = lines.pop()!;
    for (const line of lines) events.push(JSON.parse(line) as DriverEvent);
  });
  const happens = (event: string, skip = 0) =>
    eventually(`the event ${event}`, () => events.filter((one) => one.event === event)[skip], {
      deadlineMs: DEADLINE_MS,
      seen: () => JSON.stringify(events) + errors,
    });
  const close = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    await closed;
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  };
  try {
    await happens("ready");
  } catch (error) {
    await close();
    throw error;
  }
  return {
    events,
    happens,
    tell: (command) => void child.stdin.write(`${JSON.stringify(command)}\n`),
    [Symbol.asyncDispose]: close,
  };
}
