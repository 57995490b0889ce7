// Fuzzing a hub of two processes over its public endpoints and those between edge and core: `node test/hostile/fuzz.ts
// [--requests N] [--seed N]`. Fails on a 5xx that is not a meant 503, on a request without an answer, on a process that ended, on
// memory that grew, on a subscription that was touched. The test runs a smaller one (fuzz.test.ts).

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { parseEdgeKey } from "../../shared/jwks.ts";
import type { EdgeKey } from "../../shared/jwks.ts";
import { createRandom } from "../chaos/random.ts";
import { echo } from "../support/answers.ts";
import { megabytes } from "../bench/system.ts";
import { openCallbackServer } from "../support/callback-server.ts";
import { createTestSessions } from "../support/core-caller.ts";
import { eventually } from "../support/eventually.ts";
import { openOwnHub } from "../support/hub.ts";
import type { OwnHub, Tier } from "../support/hub.ts";
import { published, statusOf, subscribed } from "../support/hub-client.ts";
import { RawClient } from "./raw-client.ts";
import { coreRequests, edgeRequests } from "./requests.ts";
import type { MakeRequest } from "./requests.ts";

export interface FuzzReport {
  readonly requests: number;
  /** How often each status came, 0 for none. */
  readonly statuses: Readonly<Record<Tier, ReadonlyMap<number, number>>>;
  /** What must not be, one line each; at most 20 are kept. */
  readonly failures: readonly string[];
  /** MB after each quarter. */
  readonly memory: Readonly<Record<Tier, readonly number[]>>;
}

const CONNECTIONS = 16;
const TIERS: readonly Tier[] = ["edge", "core"];
/** A fifth, or what heaps and caches of bytes may still take that are bounded but not yet full. */
const mostAfter = (before: number) => Math.max(before * 1.2, before + 48);

/** Opens a hub, fuzzes it, and says what came of it. */
export async function fuzz(
  { requests, seed }: { readonly requests: number; readonly seed: number },
): Promise<FuzzReport> {
  await using callbacks = await openCallbackServer();
  const settings = {
    TIDINGS_LOG_LEVEL: "error",
    // A heap that is small reaches its size early, and one that leaks ends the process.
    NODE_OPTIONS: "--max-old-space-size=96",
    MALLOC_ARENA_MAX: "2",
  };
  const hub = await openOwnHub({ settings });
  const statuses = { edge: new Map<number, number>(), core: new Map<number, number>() };
  const failures: string[] = [];
  const fail = (what: string) => void (failures.length < 20 && failures.push(what));
  try {
    // Somebody who has nothing to do with it, and must not notice.
    const bystander = callbacks.callback();
    await subscribed(hub, "bystander", bystander, { "hub.secret": "a secret of its own" });
    const before = await statusOf(hub, "bystander", bystander.url);

    const ground = groundOf(callbacks);
    const make = { edge: edgeRequests(ground), core: coreRequests(ground, await sessionOf(hub)) };
    const ports = { edge: Number(new URL(hub.base).port), core: Number(new URL(hub.coreUrl).port) };
    const random = createRandom(seed);
    const volley = async (count: number) => {
      await Promise.all(Array.from({ length: CONNECTIONS }, async (_, index) => {
        // Three of the public side to one of the other.
        const tier = index % 4 === 0 ? "core" : "edge";
        await send({
          make: make[tier],
          port: ports[tier],
          count: Math.ceil(count / CONNECTIONS),
          random: random.fork(),
        });
      }));
      async function send(of: { make: MakeRequest; port: number; count: number; random: typeof random }) {
        const tier = of.port === ports.core ? "core" : "edge";
        const client = new RawClient(of.port);
        for (let n = 0; n < of.count; n++) {
          const request = await of.make(of.random);
          const reply = await client.exchange(request);
          statuses[tier].set(reply.status, (statuses[tier].get(reply.status) ?? 0) + 1);
          const wrong = wrongWith(reply);
          if (wrong !== undefined) {
            fail(`${tier}: ${wrong}: ${JSON.stringify(request.bytes.toString("latin1").slice(0, 500))}`);
          }
        }
        client.close();
      }
    };
    // What is held of the newest messages, by bytes, is full before it counts; heaps and caches reach their size in the first half.
    for (let n = 0; n < 40; n++) await published(hub, "t", Buffer.alloc(500_000, "x"));
    const memory: Record<Tier, number>[] = [];
    for (let quarter = 0; quarter < 4; quarter++) {
      await volley(requests / 4);
      memory.push(await held(hub));
    }
    const warm = memory[1]!;
    let end = memory[3]!;
    // What a collector has not come to yet is no growth.
    await eventually("memory to settle", async () => {
      end = await held(hub);
      return TIERS.every((tier) => end[tier] <= mostAfter(warm[tier]));
    }, { deadlineMs: 10_000, everyMs: 500 }).catch(() => {});
    for (const tier of TIERS) {
      if (hub.pid(tier) === undefined) fail(`the ${tier} has ended:\n${hub.output()}`);
      if (end[tier] > mostAfter(warm[tier])) fail(`the ${tier} grew from ${warm[tier]} to ${end[tier]} MB`);
    }
    const errors = hub.output().split("\n").filter((line) => /"level":"(?:ERROR|FATAL)"/i.test(line));
    for (const line of errors) fail(`it logged ${line.slice(0, 500)}`);
    if (bystander.deliveries.length > 0) fail("the bystander got something");
    const after = await statusOf(hub, "bystander", bystander.url);
    // Without a backlog its cursor moves on with the log.
    if (JSON.stringify({ ...after, cursor: null }) !== JSON.stringify({ ...before, cursor: null })) {
      fail(`the bystander's status is ${JSON.stringify(after)}`);
    }
    await published(hub, "bystander", "still there");
    const [delivery] = await bystander.delivered(1, 30_000);
    if (delivery?.body.toString() !== "still there") fail("the bystander did not get its message");
    const trend = (tier: Tier) => [...memory.slice(0, 3), end].map((at) => at[tier]);
    return { requests, statuses, failures, memory: { edge: trend("edge"), core: trend("core") } };
  } finally {
    await hub.close();
  }
}

/** A session with the core as its own edge has one, so that requests come further than its door. */
async function sessionOf({ dataDir, coreUrl }: OwnHub) {
  return await createTestSessions({ key: await edgeKeyIn(dataDir) }).with(coreUrl, 10_000);
}

/** The key of a hub's edge. */
export async function edgeKeyIn(dataDir: string): Promise<EdgeKey> {
  return parseEdgeKey(await readFile(join(dataDir, "edge-key.json"), "utf8"));
}

function groundOf(callbacks: Awaited<ReturnType<typeof openCallbackServer>>) {
  const all = Array.from({ length: 24 }, (_, index) => {
    const callback = callbacks.callback({ path: `/fuzz/${index}` });
    if (index % 3 === 0) callback.onChallenge = echo({ alter: () => "no" });
    return callback.url;
  });
  // One where nobody listens.
  return {
    callbacks: [...all, "http://127.0.0.1:9/"],
    topics: ["t", "partner/EVENT", "http://127.0.0.1:9999/topic", "日本"],
  };
}

/** A 5xx that is not "later", a sentence that shows our insides, or no answer at all. */
function wrongWith({ status, headers, body }: { status: number; headers: string; body: string }): string | undefined {
  if (status === 0) return "no answer";
  if (status === 503 && !/^retry-after: *\d+$/im.test(headers)) return "503 without Retry-After";
  if (status >= 500 && status !== 503) return `${status} ${body.slice(0, 200)}`;
  if (/^x-injected|^set-cookie/im.test(headers)) return `a header was injected: ${headers}`;
  if (/\bat .+\.ts:\d+:\d+|node_modules|SQLITE_/.test(body)) return `it shows its insides: ${body.slice(0, 300)}`;
  return undefined;
}

async function held(hub: OwnHub): Promise<Record<Tier, number>> {
  const of = async (tier: Tier) => {
    const pid = hub.pid(tier);
    // Only Linux tells; elsewhere nothing is compared.
    return pid === undefined || process.platform !== "linux" ? 0 : (await megabytes(pid)).now;
  };
  return { edge: await of("edge"), core: await of("core") };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { requests: { type: "string", default: "50000" }, seed: { type: "string", default: "1" } },
  });
  const begun = performance.now();
  const { statuses, failures, memory } = await fuzz({ requests: Number(values.requests), seed: Number(values.seed) });
  for (const tier of TIERS) {
    const counts = [...statuses[tier]].toSorted(([a], [b]) => a - b).map(([status, count]) => `${status}: ${count}`);
    console.log(`${tier}: ${counts.join(", ")}; ${memory[tier].map((mb) => `${Math.round(mb)} MB`).join(" → ")}`);
  }
  console.log(`${values.requests} requests in ${Math.round((performance.now() - begun) / 1_000)} s`);
  for (const failure of failures) console.error(failure);
  process.exitCode = failures.length === 0 ? 0 : 1;
}
