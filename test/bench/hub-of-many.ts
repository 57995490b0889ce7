// A hub whose cores share the shards, with the interface of a hub with one core.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openFleet } from "../support/hub/fleet.ts";
import type { OwnHub } from "../support/hub/hub.ts";
import type { TierRuntimes } from "../support/hub/tier-process.ts";

/** Starts an edge and this many cores. A call for "the core" goes to all of them. */
export async function openHubOfMany(
  cores: number,
  settings: Readonly<Record<string, string>>,
  runtimes?: TierRuntimes,
): Promise<{ readonly hub: OwnHub; readonly corePids: () => number[] }> {
  const dataDir = await mkdtemp(join(tmpdir(), "tidings-bench-"));
  const fleet = await openFleet({ cores, edges: 1, settings, dataDir, runtimes });
  const membersOf = (tier: "core" | "edge") => tier === "core" ? fleet.cores : fleet.edges;
  const all = async <T>(tier: "core" | "edge", what: (member: (typeof fleet.members)[number]) => Promise<T>) =>
    await Promise.all(membersOf(tier).map(what));
  const hub: OwnHub = {
    ...fleet.hubs[0]!,
    dataDir,
    coreUrl: fleet.cores[0]!.url,
    operatingUrl: (tier) => membersOf(tier)[0]!.operatingUrl,
    kill: async (tier) => void await all(tier, (member) => member.kill()),
    start: async (tier) => void await all(tier, (member) => member.start()),
    stop: async (tier) => (await all(tier, (member) => member.stop()))[0] ?? null,
    pid: (tier) => membersOf(tier)[0]!.pid,
    async close() {
      await fleet.close();
      await rm(dataDir, { recursive: true, force: true, maxRetries: 3 });
    },
  };
  return { hub, corePids: () => fleet.cores.flatMap(({ pid }) => pid ?? []) };
}
