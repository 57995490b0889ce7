// A hub of our own under test: the two processes of `npm start` on free ports in a temporary directory, with short times. A test
// may kill one tier and start it again on the same port and data.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../free-port.ts";
import { createTierProcess, type Tier, type TierRuntimes } from "./tier-process.ts";

/** A hub that tests can call: ours, or any other by its URL. */
export interface HubUnderTest {
  /** The hub's URL, as publishers and subscribers know it. */
  readonly url: string;
  /** Where the hub's other paths begin, without a slash at the end. */
  readonly base: string;
  /** Whether it is one of ours: then WIRE.md and our settings hold, not only the specification. */
  readonly ours: boolean;
  /** Its recent output, for error messages. */
  output(): string;
  close(): Promise<void>;
}

export interface OwnHub extends HubUnderTest {
  readonly dataDir: string;
  /** Where the core answers its edges. */
  readonly coreUrl: string;
  /** Where a tier answers its operator. */
  operatingUrl(tier: Tier): string;
  /** Ends a tier with SIGKILL. */
  kill(tier: Tier): Promise<void>;
  /** Starts a tier that has ended; resolves when it is ready. */
  start(tier: Tier): Promise<void>;
  /** Asks a tier to stop, and resolves to its exit code. */
  stop(tier: Tier): Promise<number | null>;
  /** The process id of a running tier. */
  pid(tier: Tier): number | undefined;
}

export interface OwnHubOptions {
  /** Whether the settings give both tiers certificates. */
  readonly tls?: boolean;
  readonly runtimes?: TierRuntimes | undefined;
  /** Called with all output of both tiers, part by part. */
  readonly onOutput?: (text: string) => void;
  /** Settings that are added or replaced, by full name (TIDINGS_…). */
  readonly settings?: Readonly<Record<string, string>>;
  /** Default a temporary directory, which is removed at the end. */
  readonly dataDir?: string;
  /** How long each tier may take to be ready; default 30 s. */
  readonly readyWithinMs?: number;
}

/** Short times, so that tests of retries, parking and leases end within seconds. */
export const SHORT_TIMES = {
  TIDINGS_LEASE_MIN: "1",
  TIDINGS_RETRY_MIN: "50ms",
  TIDINGS_RETRY_MAX: "500ms",
  TIDINGS_PARK_AFTER: "3s",
  TIDINGS_PROBE_INTERVAL: "1s",
  TIDINGS_DELIVERY_TIMEOUT: "2s",
  TIDINGS_LOG_LEVEL: "warning",
} as const;

/** Starts a hub of our own. @throws {Error} with the tier's output if it ends or is not ready in 30 s */
export async function openOwnHub(options: OwnHubOptions = {}): Promise<OwnHub> {
  const dataDir = options.dataDir ?? await mkdtemp(join(tmpdir(), "tidings-test-"));
  const [edgePort, corePort] = [await freePort(), await freePort()];
  const scheme = options.tls === true ? "https" : "http";
  const base = `${scheme}://127.0.0.1:${edgePort}`;
  const coreUrl = `${scheme}://127.0.0.1:${corePort}`;
  const environment = {
    ...SHORT_TIMES,
    TIDINGS_EDGE_LISTEN: `127.0.0.1:${edgePort}`,
    TIDINGS_CORE_LISTEN: `127.0.0.1:${corePort}`,
    TIDINGS_CORE_URL: coreUrl,
    TIDINGS_HUB_URL: `${base}/hub`,
    TIDINGS_DATA_DIR: dataDir,
    ...options.settings,
  };
  let output = "";
  const note = (part: string) => {
    output = (output + part).slice(-20_000);
    options.onOutput?.(part);
  };
  const { readyWithinMs, runtimes = {} } = options;
  const common = { settings: environment, note, output: () => output, readyWithinMs };
  const tierAt = (tier: Tier, url: string) => createTierProcess(tier, { url, runtime: runtimes[tier], ...common });
  const tiers = { core: tierAt("core", coreUrl), edge: tierAt("edge", base) };

  const close = async () => {
    await tiers.edge.stop();
    await tiers.core.stop();
    if (options.dataDir === undefined) await rm(dataDir, { recursive: true, force: true, maxRetries: 3 });
  };

  try {
    await tiers.core.start();
    await tiers.edge.start();
  } catch (error) {
    await close();
    throw error;
  }
  return {
    url: environment.TIDINGS_HUB_URL,
    base,
    ours: true,
    dataDir,
    coreUrl,
    operatingUrl: (tier) => tiers[tier].operatingUrl,
    output: () => output,
    kill: (tier) => tiers[tier].kill(),
    start: (tier) => tiers[tier].start(),
    stop: (tier) => tiers[tier].stop(),
    pid: (tier) => tiers[tier].pid,
    close,
  };
}

/** Any running hub, by its URL; closing it does not stop it. */
export function foreignHub(url: string): HubUnderTest {
  return { url, base: new URL(url).origin, ours: false, output: () => "", close: () => Promise.resolve() };
}
