// One tier's process, run as in production. A test can kill, stop, put to sleep and start it again on its port and data.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { tierCommand, tierEnvironment } from "../../../shared/runtime/tier-command.ts";
import type { Runtime } from "../../../shared/runtime/which.ts";
import { freePort } from "../free-port.ts";
import { executableOf } from "../runtimes.ts";
import { signalChild } from "./child.ts";
import { workerdAnswers, workerdCommand } from "./workerd.ts";

export type Tier = "core" | "edge";

/** What runs a tier under test; workerd runs edges only. */
export type TierRuntime = Runtime | "workerd";

/** What runs each tier; default what the environment says (`runtimeOf`). */
export type TierRuntimes = Readonly<Partial<Record<Tier, TierRuntime>>>;

export interface TierProcess {
  /** Its name in errors: `core`, `edge-2`. */
  readonly name: string;
  readonly tier: Tier;
  /** Its origin, `http://127.0.0.1:port`, which never changes. */
  readonly url: string;
  /** Where it answers its operator, `http://127.0.0.1:port`, which never changes; "" before the first start. */
  readonly operatingUrl: string;
  readonly runs: boolean;
  readonly pid: number | undefined;
  /** Starts it; resolves when it is ready. @throws {Error} with its output if it ends or is not ready in time */
  start(): Promise<void>;
  /** Asks it to stop, and resolves to its exit code; null if it does not run. */
  stop(): Promise<number | null>;
  /** Ends it with SIGKILL. */
  kill(): Promise<void>;
  /** Puts it to sleep (SIGSTOP); its connections stay open. */
  sleep(): void;
  /** Wakes it (SIGCONT). */
  wake(): void;
}

export interface TierOptions {
  /** Default the tier's name. */
  readonly name?: string;
  readonly url: string;
  /** Default what the environment says (`runtimeOf`). */
  readonly runtime?: TierRuntime | undefined;
  /** Settings, full names, TIDINGS_…. */
  readonly settings: Readonly<Record<string, string>>;
  /** Called with all its output. */
  readonly note: (text: string) => void;
  /** How long it may take to be ready; default 30 s. */
  readonly readyWithinMs?: number | undefined;
  /** The recent output of it and the others, for error messages. */
  readonly output: () => string;
}

/** What runs a tier under test: TIDINGS_TEST_CORE_RUNTIME and TIDINGS_TEST_EDGE_RUNTIME, default Node. */
export function runtimeOf(tier: Tier): TierRuntime {
  const name = process.env[`TIDINGS_TEST_${tier.toUpperCase()}_RUNTIME`] ?? "node";
  if (name === "node" || name === "deno" || name === "bun" || (name === "workerd" && tier === "edge")) return name;
  const allowed = tier === "edge" ? "node, deno, bun or workerd" : "node, deno or bun";
  throw new Error(`TIDINGS_TEST_${tier.toUpperCase()}_RUNTIME is "${name}": it must be ${allowed}`);
}
const READY_DEADLINE_MS = 30_000;
const STOP_DEADLINE_MS = 20_000;

/** A tier that does not run yet. */
export function createTierProcess(tier: Tier, options: TierOptions): TierProcess {
  const { name = tier, url, runtime = runtimeOf(tier), settings, note, output, readyWithinMs } = options;
  let running: ChildProcess | undefined;
  const operating = `TIDINGS_${tier.toUpperCase()}_OPERATING_LISTEN`;
  let operatingListen = settings[operating] ?? "";

  const end = async (signal: NodeJS.Signals) => running === undefined ? null : await endTier(running, signal);
  return {
    name,
    tier,
    url,
    get operatingUrl() {
      return operatingListen === "" ? "" : `http://${operatingListen}`;
    },
    get runs() {
      return running !== undefined;
    },
    get pid() {
      return running?.pid;
    },
    async start() {
      if (running !== undefined) throw new Error(`The ${name} runs already`);
      if (operatingListen === "") operatingListen = `127.0.0.1:${await freePort()}`;
      const all = { ...settings, [operating]: operatingListen };
      const child = running = runtime === "workerd" ? startWorkerd(all, note) : forkTier(tier, runtime, all, note);
      child.once("exit", () => running = undefined);
      const ready = runtime === "workerd" ? workerdAnswers(url, () => child.exitCode === null) : announcedReady(child);
      await readyTier(name, child, ready, output, readyWithinMs);
    },
    stop: () => end("SIGTERM"),
    kill: async () => void await end("SIGKILL"),
    sleep: () => running && signalChild(running, "SIGSTOP"),
    wake: () => running && signalChild(running, "SIGCONT"),
  };
}

/** Starts a tier's process; `note` gets its output. */
function forkTier(
  tier: Tier,
  on: Runtime,
  settings: Readonly<Record<string, string>>,
  note: (part: string) => void,
): ChildProcess {
  const [command, ...args] = tierCommand(tier, settings, { on, executable: executableOf(on) });
  const child = spawn(command, args, {
    env: tierEnvironment({ ...withoutSettings(process.env), ...settings }, on),
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (part: Buffer) => note(part.toString()));
  return child;
}

/** Starts an edge on workerd; `note` gets its output. */
function startWorkerd(settings: Readonly<Record<string, string>>, note: (part: string) => void): ChildProcess {
  const { command, args, directory } = workerdCommand(settings);
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (part: Buffer) => note(part.toString()));
  child.once("close", () => rmSync(directory, { recursive: true, force: true }));
  return child;
}

/** Sends a signal, waits for the end, and resolves to the exit code. */
async function endTier(child: ChildProcess, name: NodeJS.Signals): Promise<number | null> {
  const exited = once(child, "exit");
  signalChild(child, name);
  const late = setTimeout(() => signalChild(child, "SIGKILL"), STOP_DEADLINE_MS);
  const [code] = await exited as [number | null];
  clearTimeout(late);
  return code;
}

/** Resolves when the tier has said that it is ready. */
function announcedReady(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.on("message", (message) => {
      if (typeof message === "object" && "ready" in message) resolve();
    });
  });
}

/** Resolves when the tier is ready. @throws {Error} with its output if it ends first, or is not ready in time, default 30 s */
function readyTier(
  name: string,
  child: ChildProcess,
  ready: Promise<void>,
  output: () => string,
  withinMs: number = READY_DEADLINE_MS,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (what: string) => {
      signalChild(child, "SIGKILL");
      reject(new Error(`The ${name} ${what}; its output:\n${output()}`));
    };
    const late = setTimeout(() => fail(`was not ready within ${withinMs} ms`), withinMs);
    child.once("close", (code) => {
      clearTimeout(late);
      fail(`ended with ${code} before it was ready`);
    });
    ready.then(() => {
      clearTimeout(late);
      resolve();
    }, (error: Error) => {
      clearTimeout(late);
      fail(error.message);
    });
  });
}

function withoutSettings(environment: NodeJS.ProcessEnv): Record<string, string> {
  const kept = Object.entries(environment).filter(([name]) => !name.startsWith("TIDINGS_"));
  return Object.fromEntries(kept.map(([name, value]) => [name, value ?? ""]));
}
