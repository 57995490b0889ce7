// This process on Node, Deno or Bun: its arguments, environment, output and end.
import { resolve } from "node:path";
import process from "node:process";
import type { Capabilities } from "../capabilities.ts";
import { CAPABILITIES } from "./capabilities.ts";
import { runtime } from "./which.ts";

type Environment = Readonly<Record<string, string | undefined>>;

const listsEnvironment = canList(process.env);

/** Where names cannot be listed, each is asked for by itself: an unknown setting is not noticed. */
export const environment: Environment = listsEnvironment
  ? process.env
  : new Proxy({}, { get: (_, name) => process.env[String(name)] });

/** Deno lists no names where it may read only some of them (`--allow-env=TIDINGS_*`). */
function canList(all: Environment): boolean {
  try {
    Object.keys(all);
    return true;
  } catch {
    return false;
  }
}

/** What the runtime of this process can do. */
export function capabilities(): Capabilities {
  const name = runtime();
  return { ...CAPABILITIES[name], version: process.versions[name] ?? "", listsEnvironment };
}

/** The arguments after the script's name. */
export function commandLine(): string[] {
  return process.argv.slice(2);
}

/** Writes a line for people to stdout. */
export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Writes a line for people to stderr. */
export function complain(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Ends this process now. */
export function exit(code: number): never {
  process.exit(code);
}

/** An absolute path, seen from where the process was started. */
export function absolutePath(path: string): string {
  return resolve(path);
}

/** Whether a launcher started this process and still holds the other end of its IPC channel. */
function isLaunched(): boolean {
  return process.connected === true;
}

/** Where a tier answers. */
export interface ReadyTier {
  readonly url: string;
  /** For operators; undefined: nowhere. */
  readonly operatingUrl: string | undefined;
}

/** Says that this process can be used: to its launcher if it has one, else on stdout. */
export function announceReady(name: string, tier: ReadyTier): void {
  if (isLaunched()) process.send?.({ ready: tier.url, operating: tier.operatingUrl });
  else say(readyLine(name, tier));
}

/** For people. */
export function readyLine(name: string, { url, operatingUrl }: ReadyTier): string {
  return `${name} ready at ${url}${operatingUrl === undefined ? "" : ` (for operators at ${operatingUrl})`}`;
}

type StopReason = "SIGINT" | "SIGTERM" | "SIGHUP" | "launcher" | "launcher gone";

/** Signals this close together are one request: on Ctrl-C the terminal sends one and npm forwards another. */
const ONE_REQUEST_MS = 1000;

/** A launcher asks a tier to stop by the first; a tier says by the second that it hears such messages now. */
export const STOP = { stop: true } as const;
const LISTENING = { listening: true } as const;

/**
 * Calls `stop` once, at the first SIGINT, SIGTERM or SIGHUP, or when the launcher says so or is gone; at a later signal calls
 * `kill`, which by default ends the process. A launched process leaves SIGINT and SIGHUP to its launcher: a terminal sends them
 * to both, and the launcher stops its tiers in order.
 */
export function onStop(stop: (reason: StopReason) => void, kill: () => void = () => process.exit(130)): void {
  let first: number | undefined;
  const request = (reason: StopReason): void => {
    if (first === undefined) {
      first = performance.now();
      stop(reason);
    } else if (!reason.startsWith("launcher") && performance.now() - first > ONE_REQUEST_MS) kill();
  };
  process.on("SIGTERM", () => request("SIGTERM"));
  for (const signal of ["SIGINT", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (!isLaunched()) request(signal);
    });
  }
  if (!isLaunched()) return;
  process.on("disconnect", () => request("launcher gone"));
  process.on("message", (message) => {
    if (typeof message === "object" && message !== null && "stop" in message) request("launcher");
  });
  process.send?.(LISTENING);
}

/** Calls `report` for what nobody caught, then ends the process with 1: it must never go on in an unknown state. */
export function onFatal(report: (error: unknown, origin: string) => void): void {
  const end = (origin: string) => (error: unknown): void => {
    try {
      if (error instanceof Error && error.name === "NotCapable") {
        complain(`tidings: Deno was not given a permission: ${error.message}`);
      } else report(error, origin);
    } finally {
      process.exit(1);
    }
  };
  process.on("uncaughtException", end("uncaught exception"));
  process.on("unhandledRejection", end("unhandled rejection"));
  // A reader of our output that has gone is no reason to end.
  process.stdout.on("error", () => {});
  process.stderr.on("error", () => {});
}
