// A hub of our own under test: the two processes of `npm start` on free ports in a temporary directory, with short times. A test
// may kill one tier and start it again on the same port and data.

import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { NODE_ENVIRONMENT, NODE_FLAGS } from "../../../shared/runtime/node-flags.ts";

/** A hub that tests can call: ours, or any other by its URL. */
export interface HubUnderTest {
  /** The hub's URL, as publishers and subscribers know it. */
  readonly url: string;
  /** Where the hub's other paths begin, without a slash at the end. */
  readonly base: string;
  /** Whether it is one of ours: then WIRE.md and our settings hold, not only the specification. */
  readonly ours: boolean;
  /** Its recent output, for error messages. */
  output(): string;
  close(): Promise<void>;
}

export type Tier = "core" | "edge";

export interface OwnHub extends HubUnderTest {
  readonly dataDir: string;
  /** Where the core answers its edges and its operator. */
  readonly coreUrl: string;
  /** Ends a tier with SIGKILL. */
  kill(tier: Tier): Promise<void>;
  /** Starts a tier that has ended; resolves when it is ready. */
  start(tier: Tier): Promise<void>;
  /** Asks a tier to stop, and resolves to its exit code. */
  stop(tier: Tier): Promise<number | null>;
  /** The process id of a running tier. */
  pid(tier: Tier): number | undefined;
}

export interface OwnHubOptions {
  /** Whether the settings give both tiers certificates. */
  readonly tls?: boolean;
  /** Called with all output of both tiers, part by part. */
  readonly onOutput?: (text: string) => void;
  /** Settings that are added or replaced, by full name (TIDINGS_…). */
  readonly settings?: Readonly<Record<string, string>>;
  /** Default a temporary directory, which is removed at the end. */
  readonly dataDir?: string;
  /** How long each tier may take to be ready; default 30 s. */
  readonly readyWithinMs?: number;
}

/** Short times, so that tests of retries, parking and leases end within seconds. */
export const SHORT_TIMES = {
  TIDINGS_LEASE_MIN: "1",
  TIDINGS_RETRY_MIN: "50ms",
  TIDINGS_RETRY_MAX: "500ms",
  TIDINGS_PARK_AFTER: "3s",
  TIDINGS_PROBE_INTERVAL: "1s",
  TIDINGS_DELIVERY_TIMEOUT: "2s",
  TIDINGS_LOG_LEVEL: "warning",
} as const;

const MAIN: Record<Tier, string> = {
  core: fileURLToPath(new URL("../../../core/main.ts", import.meta.url)),
  edge: fileURLToPath(new URL("../../../edge/main.ts", import.meta.url)),
};
const LOWEST_PORT = 12_000;
const PORTS = 20_000;
const READY_DEADLINE_MS = 30_000;
const STOP_DEADLINE_MS = 20_000;

/** Starts a hub of our own. @throws {Error} with the tier's output if it ends or is not ready in 30 s */
export async function openOwnHub(options: OwnHubOptions = {}): Promise<OwnHub> {
  const dataDir = options.dataDir ?? await mkdtemp(join(tmpdir(), "tidings-test-"));
  const [edgePort, corePort] = [await freePort(), await freePort()];
  const scheme = options.tls === true ? "https" : "http";
  const base = `${scheme}://127.0.0.1:${edgePort}`;
  const coreUrl = `${scheme}://127.0.0.1:${corePort}`;
  const environment = {
    ...SHORT_TIMES,
    TIDINGS_EDGE_LISTEN: `127.0.0.1:${edgePort}`,
    TIDINGS_CORE_LISTEN: `127.0.0.1:${corePort}`,
    TIDINGS_CORE_URL: coreUrl,
    TIDINGS_HUB_URL: `${base}/hub`,
    TIDINGS_DATA_DIR: dataDir,
    ...options.settings,
  };
  const tiers = new Map<Tier, ChildProcess>();
  let output = "";

  const start = async (tier: Tier) => {
    if (tiers.has(tier)) throw new Error(`The ${tier} runs already`);
    const note = (part: string) => {
      output = (output + part).slice(-20_000);
      options.onOutput?.(part);
    };
    const child = forkTier(tier, environment, note);
    tiers.set(tier, child);
    child.once("exit", () => tiers.delete(tier));
    await readyTier(tier, child, () => output, options.readyWithinMs);
  };
  const end = async (tier: Tier, signal: NodeJS.Signals) => {
    const child = tiers.get(tier);
    return child === undefined ? null : await endTier(child, signal);
  };
  const close = async () => {
    await end("edge", "SIGTERM");
    await end("core", "SIGTERM");
    if (options.dataDir === undefined) await rm(dataDir, { recursive: true, force: true, maxRetries: 3 });
  };

  try {
    await start("core");
    await start("edge");
  } catch (error) {
    await close();
    throw error;
  }
  return {
    url: environment.TIDINGS_HUB_URL,
    base,
    ours: true,
    dataDir,
    coreUrl,
    output: () => output,
    kill: async (tier) => void await end(tier, "SIGKILL"),
    start,
    stop: (tier) => end(tier, "SIGTERM"),
    pid: (tier) => tiers.get(tier)?.pid,
    close,
  };
}

/** Any running hub, by its URL; closing it does not stop it. */
export function foreignHub(url: string): HubUnderTest {
  return { url, base: new URL(url).origin, ours: false, output: () => "", close: () => Promise.resolve() };
}

/** Starts a tier's process; `note` gets its output. */
export function forkTier(
  tier: Tier,
  settings: Readonly<Record<string, string>>,
  note: (part: string) => void,
): ChildProcess {
  const child = fork(MAIN[tier], {
    env: { ...NODE_ENVIRONMENT, ...withoutSettings(process.env), ...settings },
    execArgv: [...NODE_FLAGS],
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (part: Buffer) => note(part.toString()));
  return child;
}

/** Sends a signal, waits for the end, and resolves to the exit code. */
export async function endTier(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  const exited = once(child, "exit");
  child.kill(signal);
  const late = setTimeout(() => child.kill("SIGKILL"), STOP_DEADLINE_MS);
  const [code] = await exited as [number | null];
  clearTimeout(late);
  return code;
}

/** Resolves when the tier is ready. @throws {Error} with its output if it ends first, or is not ready in time, default 30 s */
export function readyTier(
  tier: string,
  child: ChildProcess,
  output: () => string,
  withinMs: number = READY_DEADLINE_MS,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (what: string) => {
      child.kill("SIGKILL");
      reject(new Error(`The ${tier} ${what}; its output:\n${output()}`));
    };
    const late = setTimeout(() => fail(`was not ready within ${withinMs} ms`), withinMs);
    child.once("close", (code) => {
      clearTimeout(late);
      fail(`ended with ${code} before it was ready`);
    });
    child.on("message", (message) => {
      if (typeof message !== "object" || !("ready" in message)) return;
      clearTimeout(late);
      resolve();
    });
  });
}

/**
 * A port that was free a moment ago. It is below the ports that the kernel gives to outgoing connections: such a connection
 * could take a port before a tier binds it, or while the tier is down.
 */
export async function freePort(): Promise<number> {
  while (true) {
    const port = LOWEST_PORT + Math.floor(Math.random() * PORTS);
    const server = createServer();
    server.listen(port, "127.0.0.1");
    try {
      await once(server, "listening");
    } catch {
      continue;
    }
    server.close();
    await once(server, "close");
    return port;
  }
}

function withoutSettings(environment: NodeJS.ProcessEnv): Record<string, string> {
  const kept = Object.entries(environment).filter(([name]) => !name.startsWith("TIDINGS_"));
  return Object.fromEntries(kept.map(([name, value]) => [name, value ?? ""]));
}
