// Several cores and edges as one hub, each a process of its own: every edge knows every core, and any of them may be killed, put
// to sleep, stopped and started. On the embedded log there is one core.
import { join } from "node:path";
import { freePort, type HubUnderTest, SHORT_TIMES, type Tier } from "./hub.ts";
import { CORE_KEY, EDGE_KEY, EDGES } from "../keys.ts";
import { createTierProcess, type TierProcess } from "./tier-process.ts";

export interface Fleet {
  readonly cores: readonly Member[];
  readonly edges: readonly Member[];
  readonly members: readonly Member[];
  /** The hub as each edge shows it. */
  readonly hubs: readonly HubUnderTest[];
  /** What all of them wrote lately. */
  output(): string;
  /** Ends all of them. */
  close(): Promise<void>;
}

export interface Member extends TierProcess {
  /** One that does not run at first, and joins later. */
  readonly spare: boolean;
}

export interface FleetOptions {
  readonly cores: number;
  readonly edges: number;
  /** Of each tier one more that does not run yet. Default none. */
  readonly spares?: boolean;
  readonly settings: Readonly<Record<string, string>>;
  /** Each core has its own directory in it, a lone core has it. */
  readonly dataDir: string;
}

const OUTPUT_CHARACTERS = 200_000;

/** Starts all but the spares. @throws {Error} with their output if one ends or is not ready in 30 s */
export async function openFleet({ cores, edges, spares = false, settings, dataDir }: FleetOptions): Promise<Fleet> {
  let output = "";
  const more = spares ? 1 : 0;
  const coreUrls = await freeUrls(cores + more);
  const edgeUrls = await freeUrls(edges + more);
  const member = (tier: Tier, url: string, index: number, spare: boolean, own: Record<string, string>): Member => {
    const name = `${tier}-${index + 1}`;
    // What stands in one line was written by one process.
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
    const created = createTierProcess(tier, { name, url, settings: settingsOf, note, output: () => output });
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
      // Each begins with another core.
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
    // The first makes what all of them use.
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
