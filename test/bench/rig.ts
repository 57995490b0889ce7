// What a bench runs on: a hub of two or more processes, a sink, and figures of both.
import type { Log } from "../../core/log/log.ts";
import { openOwnHub, type OwnHub } from "../support/hub/hub.ts";
import type { Tier, TierRuntimes } from "../support/hub/tier-process.ts";
import { prepareBunProfiling } from "./bun-profile.ts";
import { median } from "./clock.ts";
import { openHubOfMany } from "./hub-of-many.ts";
import { openSink, type Sink } from "./parts.ts";
import { INSPECTED, NO_PROFILER, openProfiler, type Profiler } from "./profile.ts";
import { cpuSeconds, loadAverage, megabytes, resetPeak } from "../support/process-usage.ts";
import type { OpenedHub } from "./subscribe.ts";
import { row, table } from "./table.ts";

export interface Rig extends AsyncDisposable {
  /** The kind of the hub's log. */
  readonly kind: Log["kind"];
  /** Kafka's addresses, if the hub's log is there; else none. */
  readonly brokers: readonly string[];
  readonly runtimes: TierRuntimes;
  readonly hub: OwnHub & OpenedHub;
  readonly sink: Sink;
  /** How often the bench takes each figure; the median counts. */
  readonly runs: number;
  /** CPU seconds that both tiers, all cores included, have used so far. */
  readonly cpu: () => Promise<number>;
  /** The memory of all processes of a tier, MB: now, and at most since the start or the last `resetPeak`. */
  readonly memory: (tier: Tier) => Promise<{ readonly now: number; readonly peak: number }>;
  readonly resetPeak: (tier: Tier) => Promise<void>;
  readonly profiler: Profiler;
  /** Runs once to warm up, then `runs` times; the median of each figure. */
  readonly repeated: (once: () => Promise<number[]>) => Promise<number[]>;
}

/** A bench: its name on the command line, settings of its hub that differ from production, and what it measures. */
export interface Bench {
  readonly name: string;
  readonly settings?: Readonly<Record<string, string>>;
  /** `open` is for a bench that needs more than one hub. */
  readonly run: (rig: Rig, open: OpenRig) => Promise<void>;
}

export type OpenRig = (options: OtherRig) => Promise<Rig>;

/** How a further hub differs from the bench's own. */
export interface OtherRig {
  /** The data it starts with; default none. */
  readonly dataDir?: string;
  readonly settings?: Readonly<Record<string, string>>;
  /** The sink of its callbacks; default a sink of its own. */
  readonly sink?: Sink;
  /** How long each tier may take to be ready. */
  readonly readyWithinMs?: number;
}

export const PUBLISH_CONNECTIONS = 32;

/** Production's times instead of the tests' short ones. */
export const PRODUCTION_TIMES = {
  TIDINGS_LEASE_MIN: "60",
  TIDINGS_RETRY_MIN: "1s",
  TIDINGS_RETRY_MAX: "5m",
  TIDINGS_PARK_AFTER: "15m",
  TIDINGS_PROBE_INTERVAL: "5m",
  TIDINGS_DELIVERY_TIMEOUT: "30s",
};

/** Starts a hub and a sink. */
export async function openRig(
  { runs, runtimes = {}, settings, profile, cores = 1, dataDir, sink: given, readyWithinMs }: OtherRig & {
    readonly runs: number;
    readonly runtimes?: TierRuntimes;
    /** How many share the shards; default 1. */
    readonly cores?: number;
    readonly settings: Readonly<Record<string, string>>;
    /** Whether to print where the core spends its time. */
    readonly profile: boolean;
  },
): Promise<Rig> {
  const sink = given ?? await openSink();
  const closeSink = async () => {
    if (given === undefined) await sink.close();
  };
  const onBun = profile && runtimes.core === "bun" ? await prepareBunProfiling() : undefined;
  const inspected = profile ? onBun?.environment ?? INSPECTED : {};
  const all = { ...PRODUCTION_TIMES, ...inspected, ...settings };
  const openHub = async () => {
    if (cores > 1) return await openHubOfMany(cores, all, runtimes);
    const hub = await openOwnHub({
      settings: all,
      runtimes,
      ...(dataDir === undefined ? {} : { dataDir }),
      ...(readyWithinMs === undefined ? {} : { readyWithinMs }),
    });
    return { hub, corePids: () => [hub.pid("core") ?? missing("core")] };
  };
  const missing = (tier: Tier): never => {
    throw new Error(`The ${tier} has ended`);
  };
  const { hub, corePids } = await openHub().catch(async (error: unknown) => {
    await closeSink();
    throw error;
  });
  const profiler = onBun?.open(hub.pid("core") ?? missing("core"), () => hub.stop("core")) ??
    (profile ? await openProfiler(hub.output()) : NO_PROFILER);
  const pids = (tier: Tier) => tier === "core" ? corePids() : [hub.pid("edge") ?? missing("edge")];
  const sum = async (tier: Tier, of: (pid: number) => Promise<number>) =>
    (await Promise.all(pids(tier).map(of))).reduce((all, one) => all + one, 0);
  return {
    kind: settings["TIDINGS_KAFKA_BROKERS"] === undefined ? "libsql" : "kafka",
    brokers: settings["TIDINGS_KAFKA_BROKERS"]?.split(",") ?? [],
    runtimes,
    hub,
    sink,
    runs,
    profiler,
    cpu: async () => await sum("edge", cpuSeconds) + await sum("core", cpuSeconds),
    memory: async (tier) => ({
      now: await sum(tier, async (pid) => (await megabytes(pid)).now),
      peak: await sum(tier, async (pid) => (await megabytes(pid)).peak),
    }),
    resetPeak: async (tier) => void await Promise.all(pids(tier).map(resetPeak)),
    async repeated(once) {
      await once();
      const all: number[][] = [];
      for (let n = 0; n < runs; n++) all.push(await once());
      return (all[0] ?? []).map((_, column) => median(all.map((figures) => figures[column] ?? Number.NaN)));
    },
    async [Symbol.asyncDispose]() {
      profiler.close();
      await hub.close();
      await onBun?.remove();
      await closeSink();
    },
  };
}

/** Prints the table that ends a bench: the memory of both tiers, and the machine's load. */
export async function reportMemory(rig: Rig): Promise<void> {
  const [edge, core] = [await rig.memory("edge"), await rig.memory("core")];
  table(["resident memory, MB", "edge", "core"]);
  row("at the end", edge.now, core.now);
  row("at most", edge.peak, core.peak);
  console.log(`\nLoad average at the end: ${loadAverage()}.`);
}
