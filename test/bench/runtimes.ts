// `npm run bench -- runtimes`: one hub on each runtime, all in one run. The hubs run side by side and are measured in turn, so that
// a machine that gets slower meanwhile favours none. Access is by tokens of an identity provider here, as on the internet.
import { loadAverage, machine, versionOf } from "../support/process-usage.ts";
import { openIssuer } from "../support/servers/issuer.ts";
import { median } from "./clock.ts";
import { ingested } from "./ingest.ts";
import { type Pairing, PAIRINGS, versionsOf } from "../support/hub/pairings.ts";
import { openSink, type Sink } from "./parts.ts";
import { openRig, type Rig } from "./rig.ts";
import { openStartable, START_UPS } from "./start-up.ts";
import { subscribeAll } from "./subscribe.ts";
import { row, table } from "./table.ts";
import { saturate } from "./throughput.ts";
import { trickle } from "./unloaded.ts";

export interface Size {
  /** How often each figure is taken; the median counts. */
  readonly rounds: number;
  /** Rounds before, which do not count. */
  readonly warmUps: number;
  readonly publishes: number;
  readonly fanOuts: readonly (readonly [messages: number, subscriptions: number])[];
  readonly unloaded: number;
}

export const FULL: Size = {
  rounds: 3,
  warmUps: 1,
  publishes: 10_000,
  fanOuts: [[1000, 10], [200, 100], [20, 1000]],
  unloaded: 200,
};
/** Shows that the bench works; its figures mean nothing. */
export const SHORT: Size = {
  rounds: 1,
  warmUps: 0,
  publishes: 100,
  fanOuts: [[20, 2], [10, 3], [2, 10]],
  unloaded: 5,
};

/** One thing that is measured: rows of the table. */
interface Measurement<T> {
  readonly rows: readonly string[];
  /** One figure for each row. */
  readonly once: (of: T) => Promise<readonly number[]>;
}

/** Of each row its name, and a figure for each runtime. */
type Rows = readonly (readonly [name: string, figures: readonly number[]])[];
type Settings = Readonly<Record<string, string>>;
type TokenRig = Rig & { readonly hub: { readonly token: string } };

const ALL: readonly Pairing[] = Object.values(PAIRINGS);

/** Measures all and prints the table. @throws {Error} if a hub loses, refuses or repeats a message */
export async function compareRuntimes(size: Size): Promise<void> {
  await introduce(size);
  const issuer = await openIssuer();
  const sink = await openSink();
  try {
    const settings = {
      TIDINGS_ACCESS: "token",
      TIDINGS_ISSUER: issuer.url,
      TIDINGS_AUDIENCE: "hub",
      TIDINGS_OUTBOUND_ALLOW: "127.0.0.0/8",
      // One publisher is all the load there is.
      TIDINGS_REQUESTS_PER_ADDRESS: "0",
      TIDINGS_REQUESTS_PER_CLIENT: "0",
    };
    const token = await issuer.token({ scope: "websub:publish websub:subscribe" });
    // First, as hubs that run would share the processor with the one that starts.
    const startUps = await measureStartUps(size, settings);
    const loads = await measureRigs(size, settings, { sink, token });
    table(["", ...ALL.map(({ title }) => title)]);
    for (const [name, figures] of [...loads, ...startUps]) row(name, ...figures);
    console.log(`\nLoad average at the end: ${loadAverage()}.`);
  } finally {
    await sink.close();
    await issuer.close();
  }
}

async function measureStartUps(size: Size, settings: Settings): Promise<Rows> {
  await using open = new AsyncDisposableStack();
  const hubs = [];
  for (const { runtimes } of ALL) hubs.push(open.use(await openStartable(runtimes, settings)));
  return await inTurn(size, hubs, { rows: START_UPS, once: (hub) => hub.startUps() });
}

async function measureRigs(
  size: Size,
  settings: Settings,
  { sink, token }: { readonly sink: Sink; readonly token: string },
): Promise<Rows> {
  await using open = new AsyncDisposableStack();
  const rigs: TokenRig[] = [];
  for (const { runtimes } of ALL) {
    const rig = open.use(await openRig({ runs: size.rounds, runtimes, settings, profile: false, sink }));
    rigs.push({ ...rig, hub: { ...rig.hub, token } });
  }
  try {
    const rows = [];
    for (const measurement of await measurements(size, rigs)) rows.push(...await inTurn(size, rigs, measurement));
    for (const tier of ["edge", "core"] as const) {
      const memory = await Promise.all(rigs.map((rig) => rig.memory(tier)));
      rows.push([`${tier}, resident memory at the end, MB`, memory.map(({ now }) => now)] as const);
      rows.push([`${tier}, resident memory at most, MB`, memory.map(({ peak }) => peak)] as const);
    }
    return rows;
  } catch (error) {
    for (const { hub } of rigs) console.error(hub.output());
    throw error;
  }
}

/** Subscribes what they need. */
async function measurements(size: Size, rigs: readonly TokenRig[]): Promise<Measurement<TokenRig>[]> {
  const unloadedTopic = "https://bench.test/unloaded";
  for (const rig of rigs) await subscribeAll(rig.hub, rig.sink, unloadedTopic, 1);
  const all: Measurement<TokenRig>[] = [
    {
      rows: ["accepted/s, 32 connections", "CPU s per 10,000 accepted"],
      once: async (rig) => {
        const [perSecond, , , cpu] = await ingested(rig, size.publishes);
        return [perSecond, cpu];
      },
    },
  ];
  for (const [messages, subscriptions] of size.fanOuts) {
    const name = `${messages} × ${subscriptions}`;
    const topic = `https://bench.test/${messages}x${subscriptions}`;
    for (const rig of rigs) await subscribeAll(rig.hub, rig.sink, topic, subscriptions);
    all.push({
      rows: [`delivered/s, ${name}`, `CPU s per 10,000 delivered, ${name}`],
      once: async (rig) => {
        const cpuBefore = await rig.cpu();
        const { delivered } = await saturate(rig, topic, messages, subscriptions);
        return [delivered, (await rig.cpu() - cpuBefore) / (messages * subscriptions) * 10_000];
      },
    });
  }
  all.push({
    rows: ["unloaded, p50 ms", "unloaded, p99 ms"],
    once: async (rig) => {
      const { p50, p99 } = await trickle(rig, unloadedTopic, size.unloaded);
      return [p50, p99];
    },
  });
  return all;
}

/** Measures each in turn, round by round, each round beginning with another one. Resolves to the medians. */
async function inTurn<T>(
  { rounds, warmUps }: Size,
  contestants: readonly T[],
  { rows, once }: Measurement<T>,
): Promise<Rows> {
  const figures = contestants.map((): (readonly number[])[] => []);
  for (let round = 0; round < warmUps + rounds; round++) {
    console.error(`${rows[0]}: ${round < warmUps ? "warming up" : `round ${round - warmUps + 1} of ${rounds}`}`);
    for (let n = 0; n < contestants.length; n++) {
      const at = (n + round) % contestants.length;
      const taken = await once(contestants[at]!);
      if (round >= warmUps) figures[at]!.push(taken);
    }
  }
  return rows.map((name, column) => {
    const medians = figures.map((taken) => median(taken.map((one) => one[column] ?? Number.NaN)));
    return [name, medians];
  });
}

async function introduce({ rounds, warmUps }: Size): Promise<void> {
  const versions = [];
  for (const { runtimes } of ALL) versions.push(await versionsOf(runtimes));
  console.log(`- machine: ${machine()}; hubs, sink, publisher and identity provider on it`);
  console.log(`- runtimes: ${versions.join("; ")}`);
  console.log(`- versions: undici ${await versionOf("undici")}, @libsql/client ${await versionOf("@libsql/client")}`);
  console.log("- log: embedded libSQL; durable means synced to disk before the answer (WAL, synchronous=FULL)");
  console.log(
    `- 1 KiB bodies, secrets on, publishes with an access token; median of ${rounds} rounds after ${warmUps} to warm up`,
  );
  console.log(`- load average before: ${loadAverage()}`);
}
