// Where the core spent its time during a measurement, by its inspector: one profile for each measurement.
import { row, table } from "./table.ts";

export interface Profiler {
  /** Profiles the core while `work` runs; profiles with the same name add up. */
  readonly during: <T>(name: string, work: () => Promise<T>) => Promise<T>;
  /** Prints a table for each name: the functions with the most time of their own. */
  readonly report: () => Promise<void>;
  readonly close: () => void;
}

export interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  /** µs since the previous sample. */
  readonly timeDeltas: readonly number[];
}

/** Lets a process open an inspector on a free port and say so on stderr. */
export const INSPECTED = { NODE_OPTIONS: "--inspect=127.0.0.1:0" } as const;
export const NO_PROFILER: Profiler = { during: (_name, work) => work(), report: () => Promise.resolve(), close() {} };

const SAMPLING_US = 500;
const MOST = 25;

/** Connects to the first inspector that this output names: the core's. */
export async function openProfiler(output: string): Promise<Profiler> {
  const [url] = /ws:\/\/\S+/.exec(output) ?? [];
  if (url === undefined) throw new Error("The core does not say where its inspector is");
  const socket = new WebSocket(url);
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener("open", () => resolve());
    socket.addEventListener("error", () => reject(new Error(`Cannot connect to ${url}`)));
  });
  const waiting = new Map<number, (result: unknown) => void>();
  socket.addEventListener("message", ({ data }) => {
    const { id, result } = JSON.parse(String(data)) as { id: number; result: unknown };
    waiting.get(id)?.(result);
    waiting.delete(id);
  });
  let asked = 0;
  const ask = (method: string, params = {}) =>
    new Promise<unknown>((resolve) => {
      const id = ++asked;
      waiting.set(id, resolve);
      socket.send(JSON.stringify({ id, method, params }));
    });
  await ask("Profiler.enable");
  await ask("Profiler.setSamplingInterval", { interval: SAMPLING_US });

  const times = new Map<string, Map<string, number>>();
  return {
    async during(name, work) {
      await ask("Profiler.start");
      const result = await work();
      const { profile } = await ask("Profiler.stop") as { profile: Profile };
      let known = times.get(name);
      if (known === undefined) times.set(name, known = new Map());
      addTo(known, profile);
      return result;
    },
    report() {
      for (const [name, functions] of times) reportTimes(name, functions);
      return Promise.resolve();
    },
    close: () => socket.close(),
  };
}

function addTo(times: Map<string, number>, { nodes, samples, timeDeltas }: Profile): void {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  for (const [index, id] of samples.entries()) {
    const name = names.get(id) ?? "?";
    times.set(name, (times.get(name) ?? 0) + (timeDeltas[index] ?? 0));
  }
}

/** Prints a table of the functions with the most time of their own. `times`: µs by function; what is idle is named so. */
export function reportTimes(name: string, times: ReadonlyMap<string, number>): void {
  const all = [...times.values()].reduce((sum, time) => sum + time, 0);
  const busy = all - (times.get("(idle)") ?? 0);
  table([`core, ${name}: busy for ${Math.round(busy / all * 100)} % of ${(all / 1e6).toFixed(1)} s`, "% of that"]);
  const longest = [...times].filter(([known]) => known !== "(idle)").sort(([, one], [, other]) => other - one);
  for (const [known, time] of longest.slice(0, MOST)) row(known, time / busy * 100);
}

/** A function with its place. */
export function nameOf({ functionName, url, lineNumber }: Profile["nodes"][number]["callFrame"]): string {
  const name = functionName || "(anonymous)";
  if (url === "") return name;
  const place = url.replace(/^.*\/node_modules\//, "").replace(/^file:.*\/(core|edge|shared)\//, "$1/");
  return `${name} ${place}:${lineNumber + 1}`;
}
