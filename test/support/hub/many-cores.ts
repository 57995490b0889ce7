// Several cores and edges on one Kafka, each a process that a test can kill, stop, put to sleep and start again.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../eventually.ts";
import { call } from "../servers/http.ts";
import { freePort } from "../free-port.ts";
import { type HubUnderTest, SHORT_TIMES } from "./hub.ts";
import { CORE_KEY, EDGE_KEY, EDGES } from "../keys.ts";
import { createTierProcess, type Tier, type TierProcess } from "./tier-process.ts";

export interface OwnTier extends TierProcess {
  output(): string;
}

export interface CoreProcess extends OwnTier {
  /** A figure of its /metrics, summed over labels; undefined if it does not answer. */
  metric(name: string): Promise<number | undefined>;
  /** How many shards it owns. */
  shards(): Promise<number>;
}

export interface ManyCores extends AsyncDisposable {
  readonly cores: readonly CoreProcess[];
  /** The hub at each edge. */
  readonly edges: readonly (HubUnderTest & { readonly process: OwnTier })[];
  /** A second process with a core's settings and directory, on another port. */
  twinOf(core: number): OwnTier;
  /** Resolves when the running cores share all shards evenly, within one. */
  shared(deadlineMs?: number): Promise<void>;
}

export interface ManyCoresOptions {
  readonly brokers: readonly string[];
  readonly prefix: string;
  /** Settings of each core. */
  readonly cores: readonly Readonly<Record<string, string>>[];
  /** The cores that each edge knows, by number and in this order. */
  readonly edges: readonly (readonly number[])[];
  readonly settings?: Readonly<Record<string, string>>;
}

export const SHARDS = 16;

/** Starts them all; resolves when they are ready. */
export async function openManyCores(options: ManyCoresOptions): Promise<ManyCores> {
  const directory = await mkdtemp(join(tmpdir(), "tidings-cores-"));
  const common = {
    ...SHORT_TIMES,
    TIDINGS_KAFKA_BROKERS: options.brokers.join(),
    TIDINGS_KAFKA_PREFIX: options.prefix,
    TIDINGS_CORE_KEYS: JSON.stringify({ keys: [CORE_KEY] }),
    TIDINGS_EDGE_KEY: JSON.stringify(EDGE_KEY),
    TIDINGS_EDGE_KEYS: JSON.stringify({ keys: EDGES }),
    ...options.settings,
  };
  const corePorts: number[] = [];
  for (const _ of options.cores) corePorts.push(await freePort());
  const settingsOf = (core: number) => ({
    ...common,
    TIDINGS_CORE_LISTEN: `127.0.0.1:${corePorts[core]}`,
    TIDINGS_DATA_DIR: join(directory, `core-${core}`),
    ...options.cores[core],
  });
  const cores = corePorts.map((port, index) =>
    createCore(createTier("core", `http://127.0.0.1:${port}`, settingsOf(index)))
  );
  const edges: (HubUnderTest & { readonly process: OwnTier })[] = [];
  for (const known of options.edges) {
    const listen = `127.0.0.1:${await freePort()}`;
    const base = `http://${listen}`;
    const process = createTier("edge", base, {
      ...common,
      TIDINGS_EDGE_LISTEN: listen,
      TIDINGS_HUB_URL: `${base}/hub`,
      TIDINGS_CORE_URL: known.map((index) => cores[index]!.url).join(),
    });
    edges.push({
      url: `${base}/hub`,
      base,
      ours: true,
      output: () => process.output(),
      close: async () => void await process.stop(),
      process,
    });
  }
  const many: ManyCores = {
    cores,
    edges,
    twinOf: (core) => createTier("core", "", { ...settingsOf(core), TIDINGS_CORE_LISTEN: "127.0.0.1:0" }),
    async shared(deadlineMs = 30_000) {
      let last: number[] = [];
      await eventually("the shards to be shared out", async () => {
        const running = cores.filter(({ runs }) => runs);
        last = await Promise.all(running.map((core) => core.shards()));
        const sum = last.reduce((total, count) => total + count, 0);
        return sum === SHARDS && Math.max(...last) - Math.min(...last) <= 1;
      }, { deadlineMs, everyMs: 50, seen: () => last.join() });
    },
    async [Symbol.asyncDispose]() {
      for (const tier of [...edges.map(({ process }) => process), ...cores]) tier.wake();
      await Promise.all(edges.map(({ process }) => process.stop()));
      await Promise.all(cores.map((core) => core.stop()));
      await rm(directory, { recursive: true, force: true, maxRetries: 3 });
    },
  };
  try {
    await Promise.all(cores.map((core) => core.start()));
    await Promise.all(edges.map(({ process }) => process.start()));
    return many;
  } catch (error) {
    await many[Symbol.asyncDispose]();
    throw error;
  }
}

function createTier(tier: Tier, url: string, settings: Readonly<Record<string, string>>): OwnTier {
  let written = "";
  const note = (part: string) => void (written = (written + part).slice(-20_000));
  const output = () => written;
  return Object.assign(createTierProcess(tier, { name: `${tier} at ${url}`, url, settings, note, output }), { output });
}

function createCore(tier: OwnTier): CoreProcess {
  const metric = async (name: string) => {
    const reply = await call(`${tier.operatingUrl}/metrics`).catch(() => undefined);
    if (reply?.status !== 200) return undefined;
    const lines = reply.text.split("\n").filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
    return lines.length === 0 ? undefined : lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  };
  return Object.assign(tier, { metric, shards: async () => await metric("tidings_shards") ?? 0 });
}
