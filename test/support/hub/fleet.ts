// Several cores and edges as one hub, each a process of its own. Every edge knows every core. A test may kill, stop and start any
// of them and put it to sleep. On the embedded log there is one core.
import { join } from "node:path";
import { freePort } from "../free-port.ts";
import { type HubUnderTest, SHORT_TIMES } from "./hub.ts";
import { CORE_KEY, EDGE_KEY, EDGES } from "../keys.ts";
import { createTierProcess, type Tier, type TierProcess, type TierRuntimes } from "./tier-process.ts";

export interface Fleet {
  readonly cores: readonly Member[];
  readonly edges: readonly Member[];
  readonly members: readonly Member[];
  /** The hub at each edge. */
  readonly hubs: readonly HubUnderTest[];
  /** The recent output of all of them. */
  output(): string;
  /** Ends all of them. */
  close(): Promise<void>;
}

export interface Member extends TierProcess {
  /** Whether it does not run at first and joins later. */
  readonly spare: boolean;
}

export interface FleetOptions {
  readonly cores: number;
  readonly edges: number;
  /** Whether each tier has one more member, which does not run at first. Default false. */
  readonly spares?: boolean;
  readonly runtimes?: TierRuntimes | undefined;
  readonly settings: Readonly<Record<string, string>>;
  /** Each core has its own directory in it; a single core uses it itself. */
  readonly dataDir: string;
}

const OUTPUT_CHARACTERS = 200_000;

/** Starts all but the spares. @throws {Error} with their output if one ends or is not ready in 30 s */
export async function openFleet(
  { cores, edges, spares = false, runtimes = {}, settings, dataDir }: FleetOptions,
): Promise<Fleet> {
  let output = "";
  const more = spares ? 1 : 0;
  const coreUrls = await freeUrls(cores + more);
  const edgeUrls = await freeUrls(edges + more);
  const member = (tier: Tier, url: string, index: number, spare: boolean, own: Record<string, string>): Member => {
    const name = `${tier}-${index + 1}`;
    // Each line names the process that wrote it.
    const note = (text: string) =>
      void (output = (output + text.replace(/^(?=.)/gm, `${name} `)).slice(-OUTPUT_CHARACTERS));
    const common = {
      ...SHORT_TIMES,
      TIDINGS_CORE_KEYS: JSON.stringify({ keys: [CORE_KEY] }),
      TIDINGS_EDGE_KEY: JSON.stringify(EDGE_KEY),
      TIDINGS_EDGE_KEYS: JSON.stringify({ keys: EDGES }),
      TIDINGS_DATA_DIR: dataDir,
      TIDINGS_HUB_URL: `${edgeUrls[0]}/hub`,
    };
    const settingsOf = { ...common, ...own, ...settings };
    const runtime = runtimes[tier];
    const created = createTierProcess(tier, { name, url, runtime, settings: settingsOf, note, output: () => output });
    return Object.assign(created, { spare });
  };
  const ofCores = coreUrls.map((url, index) =>
    member("core", url, index, index >= cores, {
      TIDINGS_CORE_LISTEN: new URL(url).host,
      TIDINGS_DATA_DIR: coreUrls.length === 1 ? dataDir : join(dataDir, `core-${index + 1}`),
    })
  );
  const ofEdges = edgeUrls.map((url, index) =>
    member("edge", url, index, index >= edges, {
      TIDINGS_EDGE_LISTEN: new URL(url).host,
      // Each edge begins with another core.
      TIDINGS_CORE_URL: [...coreUrls.slice(index), ...coreUrls.slice(0, index)].join(),
    })
  );
  const members = [...ofCores, ...ofEdges];
  const close = async () => {
    await Promise.all(ofEdges.map((edge) => edge.stop()));
    await Promise.all(ofCores.map((core) => core.stop()));
  };
  try {
    const [first, ...rest] = ofCores.filter(({ spare }) => !spare);
    // The first core creates the streams that all of them use.
    await first?.start();
    await Promise.all([...rest, ...ofEdges.filter(({ spare }) => !spare)].map((one) => one.start()));
  } catch (error) {
    await close();
    throw error;
  }
  return {
    cores: ofCores,
    edges: ofEdges,
    members,
    hubs: ofEdges.map(({ url }) => ({
      url: `${url}/hub`,
      base: url,
      ours: true,
      output: () => output,
      close: () => Promise.resolve(),
    })),
    output: () => output,
    close,
  };
}

async function freeUrls(count: number): Promise<string[]> {
  const urls: string[] = [];
  while (urls.length < count) urls.push(`http://127.0.0.1:${await freePort()}`);
  return urls;
}
