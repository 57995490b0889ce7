// A driver of a third-party client in Python: it takes commands on stdin and tells what happens on stdout, one JSON object a line.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";

export interface ReaderEvent {
  readonly event: string;
  readonly [field: string]: unknown;
}

export interface PythonReader extends AsyncDisposable {
  /** All events so far, in order. */
  readonly events: readonly ReaderEvent[];
  tell(command: Readonly<Record<string, string>>): void;
  /** Waits for the first event of that kind and resolves to it; later ones after `skip` of them. */
  happens(event: string, skip?: number): Promise<ReaderEvent>;
}

const DEADLINE_MS = 20_000;

/** Starts a driver of this folder with packages (a directory for PYTHONPATH) that trust this authority (a PEM file). */
export async function startPythonReader(script: string, packages: string, ca: string): Promise<PythonReader> {
  const directory = await mkdtemp(join(tmpdir(), "tidings-reader-"));
  const program = fileURLToPath(new URL(`./${script}`, import.meta.url));
  const child = spawn("python3", [program, directory, String(await freePort())], {
    stdio: "pipe",
    env: { ...process.env, PYTHONPATH: packages, PYTHONDONTWRITEBYTECODE: "1", REQUESTS_CA_BUNDLE: ca },
  });
  const closed = once(child, "close");
  const events: ReaderEvent[] = [];
  let [rest, errors] = ["", ""];
  child.stderr.setEncoding("utf8").on("data", (part: string) => void (errors += part));
  child.stdout.setEncoding("utf8").on("data", (part: string) => {
    const lines = (rest + part).split("\n");
    rest = lines.pop()!;
    for (const line of lines) events.push(JSON.parse(line) as ReaderEvent);
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
