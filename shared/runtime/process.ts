// This process: its runtime, arguments, environment and end. The only place that says `process`, for Node, Deno and Bun.
import { resolve } from "node:path";
import process from "node:process";

export const environment: Readonly<Record<string, string | undefined>> = process.env;

type Runtime = "node" | "deno" | "bun";

/** Which runtime this is: Deno and Bun have a global of their name, Node has neither. */
export function runtime(): Runtime {
  if ("Deno" in globalThis) return "deno";
  return "Bun" in globalThis ? "bun" : "node";
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

/** Says that this process can be used, at `url`: to its launcher if it has one, else on stdout. */
export function announceReady({ url, name }: { readonly url: string; readonly name: string }): void {
  if (isLaunched()) process.send?.({ ready: url });
  else say(`${name} ready at ${url}`);
}

type StopReason = "SIGINT" | "SIGTERM" | "SIGHUP" | "launcher gone";

/** Signals this close together are one request: on Ctrl-C the terminal sends one and npm forwards another. */
const ONE_REQUEST_MS = 1000;

/**
 * Calls `stop` once, at the first SIGINT, SIGTERM or SIGHUP, or when the launcher is gone; at a later signal calls `kill`,
 * which by default ends the process. A launched process leaves SIGINT and SIGHUP to its launcher: a terminal sends them to
 * both, and the launcher stops its tiers in order.
 */
export function onStop(stop: (reason: StopReason) => void, kill: () => void = () => process.exit(130)): void {
  let first: number | undefined;
  const request = (reason: StopReason): void => {
    if (first === undefined) {
      first = performance.now();
      stop(reason);
    } else if (reason !== "launcher gone" && performance.now() - first > ONE_REQUEST_MS) kill();
  };
  process.on("SIGTERM", () => request("SIGTERM"));
  for (const signal of ["SIGINT", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (!isLaunched()) request(signal);
    });
  }
  if (isLaunched()) process.on("disconnect", () => request("launcher gone"));
}

/** Calls `report` for what nobody caught, then ends the process with 1: it must never go on in an unknown state. */
export function onFatal(report: (error: unknown, origin: string) => void): void {
  const end = (origin: string) => (error: unknown): void => {
    try {
      report(error, origin);
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
