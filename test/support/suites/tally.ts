// What a run of tests came to, by suite, and several runs side by side.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Target, TARGETS } from "./targets.ts";

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** By the suite's name. */
export type Tally = Readonly<Record<string, Counts>>;

export const NOTHING: Counts = { passed: 0, failed: 0, skipped: 0 };

/** The last whole run of each target; a fresh install has none. */
const KEPT = fileURLToPath(new URL("../../../node_modules/.cache/tidings/tests/", import.meta.url));

/** Suites by the beginnings of their files' paths, in the order of the table. */
const SUITES: readonly (readonly [at: string, name: string])[] = [
  ["test/conformance/embedded", "conformance, embedded log"],
  ["test/conformance/kafka", "conformance, Kafka"],
  ["test/conformance/token", "conformance, tokens"],
  ["test/core/log/libsql.test.ts", "log contract, embedded"],
  ["test/core/log/kafka.test.ts", "log contract, Kafka"],
  ["test/core/log/kafka/", "Kafka adapter"],
  ["test/shared/", "units of shared"],
  ["test/core/", "units of the core"],
  ["test/edge/", "units of the edge"],
  ["test/client/", "units of the client"],
  ["test/clients/", "third-party clients"],
  ["test/hostile/", "hostile input"],
  ["test/scenario/", "scenarios"],
  ["test/simulation/", "simulation"],
];
const OTHER = "the tree and others";

export function suiteOf(path: string): string {
  return SUITES.find(([at]) => path.startsWith(at))?.[1] ?? OTHER;
}

/** Adds up the files of each suite. */
export function tallyOf(files: Iterable<readonly [path: string, counts: Counts]>): Tally {
  const tally: Record<string, Counts> = {};
  for (const [path, counts] of files) {
    const suite = suiteOf(path);
    tally[suite] = sum([tally[suite] ?? NOTHING, counts]);
  }
  return tally;
}

export function sum(all: readonly Counts[]): Counts {
  return all.reduce((so, { passed, failed, skipped }) => ({
    passed: so.passed + passed,
    failed: so.failed + failed,
    skipped: so.skipped + skipped,
  }), NOTHING);
}

/** Lines of a table: suites down, targets across, each cell `passed/failed/skipped`. */
export function table(runs: ReadonlyMap<Target, Tally>): string[] {
  const targets = [...runs.keys()];
  const suites = [...SUITES.map(([, name]) => name), OTHER]
    .filter((suite) => targets.some((target) => runs.get(target)![suite] !== undefined));
  const cell = (counts: Counts | undefined) =>
    counts === undefined ? "–" : `${counts.passed}/${counts.failed}/${counts.skipped}`;
  const rows = [
    ["passed/failed/skipped", ...targets],
    ...suites.map((suite) => [suite, ...targets.map((target) => cell(runs.get(target)![suite]))]),
    ["all", ...targets.map((target) => cell(sum(Object.values(runs.get(target)!))))],
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row.map((text, column) => column === 0 ? text.padEnd(widths[0]!) : text.padStart(widths[column]!)).join("  ")
  );
}

/** Keeps a target's whole run for the table of all targets. */
export async function keep(target: Target, tally: Tally): Promise<void> {
  await mkdir(KEPT, { recursive: true });
  await writeFile(join(KEPT, `${target}.json`), JSON.stringify(tally));
}

/** The kept runs of all targets that have one. */
export async function keptRuns(): Promise<Map<Target, Tally>> {
  const runs = new Map<Target, Tally>();
  for (const target of TARGETS) {
    const text = await readFile(join(KEPT, `${target}.json`), "utf8").catch(() => undefined);
    if (text !== undefined) runs.set(target, JSON.parse(text) as Tally);
  }
  return runs;
}
