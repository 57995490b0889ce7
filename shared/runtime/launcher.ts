// `npm start`: the two tiers as processes, the core first. They live and end together; of several cores, all but one may end.
import { type ChildProcess, spawn } from "node:child_process";
import { SettingsError } from "../settings/settings.ts";
import { capabilities, complain, onStop, type ReadyTier, STOP } from "./process.ts";
import { type Program, tierCommand, tierEnvironment, withheldNames } from "./tier-command.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export interface Launch {
  /** The environment of the edge, and of each core beside its own. */
  readonly environment: Environment;
  /** What each core has of its own; default one core with nothing. */
  readonly cores?: readonly Environment[];
  /** Called once all can be used. */
  readonly ready: (urls: { readonly cores: readonly string[]; readonly edge: string }) => void;
  /** Run instead of the tiers, for tests. */
  readonly scripts?: Readonly<Record<"core" | "edge", URL>>;
}

/** How long a tier may take to end once it is asked, ms: more than it allows itself (tier.ts). */
const STOP_DEADLINE_MS = 17_000;

interface Ending {
  readonly code: number | null;
  readonly signal: string | null;
  /** Why it could not be run at all. */
  readonly reason?: string;
}

interface Tier {
  /** `core`, or `core 0` and so on where there are several; `edge`. */
  readonly name: string;
  readonly child: ChildProcess;
  /** Asks it to stop: as soon as it listens, if it has only been started. */
  readonly askToStop: () => void;
  readonly ready: Promise<ReadyTier>;
  readonly ended: Promise<Ending>;
}

/** Runs all until the edge or the last core ends, or a stop is asked for; resolves to the exit code once all have ended. */
export async function launch(options: Launch): Promise<number> {
  const { environment, ready, scripts } = options;
  const own = options.cores ?? [{}];
  const tiers: Tier[] = [];
  reportWithheld(environment);
  const stop = new Promise<"stop">((resolve) => {
    // A second signal means that there is no time: the tiers are killed.
    onStop(() => resolve("stop"), () => tiers.forEach(({ child }) => child.kill("SIGKILL")));
  });

  const cores = own.map((extra, index) =>
    startTier(own.length === 1 ? "core" : `core ${index}`, "core", { ...environment, ...extra }, scripts?.core)
  );
  tiers.push(...cores);
  const coreUrls = await started(cores);
  if (typeof coreUrls === "number") return coreUrls;
  const edge = startTier("edge", "edge", environment, scripts?.edge);
  tiers.push(edge);
  const edgeUrls = await started([edge]);
  if (typeof edgeUrls === "number") return edgeUrls;
  ready({ cores: coreUrls, edge: edgeUrls[0]! });

  const running = [...tiers];
  for (;;) {
    const first = await Promise.race([anyEnd(running), stop]);
    if (first === "stop") return await stopAll(tiers);
    running.splice(running.indexOf(first.tier), 1);
    const coresLeft = running.filter((tier) => tier !== edge).length;
    if (first.tier !== edge && coresLeft > 0) {
      // The others take over its shards (A3.3).
      complain(`tidings: ${sentence(first)}; ${coresLeft === 1 ? "the other core goes" : "the other cores go"} on`);
      continue;
    }
    const rest = first.tier === edge ? (coresLeft === 1 ? "the core" : "the cores") : "the edge";
    complain(`tidings: ${sentence(first)}; stopping ${rest}`);
    await stopAll(tiers);
    return 1;
  }

  /** The URLs of these tiers once all are ready; an exit code if the start failed or was stopped. */
  async function started(waiting: readonly Tier[]): Promise<string[] | number> {
    const all = Promise.all(waiting.map((tier) => tier.ready));
    const first = await Promise.race([all, anyEnd(tiers), stop]);
    if (first === "stop") return await stopAll(tiers);
    if (Array.isArray(first)) return first.map(({ url }) => url);
    // A tier that ends with 1 before it is ready has said why itself.
    if (!waiting.includes(first.tier) || first.code !== 1) {
      complain(`tidings: ${sentence(first)}${first.reason === undefined ? " during the start" : ""}`);
    }
    await stopAll(tiers);
    return 1;
  }
}

export interface LaunchOne {
  readonly name: "core" | "edge";
  readonly environment: Environment;
  readonly ready: (tier: ReadyTier) => void;
}

/** Runs one tier alone until it ends or a stop is asked for; resolves to its exit code. @throws {SettingsError} */
export async function launchOne({ name, environment, ready }: LaunchOne): Promise<number> {
  assertWholeEnvironment();
  reportWithheld(environment);
  let kill = () => {};
  const stop = new Promise<"stop">((resolve) => onStop(() => resolve("stop"), () => kill()));
  const tier = startTier(name, name, environment);
  kill = () => void tier.child.kill("SIGKILL");
  void tier.ready.then(ready);
  const ending = await Promise.race([tier.ended, stop]);
  if (ending === "stop") return await stopTier(tier);
  // A tier that ends with 1 has said why itself.
  if (ending.code === null) complain(`tidings: ${sentence({ name, ...ending })}`);
  return ending.code ?? 1;
}

/** Runs a program without a life of its own to its end; resolves to its exit code. */
export async function runToEnd(program: Program, args: readonly string[], environment: Environment): Promise<number> {
  const [command, ...flags] = tierCommand(program, environment);
  const child = spawn(command, [...flags, ...args], {
    env: tierEnvironment(environment),
    stdio: ["ignore", "inherit", "inherit"],
  });
  const ending = await endOf(child);
  if (ending.code === null) complain(`tidings: ${sentence({ name: `program ${program}`, ...ending })}`);
  return ending.code ?? 1;
}

/** @throws {SettingsError} where this process cannot list the environment, which a launcher hands on */
export function assertWholeEnvironment(): void {
  if (capabilities().listsEnvironment) return;
  throw new SettingsError("A launcher hands the whole environment on, so Deno needs --allow-env, without names");
}

/** Says once which names of the environment the tiers do not get. */
function reportWithheld(environment: Environment): void {
  const names = withheldNames(environment);
  if (names.length > 0) complain(`tidings: Deno does not hand ${names.join(", ")} on to the hub's processes`);
}

function startTier(name: string, program: Program, environment: Environment, script?: URL): Tier {
  // Not `fork`, which gives the child every permission on Deno.
  const [command, ...args] = tierCommand(program, environment, { script });
  const child = spawn(command, args, {
    env: tierEnvironment(environment),
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const ended = endOf(child);
  let asked = false;
  const ask = () => {
    // Not by a signal: with named permissions Deno sends a child only one, and then no longer tells how it ended.
    if (child.connected) child.send(STOP, () => {});
  };
  const ready = new Promise<ReadyTier>((resolve) => {
    child.on("message", (message) => {
      if (asked) ask();
      if (typeof message === "object" && message !== null && "ready" in message) {
        const { ready: url, operating } = message as { readonly ready: string; readonly operating?: string };
        resolve({ url, operatingUrl: operating });
      }
    });
  });
  const askToStop = () => {
    asked = true;
    ask();
  };
  return { name, child, askToStop, ready, ended };
}

function endOf(child: ChildProcess): Promise<Ending> {
  return new Promise((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
    child.once("error", ({ message }) => resolve({ code: null, signal: null, reason: message }));
  });
}

type Ended = Ending & { readonly name: string; readonly tier: Tier };

function anyEnd(tiers: readonly Tier[]): Promise<Ended> {
  return Promise.race(tiers.map(async (tier) => ({ tier, name: tier.name, ...await tier.ended })));
}

/** Stops the edge first, so that what it has accepted finds a core; then the cores, all at once. */
async function stopAll(tiers: readonly Tier[]): Promise<number> {
  const edge = tiers.filter(({ name }) => name === "edge");
  const codes = await Promise.all(edge.map(stopTier));
  codes.push(...await Promise.all(tiers.filter((tier) => !edge.includes(tier)).map(stopTier)));
  return Math.max(0, ...codes);
}

async function stopTier({ name, child, askToStop, ended }: Tier): Promise<number> {
  if (child.exitCode !== null || child.signalCode !== null) return 0;
  askToStop();
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_DEADLINE_MS);
  const ending = await ended;
  clearTimeout(timer);
  // SIGTERM from elsewhere ends a tier that does not handle it yet: such a tier has nothing to stop.
  if (ending.code === 0 || ending.signal === "SIGTERM") return 0;
  if (ending.signal !== null) complain(`tidings: ${sentence({ name, ...ending })} while stopping`);
  return 1;
}

function sentence({ name, code, signal, reason }: Ending & { readonly name: string }): string {
  if (signal !== null) return `the ${name} was ended by ${signal}`;
  return code === null ? `the ${name} could not be run: ${reason}` : `the ${name} ended with exit code ${code}`;
}
