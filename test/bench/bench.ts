// `npm run bench [-- NAME…] [--runtime R] [--kafka [--cores N]] [--runs N]`: measures a hub of two processes or more, with one sink
// and one publisher on this machine, and prints Markdown. Without a name it runs throughput, unloaded and ingest. No test asserts
// these figures.
import { parseArgs } from "node:util";
import { KAFKA_VERSION } from "../support/kafka/jars.ts";
import { startKafka } from "../support/kafka/kafka.ts";
import { day } from "./day.ts";
import { failover } from "./failover.ts";
import { fairness, POOL_NAMES } from "./fairness.ts";
import { growth } from "./growth.ts";
import { ingest } from "./ingest.ts";
import { isolation } from "./isolation.ts";
import { million } from "./million.ts";
import { outage } from "./outage.ts";
import { overload } from "./overload.ts";
import { pairingOf, PAIRINGS, versionsOf } from "../support/hub/pairings.ts";
import { type Bench, openRig, type OtherRig, reportMemory } from "./rig.ts";
import { compareRuntimes, FULL, SHORT } from "./runtimes.ts";
import { sparse } from "./sparse.ts";
import { loadAverage, machine, versionOf } from "../support/process-usage.ts";
import { table } from "./table.ts";
import { FAN_OUTS, THROUGHPUT_COLUMNS } from "./throughput.ts";
import { unloaded } from "./unloaded.ts";

/** The bench stops after this time, whatever happens. */
const DEADLINE_MS = 20 * 60_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    /** What runs the hub. */
    runtime: { type: "string", default: "node" },
    kafka: { type: "boolean", default: false },
    runs: { type: "string", default: "5" },
    /** For `outage`: how many messages the subscribers miss, and how long the bench watches their backlog. */
    messages: { type: "string", default: "100000" },
    "drain-seconds": { type: "string", default: "120" },
    /** For `day`. */
    minutes: { type: "string", default: "10" },
    /** With --kafka: how many cores share the shards (throughput, unloaded, ingest, failover), and how often `failover` kills one. */
    cores: { type: "string", default: "1" },
    kills: { type: "string", default: "20" },
    /** For `million`: how many subscriptions in all, and how many of its one wide topic. */
    subscriptions: { type: "string", default: "1000000" },
    wide: { type: "string", default: "100000" },
    /** For `fairness`: the pools; default all. */
    pool: { type: "string", multiple: true },
    /** For `runtimes`: a little of everything, to see that it works. */
    short: { type: "boolean", default: false },
    /** Prints where the core spent its time. */
    profile: { type: "boolean", default: false },
  },
});
const runs = Number(values.runs);
const cores = Number(values.cores);
const pairing = pairingOf(values.runtime);
/** These share a hub; each of the others has its own. */
const SHARED: readonly Bench[] = [...FAN_OUTS, unloaded, ingest];
const OWN: readonly Bench[] = [
  isolation,
  fairness(values.pool ?? []),
  outage({ messages: Number(values.messages), drainSeconds: Number(values["drain-seconds"]) }),
  growth,
  sparse,
  overload,
  day({ minutes: Number(values.minutes) }),
  failover({ cores: Math.max(2, cores), kills: Number(values.kills) }),
  million({ subscriptions: Number(values.subscriptions), wide: Number(values.wide) }),
];
/** The scenarios with a figure to reach. */
const THROUGHPUT = ["1000x10", "200x100", "20x1000"];

const names = new Set(positionals.flatMap((name) => name === "throughput" ? THROUGHPUT : [name]));
/** It opens its own hubs, one on each runtime. */
const RUNTIMES = "runtimes";
const known = ["throughput", ...[...SHARED, ...OWN].map(({ name }) => name), RUNTIMES];
const unknown = positionals.find((name) => !known.includes(name)) ??
  values.pool?.find((name) => !POOL_NAMES.includes(name));
if (
  unknown !== undefined || pairing === undefined || !(runs >= 1) || !(cores >= 1) || (cores > 1 && !values.kafka)
) {
  console.error(
    `Usage: npm run bench [-- NAME…] [--runtime R] [--kafka [--cores N]] [--runs N] [--profile]
NAME is one of ${known.join(", ")}
R is one of ${Object.keys(PAIRINGS).join(", ")}
A pool of fairness is one of ${POOL_NAMES.map((name) => `"${name}"`).join(", ")}
outage takes [--messages N] [--drain-seconds N], million [--subscriptions N] [--wide N],\nday [--minutes N], fairness [--pool POOL]…, failover --kafka [--cores N] [--kills N], runtimes [--short]`,
  );
  process.exit(1);
}
if (values.profile && pairing.runtimes.core === "deno") {
  console.error("--profile needs a core on Node or Bun: on Deno it would need a command line of its own");
  process.exit(1);
}
if (values.kafka && names.has(RUNTIMES)) {
  console.error(`${RUNTIMES} measures hubs on the embedded log, so it does not go with --kafka`);
  process.exit(1);
}
const { runtimes } = pairing;
const wanted = ({ name }: Bench) => names.has(name);

setTimeout(() => {
  console.error(`The bench did not end within ${DEADLINE_MS / 60_000} min`);
  process.exit(1);
}, DEADLINE_MS).unref();

const kafka = values.kafka ? await startKafka() : undefined;
try {
  if (names.delete(RUNTIMES)) {
    await compareRuntimes(values.short ? SHORT : FULL);
    if (names.size === 0) process.exit();
  }
  await introduce();
  const shared = names.size === 0 ? SHARED : SHARED.filter(wanted);
  if (shared.length > 0) await onOneHub(shared, {}, cores);
  for (const bench of OWN.filter(wanted)) await onOneHub([bench], bench.settings ?? {});
} finally {
  await kafka?.close();
}
process.exit();

async function onOneHub(
  benches: readonly Bench[],
  settings: Readonly<Record<string, string>>,
  cores = 1,
): Promise<void> {
  const options = {
    runs,
    runtimes,
    cores,
    profile: values.profile,
    settings: { ...settings, ...(kafka === undefined ? {} : { TIDINGS_KAFKA_BROKERS: kafka.address }) },
  };
  await using rig = await openRig(options);
  try {
    const rows = benches.filter((bench) => FAN_OUTS.includes(bench));
    if (rows.length > 0) table(THROUGHPUT_COLUMNS);
    const open = ({ settings = {}, ...more }: OtherRig) =>
      openRig({ ...options, ...more, settings: { ...options.settings, ...settings } });
    for (const bench of benches) await bench.run(rig, open);
    await reportMemory(rig);
    await rig.profiler.report();
  } catch (error) {
    console.error(rig.hub.output());
    throw error;
  }
}

async function introduce(): Promise<void> {
  console.log(`- machine: ${machine()}; hub, sink, publisher${kafka === undefined ? "" : " and broker"} on it`);
  const log = kafka === undefined ? `@libsql/client ${await versionOf("@libsql/client")}` : `Kafka ${KAFKA_VERSION}`;
  const [undici, bun] = [await versionOf("undici"), await versionOf("bun")];
  console.log(`- the hub runs on ${await versionsOf(runtimes)}`);
  console.log(`- versions: undici ${undici}, ${log}; Node ${process.versions.node} (publisher), Bun ${bun} (sink)`);
  console.log(
    kafka === undefined
      ? "- log: embedded libSQL; durable means synced to disk before the answer (WAL, synchronous=FULL)"
      : "- log: Kafka, one broker; durable means acks=all (replication 1 on one broker, which syncs to disk at its leisure)",
  );
  console.log(`- 1 KiB bodies, secrets on; median of ${runs} after one run to warm up`);
  console.log(`- load average before: ${loadAverage()}`);
}
