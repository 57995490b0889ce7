// Where a core on Bun spent its time. Bun writes one profile of a process's whole run when it ends; of this, the parts count in which
// something was measured.
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { clock } from "./clock.ts";
import { nameOf, type Profile, type Profiler, reportTimes } from "./profile.ts";

const INTERVAL_US = 500;
/** Bun takes no samples while it is idle: the time beyond this before a sample was idle. */
const LONGEST_SAMPLE_US = 4 * INTERVAL_US;

export interface BunProfiling {
  /** The environment in which a tier must start. */
  readonly environment: Readonly<Record<string, string>>;
  /** `stopCore` ends the core before the report, which needs its profile. */
  readonly open: (pid: number, stopCore: () => Promise<unknown>) => Profiler;
  /** Removes the profiles; to be called when all tiers have ended. */
  readonly remove: () => Promise<void>;
}

interface Measured {
  readonly name: string;
  /** By clock.ts. */
  readonly from: number;
  readonly to: number;
}

export async function prepareBunProfiling(): Promise<BunProfiling> {
  const directory = await mkdtemp(join(tmpdir(), "tidings-profile-"));
  return {
    remove: () => rm(directory, { recursive: true, force: true }),
    environment: { BUN_OPTIONS: `--cpu-prof --cpu-prof-dir=${directory} --cpu-prof-interval=${INTERVAL_US}` },
    open(pid, stopCore) {
      const measured: Measured[] = [];
      return {
        async during(name, work) {
          const from = clock();
          const result = await work();
          measured.push({ name, from, to: clock() });
          return result;
        },
        async report() {
          await stopCore();
          const file = (await readdir(directory)).find((name) => name.includes(`.${pid}.`));
          if (file === undefined) throw new Error(`Bun has written no profile of the core (${pid}) to ${directory}`);
          const profile = JSON.parse(await readFile(join(directory, file), "utf8")) as Profile & { startTime: number };
          for (const [name, times] of timesOf(profile, measured)) reportTimes(name, times);
        },
        close() {},
      };
    },
  };
}

/** µs of each function, for each name. `startTime`: µs since 1970. */
function timesOf(
  { startTime, nodes, samples, timeDeltas }: Profile & { readonly startTime: number },
  measured: readonly Measured[],
): Map<string, Map<string, number>> {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const all = new Map<string, Map<string, number>>();
  let at = startTime;
  for (const [index, id] of samples.entries()) {
    const delta = timeDeltas[index] ?? 0;
    at += delta;
    const within = measured.find(({ from, to }) => at / 1000 >= from && at / 1000 <= to);
    if (within === undefined) continue;
    const times = all.get(within.name) ?? new Map<string, number>();
    all.set(within.name, times);
    const busy = Math.min(delta, LONGEST_SAMPLE_US);
    for (const [name, time] of [[names.get(id) ?? "?", busy], ["(idle)", delta - busy]] as const) {
      times.set(name, (times.get(name) ?? 0) + time);
    }
  }
  return all;
}
