// What a bench stands on: a hub of two processes, a sink, and what it may know of both.
import type { Log } from "../../core/log/log.ts";
import { openOwnHub, type OwnHub, type Tier } from "../support/hub.ts";
import { median } from "./clock.ts";
import { openSink, type Sink } from "./parts.ts";
import { INSPECTED, NO_PROFILER, openProfiler, type Profiler } from "./profile.ts";
import { cpuSeconds, loadAverage, megabytes, resetPeak } from "./system.ts";
import { row, table } from "./table.ts";

export interface Rig extends AsyncDisposable {
  /** The log of its hub. */
  readonly kind: Log["kind"];
  /** Of Kafka, where its hub's log is there. */
  readonly brokers: readonly string[];
  readonly hub: OwnHub;
  readonly sink: Sink;
  /** How often each figure is taken; the median counts. */
  readonly runs: number;
  /** CPU seconds that both tiers have used so far. */
  readonly cpu: () => Promise<number>;
  /** What a tier holds now, and at most since its start or the last `resetPeak`, MB. */
  readonly memory: (tier: Tier) => Promise<{ readonly now: number; readonly peak: number }>;
  readonly resetPeak: (tier: Tier) => Promise<void>;
  readonly profiler: Profiler;
  /** Runs once to warm up, then `runs` times; the median of each figure. */
  readonly repeated: (once: () => Promise<number[]>) => Promise<number[]>;
}

/** A scenario: what it is called on the command line, settings of its hub beside those of production, what it prints. */
export interface Bench {
  readonly name: string;
  readonly settings?: Readonly<Record<string, string>>;
  /** `open` is for those that need more hubs than one. */
  readonly run: (rig: Rig, open: OpenRig) => Promise<void>;
}

export type OpenRig = (options: { readonly dataDir: string }) => Promise<Rig>;

export const PUBLISH_CONNECTIONS = 32;

/** The times of production instead of the tests' short ones. */
const SETTINGS = {
  TIDINGS_LEASE_MIN: "60",
  TIDINGS_RETRY_MIN: "1s",
  TIDINGS_RETRY_MAX: "5m",
  TIDINGS_PARK_AFTER: "15m",
  TIDINGS_PROBE_INTERVAL: "5m",
  TIDINGS_DELIVERY_TIMEOUT: "30s",
};

/** Starts hub and sink. */
export async function openRig(
  { runs, settings, profile, dataDir }: {
    readonly runs: number;
    readonly settings: Readonly<Record<string, string>>;
    /** Whether to say where the core spends its time. */
    readonly profile: boolean;
    /** With what the hub begins; default nothing. */
    readonly dataDir?: string;
  },
): Promise<Rig> {
  const sink = await openSink();
  const inspected = profile ? INSPECTED : {};
  const hub = await openOwnHub({
    settings: { ...SETTINGS, ...inspected, ...settings },
    ...(dataDir === undefined ? {} : { dataDir }),
  }).catch(
    async (error: unknown) => {
      await sink.close();
      throw error;
    },
  );
  const profiler = profile ? await openProfiler(hub.output()) : NO_PROFILER;
  const pid = (tier: Tier) => {
    const found = hub.pid(tier);
    if (found === undefined) throw new Error(`The ${tier} has ended:\n${hub.output()}`);
    return found;
  };
  return {
    kind: settings["TIDINGS_KAFKA_BROKERS"] === undefined ? "libsql" : "kafka",
    brokers: settings["TIDINGS_KAFKA_BROKERS"]?.split(",") ?? [],
    hub,
    sink,
    runs,
    profiler,
    cpu: async () => await cpuSeconds(pid("edge")) + await cpuSeconds(pid("core")),
    memory: (tier) => megabytes(pid(tier)),
    resetPeak: (tier) => resetPeak(pid(tier)),
    async repeated(once) {
      await once();
      const all: number[][] = [];
      for (let n = 0; n < runs; n++) all.push(await once());
      return (all[0] ?? []).map((_, column) => median(all.map((figures) => figures[column] ?? Number.NaN)));
    },
    async [Symbol.asyncDispose]() {
      profiler.close();
      await hub.close();
      await sink.close();
    },
  };
}

/** The table that ends a bench: what both tiers hold, and how busy the machine was. */
export async function reportMemory(rig: Rig): Promise<void> {
  const [edge, core] = [await rig.memory("edge"), await rig.memory("core")];
  table(["resident memory, MB", "edge", "core"]);
  row("at the end", edge.now, core.now);
  row("at most", edge.peak, core.peak);
  console.log(`\nLoad average at the end: ${loadAverage()}.`);
}
