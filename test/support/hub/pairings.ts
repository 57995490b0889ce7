// What runs the two tiers of a hub: pairings of runtimes by the names that commands take.
import { versionOf } from "../process-usage.ts";
import type { TierRuntime } from "./tier-process.ts";

export interface Pairing {
  /** In a table. */
  readonly title: string;
  readonly runtimes: { readonly edge: TierRuntime; readonly core: TierRuntime };
}

const TITLES: Readonly<Record<TierRuntime, string>> = { node: "Node", deno: "Deno", bun: "Bun", workerd: "workerd" };

/** By their names on the command line. */
export const PAIRINGS = {
  node: { title: "Node", runtimes: { edge: "node", core: "node" } },
  deno: { title: "Deno", runtimes: { edge: "deno", core: "deno" } },
  bun: { title: "Bun", runtimes: { edge: "bun", core: "bun" } },
  workerd: { title: "workerd edge, Node core", runtimes: { edge: "workerd", core: "node" } },
} as const satisfies Readonly<Record<string, Pairing>>;

/** undefined if there is none of this name. */
export function pairingOf(name: string): Pairing | undefined {
  return Object.hasOwn(PAIRINGS, name) ? PAIRINGS[name as keyof typeof PAIRINGS] : undefined;
}

/** The runtimes with their versions, `Node 24.21.0`. Each is installed as a package of its name. */
export async function versionsOf({ edge, core }: Pairing["runtimes"]): Promise<string> {
  const withVersion = async (name: TierRuntime) => `${TITLES[name]} ${await versionOf(name)}`;
  return edge === core
    ? await withVersion(core)
    : `${await withVersion(edge)} (edge), ${await withVersion(core)} (core)`;
}
