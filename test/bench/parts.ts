// The bench's other processes: sinks stay; publishers and ceilings run, report and end.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { eventually } from "../support/eventually.ts";
import type { CeilingReport } from "./ceiling.ts";
import type { PublisherReport } from "./publisher.ts";
import type { SinkManner, SinkStats } from "./sink.ts";

export interface Sink extends AsyncDisposable {
  readonly port: number;
  readonly reset: () => Promise<void>;
  /** POSTs since the reset, to one group of callbacks or to all. */
  readonly count: (group?: string) => Promise<number>;
  readonly stats: (group?: string) => Promise<SinkStats>;
  /** When each group got its first POST after the reset, by clock.ts; 0 if it got none. */
  readonly firsts: () => Promise<Readonly<Record<string, number>>>;
  /** How a group answers POSTs from now on. */
  readonly behave: (group: string, manner: SinkManner) => Promise<void>;
  /** Waits until this many POSTs have come since the reset. @throws {Error} after the deadline, a minute */
  readonly received: (count: number, group?: string, deadlineMs?: number) => Promise<SinkStats>;
  /** Ends the sink: its port refuses connections. */
  readonly close: () => Promise<void>;
}

const BUN = fileURLToPath(new URL("../../node_modules/.bin/bun", import.meta.url));
const RUN_DEADLINE_MS = 60_000;

/** Starts a sink on a free port, or on the given one, which an earlier sink had. */
export async function openSink({ port: wanted = 0 }: { readonly port?: number } = {}): Promise<Sink> {
  const child = spawn(BUN, [script("sink.ts"), "--port", String(wanted)], { stdio: ["pipe", "pipe", "inherit"] });
  const [line] = await once(createInterface(child.stdout), "line") as [string];
  const port = Number(line.split(" ")[1]);
  const get = async (path: string) => await (await fetch(`http://127.0.0.1:${port}${path}`)).text();
  const of = (group: string | undefined) => group === undefined ? "" : `?group=${group}`;
  const count = async (group?: string) => Number(await get(`/count${of(group)}`));
  const stats = async (group?: string) => JSON.parse(await get(`/stats${of(group)}`)) as SinkStats;
  const close = async () => {
    if (child.exitCode !== null) return;
    child.stdin.end();
    await once(child, "exit");
  };
  return {
    port,
    count,
    stats,
    firsts: async () => JSON.parse(await get("/firsts")) as Record<string, number>,
    reset: async () => void await get("/reset"),
    behave: async (group, manner) => void await get(`/manner?group=${group}&as=${manner}`),
    async received(wanted, group, deadlineMs = RUN_DEADLINE_MS) {
      let seen = 0;
      await eventually(`${wanted} deliveries`, async () => (seen = await count(group)) >= wanted, {
        deadlineMs,
        everyMs: 20,
        seen: () => String(seen),
      });
      return await stats(group);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

export interface Publishing {
  readonly hub: string;
  readonly topic: string;
  /** The access token that the hub wants, if any. */
  readonly token?: string | undefined;
  readonly messages: number;
  readonly connections: number;
  readonly rate?: number;
  /** Default 1,024. */
  readonly bytes?: number;
}

/** Publishes messages. @throws {Error} if one was not answered 2xx */
export async function publish(publishing: Publishing, deadlineMs = RUN_DEADLINE_MS): Promise<PublisherReport> {
  const report = await offer(publishing, deadlineMs);
  if (report.failed > 0) throw new Error(`${report.failed} of ${publishing.messages} publishes were not accepted`);
  return report;
}

/** Publishes messages; the report counts refusals. */
export async function offer(publishing: Publishing, deadlineMs = RUN_DEADLINE_MS): Promise<PublisherReport> {
  return await run<PublisherReport>("publisher.ts", publishing, deadlineMs);
}

/** Sends the sink what a hub would send. */
export async function ceiling(sink: Sink, messages: number, connections: number): Promise<CeilingReport> {
  return await run<CeilingReport>("ceiling.ts", { sink: sink.port, messages, connections }, RUN_DEADLINE_MS);
}

async function run<T>(name: string, options: object, deadlineMs: number): Promise<T> {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const args = given.flatMap(([option, value]) => [`--${option}`, String(value)]);
  const child = spawn(process.execPath, [script(name), ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const late = setTimeout(() => child.kill("SIGKILL"), deadlineMs);
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => void (output += part));
  const [code, signal] = await once(child, "close") as [number | null, string | null];
  clearTimeout(late);
  if (code !== 0) throw new Error(`${name} ended with ${code ?? signal}`);
  return JSON.parse(output) as T;
}

function script(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}
