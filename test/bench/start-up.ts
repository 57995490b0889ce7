// How long the tiers take from spawn to ready: at first, with nothing kept on disk, and again on what the first start left there.
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openOwnHub } from "../support/hub/hub.ts";
import type { Tier, TierRuntimes } from "../support/hub/tier-process.ts";

export const START_UPS = [
  "core, first start, ms",
  "edge, first start, ms",
  "core, started again, ms",
  "edge, started again, ms",
];

/** A hub that does not run between measurements. */
export interface Startable extends AsyncDisposable {
  /** Removes data and caches, then starts and stops the tiers twice; the figures are those of START_UPS. */
  readonly startUps: () => Promise<number[]>;
}

export async function openStartable(
  runtimes: TierRuntimes,
  settings: Readonly<Record<string, string>>,
): Promise<Startable> {
  const directory = await mkdtemp(join(tmpdir(), "tidings-start-up-"));
  const [dataDir, caches] = [join(directory, "data"), join(directory, "caches")];
  const remove = () => rm(directory, { recursive: true, force: true, maxRetries: 3 });
  // Each runtime keeps compiled code in a place of its own.
  const kept = {
    NODE_COMPILE_CACHE: join(caches, "node"),
    DENO_DIR: join(caches, "deno"),
    BUN_RUNTIME_TRANSPILER_CACHE_PATH: join(caches, "bun"),
  };
  const hub = await openOwnHub({ runtimes, dataDir, settings: { ...settings, ...kept } }).catch(
    async (error: unknown) => {
      await remove();
      throw error;
    },
  );
  const stop = async () => {
    await hub.stop("edge");
    await hub.stop("core");
  };
  const timed = async (tier: Tier) => {
    const startedAt = performance.now();
    await hub.start(tier);
    return performance.now() - startedAt;
  };
  const both = async () => {
    try {
      return [await timed("core"), await timed("edge")];
    } finally {
      await stop();
    }
  };
  await stop();
  return {
    async startUps() {
      for (const name of await readdir(directory)) await rm(join(directory, name), { recursive: true });
      return [...await both(), ...await both()];
    },
    async [Symbol.asyncDispose]() {
      await hub.close();
      await remove();
    },
  };
}
