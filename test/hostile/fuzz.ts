// Fuzzes a hub of two processes over its public endpoints and those between edge and core, with valid, stale and forged
// credentials: `node test/hostile/fuzz.ts [--requests N] [--seed N]`. It fails on a 5xx that is not an intended 503, on a request
// without an answer, on one that got in without a right, on a process that ended, on memory that grew, and on a subscription
// that was changed. fuzz.test.ts runs a smaller one.

import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { parseEdgeKey } from "../../shared/jwks.ts";
import type { EdgeKey } from "../../shared/jwks.ts";
import { Random } from "../support/load/random.ts";
import { megabytes } from "../support/process-usage.ts";
import { answer, echo } from "../support/servers/answers.ts";
import { openCallbackServer } from "../support/servers/callback-server.ts";
import { eventually } from "../support/eventually.ts";
import { call } from "../support/servers/http.ts";
import { openOwnHub } from "../support/hub/hub.ts";
import type { OwnHub } from "../support/hub/hub.ts";
import { runtimeOf, type Tier, type TierRuntime } from "../support/hub/tier-process.ts";
import { publish } from "../support/hub/hub-client.ts";
import { openIssuer } from "../support/servers/issuer.ts";
import { openBystander } from "./bystander.ts";
import { coreRequests } from "./core-requests.ts";
import type { Credential, FuzzRequest, MakeRequest } from "./drafts.ts";
import { edgeRequests } from "./edge-requests.ts";
import { RawClient } from "./raw-client.ts";
import type { RawReply } from "./raw-client.ts";
import { makeTokens } from "./tokens.ts";

/** How often each status came; status 0 is no answer. */
type Statuses = Map<number, number>;

export interface FuzzReport {
  /** Counts of statuses, by tier, endpoint and credential, the warm-up's too. */
  readonly statuses: Readonly<Record<Tier, ReadonlyMap<string, ReadonlyMap<Credential, ReadonlyMap<number, number>>>>>;
  /** How many streams of events were opened, the warm-up's too. */
  readonly streams: Readonly<Record<Tier, number>>;
  /** The failures, one line each; at most 20 are kept. */
  readonly failures: readonly string[];
  /** Resident memory, MB: after the warm-up, and after the requests. */
  readonly memory: Readonly<Record<Tier, { readonly before: number; readonly after: number }>>;
}

const CONNECTIONS = 16;
const TIERS: readonly Tier[] = ["edge", "core"];
/** How many streams stay open while new ones open. */
const MOST_STREAMS = 32;
const MOST_CURSORS = 100;
/** Heaps and bounded caches reach their size. */
const WARM_UP = 20_000;
const MOST_GROWTH = 1.2;
const MESSAGE_MAX_BYTES = 1_000_000;
/**
 * How long a stream may stay open when its reader has left. Bun notices that when it writes again, at the edge and then at the core. workerd takes an end that is not a reset for half a farewell, and notices
 * it when it writes again: with the second of the core's heartbeats, which come every 15 s.
 */
const LEFT_WITHIN_MS: Readonly<Record<TierRuntime, number>> = {
  node: 10_000,
  deno: 10_000,
  bun: 35_000,
  workerd: 35_000,
};

/** Opens a hub, fuzzes it, and reports what happened. */
export async function fuzz(
  { requests, seed, warmUp = WARM_UP }: {
    readonly requests: number;
    readonly seed: number;
    /** Requests before memory counts. */
    readonly warmUp?: number;
  },
): Promise<FuzzReport> {
  await using callbacks = await openCallbackServer();
  const issuer = await openIssuer();
  const hub = await openOwnHub({
    settings: {
      TIDINGS_ACCESS: "token",
      TIDINGS_ISSUER: issuer.url,
      TIDINGS_AUDIENCE: "hub",
      TIDINGS_INTROSPECTION_URL: `${issuer.url}/introspect`,
      TIDINGS_INTROSPECTION_CLIENT_ID: "hub",
      TIDINGS_INTROSPECTION_CLIENT_SECRET: "s",
      TIDINGS_OUTBOUND_ALLOW: "127.0.0.0/8",
      TIDINGS_LOG_LEVEL: "error",
      // A small heap reaches its size early, and a leak ends the process.
      NODE_OPTIONS: "--max-old-space-size=96",
      MALLOC_ARENA_MAX: "2",
    },
  });
  const statuses = { edge: new Map<string, Map<Credential, Statuses>>(), core: new Map() };
  const streams = { edge: 0, core: 0 };
  const failures: string[] = [];
  const fail = (what: string) => void (failures.length < 20 && failures.push(what));
  const open: Socket[] = [];
  try {
    const token = await makeTokens(issuer);
    const all = {
      sub: "bystander",
      scope: "websub:publish websub:subscribe",
      exp: Math.floor(Date.now() / 1_000) + 86_400,
    };
    const headers = { authorization: `Bearer ${await issuer.token(all)}` };
    await using bystander = closing(await openBystander(hub, headers));

    const ground = groundOf(callbacks);
    const key = await edgeKeyIn(hub.dataDir);
    const ports = { edge: Number(new URL(hub.base).port), core: Number(new URL(hub.coreUrl).port) };
    const random = new Random(seed);
    const clients = Array.from({ length: CONNECTIONS }, (_, index) => {
      // Three connections to the edge for each one to the core.
      const tier: Tier = index % 4 === 0 ? "core" : "edge";
      const make = tier === "edge"
        ? edgeRequests(ground, token)
        : coreRequests(ground, { origin: hub.coreUrl, key, index });
      return { tier, make, random: random.fork() };
    });

    const send = async (
      { tier, make, random }: { tier: Tier; make: MakeRequest; random: Random },
      count: number,
    ) => {
      const client = new RawClient(ports[tier]);
      for (let n = 0; n < count; n++) {
        const request = await make(random);
        const reply = await client.exchange(request);
        note(statuses[tier], request, reply.status);
        learn(ground, reply);
        if (reply.events !== undefined) {
          streams[tier]++;
          open.push(reply.events);
          if (open.length > MOST_STREAMS) open.shift()!.destroy();
        }
        const wrong = wrongWith(request, reply);
        if (wrong !== undefined) {
          fail(`${tier}: ${wrong}: ${JSON.stringify(request.bytes.toString("latin1").slice(0, 500))}`);
        }
      }
      client.close();
    };
    const volley = async (count: number) => {
      await Promise.all(clients.map((client) => send(client, Math.ceil(count / CONNECTIONS))));
    };
    // Fills what the hub holds of its newest messages, before memory counts.
    for (let n = 0; n < 40; n++) await publish(hub, "t", { body: Buffer.alloc(500_000, "x"), headers });
    await volley(warmUp);
    const before = await held(hub);
    await volley(requests);
    for (const socket of open.splice(0)) socket.destroy();
    await eventually("the streams of those who left to end", async () => {
      return /^tidings_streams\{[^}]*\} 0$/m.test((await call(`${hub.operatingUrl("core")}/metrics`)).text);
    }, { deadlineMs: Math.max(...TIERS.map((tier) => LEFT_WITHIN_MS[runtimeOf(tier)])) }).catch((error: unknown) =>
      fail(String(error))
    );
    let after = await held(hub);
    // Memory that the collector has not freed yet is not growth.
    await eventually("memory to settle", async () => {
      after = await held(hub);
      return TIERS.every((tier) => after[tier] <= before[tier] * MOST_GROWTH);
    }, { deadlineMs: 10_000, everyMs: 500 }).catch(() => {});
    for (const tier of TIERS) {
      if (hub.pid(tier) === undefined) fail(`the ${tier} has ended:\n${hub.output()}`);
      if (after[tier] > before[tier] * MOST_GROWTH) fail(`the ${tier} grew from ${before[tier]} to ${after[tier]} MB`);
    }
    const errors = hub.output().split("\n").filter((line) => /"level":"(?:ERROR|FATAL)"/i.test(line));
    for (const line of errors) fail(`it logged ${line.slice(0, 500)}`);
    const harm = await bystander.harm();
    if (harm !== undefined) fail(harm);
    const trend = (tier: Tier) => ({ before: before[tier], after: after[tier] });
    return { statuses, streams, failures, memory: { edge: trend("edge"), core: trend("core") } };
  } finally {
    for (const socket of open) socket.destroy();
    await hub.close();
    await issuer.close();
  }
}

/** The key of a hub's edge. */
export async function edgeKeyIn(dataDir: string): Promise<EdgeKey> {
  return parseEdgeKey(await readFile(join(dataDir, "edge-key.json"), "utf8"));
}

function groundOf(callbacks: Awaited<ReturnType<typeof openCallbackServer>>) {
  const all = Array.from({ length: 8 }, (_, index) => {
    const callback = callbacks.callback({ path: `/fuzz/${index}` });
    if (index % 3 === 0) callback.onChallenge = echo({ alter: () => "no" });
    // Its refusals make dead letters.
    if (index === 1) callback.onDelivery = answer(422);
    return callback.url;
  });
  return {
    // Nobody listens here.
    callbacks: [...all, "http://127.0.0.1:9/"],
    // One topic is used more than the others, so that requests concern the same subscriptions.
    topics: [...Array<string>(5).fill("t"), "partner/EVENT", "http://127.0.0.1:9999/topic", "日本"],
    cursors: [] as string[],
    ids: [] as string[],
  };
}

function note(statuses: Map<string, Map<Credential, Statuses>>, { endpoint, credential }: FuzzRequest, status: number) {
  const of = statuses.get(endpoint) ?? new Map<Credential, Statuses>();
  statuses.set(endpoint, of);
  const counts = of.get(credential) ?? new Map<number, number>();
  of.set(credential, counts.set(status, (counts.get(status) ?? 0) + 1));
}

/** Collects the cursors and message ids that the hub gives out, so that later requests name real ones. */
function learn({ cursors, ids }: { cursors: string[]; ids: string[] }, { body }: RawReply): void {
  for (const [, name, found] of body.slice(0, 2_000).matchAll(/"(cursor|next|id)":"([^"\\]+)"/g)) {
    (name === "id" ? ids : cursors).push(found!);
  }
  for (const known of [cursors, ids]) known.splice(0, known.length - MOST_CURSORS);
}

/** What is wrong with an answer: a 5xx that is not an intended 503, a text that shows internals, access without a right, or none at all. */
function wrongWith(
  { mayNot, credential, bytes }: FuzzRequest,
  { status, headers, body }: RawReply,
): string | undefined {
  // RFC 9112 §9.6: a client that sends far too much may find the connection reset before it has read the refusal.
  if (status === 0) return bytes.length > MESSAGE_MAX_BYTES ? undefined : "no answer";
  if (mayNot && status < 400) return `it was let in with a credential that is ${credential} (${status})`;
  if (status === 503 && !/^retry-after: *\d+$/im.test(headers)) return "503 without Retry-After";
  if (status >= 500 && status !== 503) return `${status} ${body.slice(0, 200)}`;
  if (/^x-injected|^set-cookie/im.test(headers)) return `a header was injected: ${headers}`;
  if (/\bat .+\.ts:\d+:\d+|node_modules|SQLITE_/.test(body)) return `it shows its insides: ${body.slice(0, 300)}`;
  return undefined;
}

async function held(hub: OwnHub): Promise<Record<Tier, number>> {
  const of = async (tier: Tier) => {
    const pid = hub.pid(tier);
    // Only Linux tells a process's memory; elsewhere nothing is compared.
    return pid === undefined || process.platform !== "linux" ? 0 : (await megabytes(pid)).now;
  };
  return { edge: await of("edge"), core: await of("core") };
}

function closing<T extends { close(): Promise<void> }>(what: T): T & AsyncDisposable {
  return { ...what, [Symbol.asyncDispose]: () => what.close() };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { requests: { type: "string", default: "50000" }, seed: { type: "string", default: "1" } },
  });
  const begun = performance.now();
  const { statuses, streams, failures, memory } = await fuzz({
    requests: Number(values.requests),
    seed: Number(values.seed),
  });
  for (const tier of TIERS) {
    const { before, after } = memory[tier];
    console.log(`${tier}: ${Math.round(before)} MB → ${Math.round(after)} MB, ${streams[tier]} streams of events`);
    for (const [endpoint, of] of [...statuses[tier]].toSorted(([a], [b]) => a.localeCompare(b))) {
      for (const [credential, counts] of [...of].toSorted(([a], [b]) => a.localeCompare(b))) {
        const told = [...counts].toSorted(([a], [b]) => a - b).map(([status, count]) => `${status}: ${count}`);
        console.log(`  ${endpoint.padEnd(28)} ${credential.padEnd(7)} ${told.join(", ")}`);
      }
    }
  }
  console.log(`${values.requests} requests in ${Math.round((performance.now() - begun) / 1_000)} s, after ${WARM_UP}`);
  for (const failure of failures) console.error(failure);
  process.exitCode = failures.length === 0 ? 0 : 1;
}
