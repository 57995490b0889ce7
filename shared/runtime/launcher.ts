// `npm start`: the two tiers as two processes, the core first. They live and end together.
import { type ChildProcess, fork } from "node:child_process";
import { NODE_ENVIRONMENT, NODE_FLAGS } from "./node-flags.ts";
import { complain, onStop } from "./process.ts";
import { runtime } from "./which.ts";

export interface Launch {
  readonly core: URL;
  readonly edge: URL;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Called once both can be used. */
  readonly ready: (urls: { readonly core: string; readonly edge: string }) => void;
}

/** How long a tier may take to end after SIGTERM, ms: more than it allows itself (tier.ts). */
const STOP_DEADLINE_MS = 17_000;

interface Ending {
  readonly code: number | null;
  readonly signal: string | null;
}

interface Tier {
  readonly name: "core" | "edge";
  readonly child: ChildProcess;
  readonly ready: Promise<{ readonly url: string }>;
  readonly ended: Promise<Ending>;
}

/** Runs both tiers until one ends or a stop is asked for; resolves to the exit code once both have ended. */
export async function launch({ core: coreScript, edge: edgeScript, environment, ready }: Launch): Promise<number> {
  const tiers: Tier[] = [];
  const stop = new Promise<"stop">((resolve) => {
    // Only the launcher's end is sure to kill them all: their IPC channels close with it, and a second signal is a hurry.
    onStop(() => resolve("stop"), () => tiers.forEach((tier) => tier.child.kill("SIGKILL")));
  });

  const urls = { core: "", edge: "" };
  for (const [name, script] of [["core", coreScript], ["edge", edgeScript]] as const) {
    const tier = startTier(name, script, environment);
    tiers.unshift(tier);
    const first = await Promise.race([tier.ready, anyEnd(tiers), stop]);
    if (first === "stop") return await stopAll(tiers);
    if ("name" in first) {
      // Exit code 1 before readiness: it has said why in its own sentence.
      if (first.name !== name || first.code !== 1) complain(`tidings: ${sentence(first)} during the start`);
      await stopAll(tiers);
      return 1;
    }
    urls[name] = first.url;
  }
  ready(urls);

  const first = await Promise.race([anyEnd(tiers), stop]);
  if (first === "stop") return await stopAll(tiers);
  const other = first.name === "core" ? "edge" : "core";
  complain(`tidings: ${sentence(first)}; stopping the ${other}`);
  await stopAll(tiers);
  return 1;
}

function startTier(
  name: "core" | "edge",
  script: URL,
  environment: Readonly<Record<string, string | undefined>>,
): Tier {
  const child = fork(script, {
    env: { ...NODE_ENVIRONMENT, ...environment },
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    ...(runtime() === "node" ? { execArgv: [...NODE_FLAGS] } : {}),
  });
  const ended = new Promise<Ending>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
    child.once("error", () => resolve({ code: null, signal: null }));
  });
  const ready = new Promise<{ url: string }>((resolve) => {
    child.on("message", (message) => {
      if (typeof message === "object" && message !== null && "ready" in message) {
        resolve({ url: String(message.ready) });
      }
    });
  });
  return { name, child, ready, ended };
}

function anyEnd(tiers: readonly Tier[]): Promise<Ending & { readonly name: string }> {
  return Promise.race(tiers.map(async ({ name, ended }) => ({ name, ...await ended })));
}

/** Stops the tiers one after the other, the edge first so that nothing it has accepted meets a core that is gone. */
async function stopAll(tiers: readonly Tier[]): Promise<number> {
  let code = 0;
  for (const { name, child, ended } of tiers) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_DEADLINE_MS);
    const ending = await ended;
    clearTimeout(timer);
    // SIGTERM itself ends a tier that has not come to answering it: it had nothing to stop yet.
    if (ending.code === 0 || ending.signal === "SIGTERM") continue;
    code = 1;
    if (ending.signal !== null) complain(`tidings: ${sentence({ name, ...ending })} while stopping`);
  }
  return code;
}

function sentence({ name, code, signal }: Ending & { readonly name: string }): string {
  if (signal !== null) return `the ${name} was ended by ${signal}`;
  return code === null ? `the ${name} could not be run` : `the ${name} ended with exit code ${code}`;
}
