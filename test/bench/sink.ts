// All subscribers of the bench in one process, on Bun because its server costs least: `bun test/bench/sink.ts [--port N]`. It
// prints its port. A GET with hub.challenge confirms; a POST counts for its group, which is the first part of the path.
// /count and /stats yield figures of ?group=G or of all; /firsts yields the time of each group's first POST;
// /manner?group=G&as=well|failing|hanging sets how a group answers; /reset sets all counts to zero.
import { parseArgs } from "node:util";
import type { Manner } from "../support/load/manner.ts";
import { clock, quantile, stampOf } from "./clock.ts";

declare const Bun: {
  argv: string[];
  serve(options: {
    hostname: string;
    port: number;
    idleTimeout: number;
    fetch: (request: Request) => Response | Promise<Response>;
  }): { readonly port: number };
};

export interface SinkStats {
  /** POSTs since the reset. */
  readonly count: number;
  /** When the last POST came, by clock.ts. */
  readonly lastAt: number;
  /** From publish to sink, ms. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** How a group answers: 200, 500 or never. */
export type SinkManner = Extract<Manner, "well" | "failing" | "hanging">;

interface Group {
  manner: SinkManner;
  count: number;
  firstAt: number;
  lastAt: number;
  latencies: number[];
}

const { values } = parseArgs({ args: Bun.argv.slice(2), options: { port: { type: "string", default: "0" } } });
const groups = new Map<string, Group>();

function groupOf(name: string): Group {
  let group = groups.get(name);
  if (group === undefined) groups.set(name, group = { manner: "well", count: 0, firstAt: 0, lastAt: 0, latencies: [] });
  return group;
}

function chosen(url: URL): Group[] {
  const name = url.searchParams.get("group");
  return name === null ? [...groups.values()] : [groupOf(name)];
}

function countOf(of: readonly Group[]): number {
  return of.reduce((sum, { count }) => sum + count, 0);
}

function statsOf(of: readonly Group[]): SinkStats {
  const sorted = of.flatMap(({ latencies }) => latencies).sort((a, b) => a - b);
  return {
    count: countOf(of),
    lastAt: Math.max(0, ...of.map(({ lastAt }) => lastAt)),
    p50: quantile(sorted, 0.5),
    p99: quantile(sorted, 0.99),
    max: quantile(sorted, 1),
  };
}

async function deliver(request: Request, group: Group): Promise<Response> {
  const receivedAt = clock();
  group.latencies.push(receivedAt - stampOf(await request.text()));
  if (group.count === 0) group.firstAt = receivedAt;
  group.lastAt = receivedAt;
  group.count++;
  if (group.manner === "hanging") return await new Promise<Response>(() => {});
  return new Response(null, { status: group.manner === "well" ? 200 : 500 });
}

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(values.port),
  idleTimeout: 0,
  fetch(request) {
    if (request.method === "POST") {
      const from = request.url.indexOf("/", "http://".length) + 1;
      return deliver(request, groupOf(request.url.slice(from, request.url.indexOf("/", from))));
    }
    const url = new URL(request.url);
    const challenge = url.searchParams.get("hub.challenge");
    if (challenge !== null) return new Response(challenge);
    if (url.pathname === "/count") return new Response(String(countOf(chosen(url))));
    if (url.pathname === "/stats") return Response.json(statsOf(chosen(url)));
    if (url.pathname === "/firsts") {
      return Response.json(Object.fromEntries([...groups].map(([name, { firstAt }]) => [name, firstAt])));
    }
    if (url.pathname === "/manner") {
      for (const group of chosen(url)) group.manner = url.searchParams.get("as") as SinkManner;
      return new Response(null);
    }
    if (url.pathname === "/reset") {
      for (const group of groups.values()) [group.count, group.firstAt, group.lastAt, group.latencies] = [0, 0, 0, []];
      return new Response(null);
    }
    return new Response(null, { status: 404 });
  },
});
console.log(`sink ${server.port}`);
// The sink ends when the process that started it closes its stdin.
process.stdin.on("end", () => process.exit(0)).resume();
