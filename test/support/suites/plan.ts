// Which test files run for a target, and how. By default every file runs for Node, Deno and Bun; the exceptions are named here.
import { closure, type Tree } from "../architecture.ts";
import type { Target } from "./targets.ts";

/** A file that starts tiers or other programs runs on Node and starts them on the target; any other file runs in the target's own runtime. */
export interface Plan {
  readonly inside: readonly string[];
  readonly against: readonly string[];
}

interface Exception {
  /** The beginning of the files' paths. */
  readonly at: string;
  /** The targets that leave them out. */
  readonly on: readonly Target[];
  readonly why: string;
  /** Whether they can run there, and do if they are named on the command line. */
  readonly byHand?: boolean;
}

const OTHERS = ["deno", "bun"] as const;

/** Scenarios on Kafka that take minutes each. `restart`, `trust` and the other short ones run for every runtime. */
const LONG_SCENARIOS = ["brokers", "chaos", "cores", "silent-broker"].map((name): Exception => ({
  at: `test/scenario/${name}`,
  on: OTHERS,
  byHand: true,
  why: "It takes minutes; `npm run chaos` on the runtime shows more.",
}));

export const EXCEPTIONS: readonly Exception[] = [
  { at: "test/architecture.test.ts", on: OTHERS, why: "It judges the tree, whatever runtime runs it." },
  { at: "test/regular-expressions.test.ts", on: OTHERS, why: "It judges the tree, whatever runtime runs it." },
  { at: "test/documents.test.ts", on: OTHERS, why: "It judges the documents, whatever runtime runs it." },
  { at: "test/support/documents/", on: OTHERS, why: "It tests the rules on documents, whatever runtime runs them." },
  { at: "test/support/suites/", on: OTHERS, why: "It tests this runner, which runs on Node." },
  { at: "test/scenario/commands.test.ts", on: OTHERS, why: "It tests `npm run` of commands that run on Node." },
  { at: "test/scenario/package.test.ts", on: OTHERS, why: "It runs the installed package on each runtime itself." },
  { at: "test/scenario/binaries.test.ts", on: OTHERS, why: "It runs files that have their runtime inside." },
  { at: "test/images/", on: OTHERS, why: "It tests images, whose runtime is Node." },
  {
    at: "test/edge/worker/",
    on: ["node", ...OTHERS],
    byHand: true,
    why: "It tests an edge on workerd, and runs for that target.",
  },
  {
    at: "test/clients/",
    on: ["node", ...OTHERS],
    byHand: true,
    why: "It tests clients that others wrote, which are fetched first, and runs by `npm run test:clients`.",
  },
  { at: "test/scenario/own-install.test.ts", on: ["node"], byHand: true, why: "It is about people without Node." },
  {
    at: "test/conformance/kafka.test.ts",
    on: OTHERS,
    byHand: true,
    why: "It takes a minute, and the log's contract on Kafka runs for each runtime.",
  },
  {
    at: "test/simulation/",
    on: OTHERS,
    byHand: true,
    why: "It takes minutes, and virtual time leaves little that a runtime could do differently.",
  },
  ...LONG_SCENARIOS,
];

/** The targets that run only what begins with these paths. */
const ONLY: Readonly<Partial<Record<Target, readonly string[]>>> = {
  // A Worker is an edge only: these paths show what an edge does with a core behind it.
  worker: [
    "test/conformance/embedded.test.ts",
    "test/conformance/token.test.ts",
    "test/demo/demo.test.ts",
    "test/edge/worker/",
    "test/hostile/hub.test.ts",
    "test/hostile/fuzz.test.ts",
    "test/hostile/headers.test.ts",
  ],
  clients: ["test/clients/"],
};

const STARTS_TIERS = "test/support/hub/tier-process.ts";

/** These run on Node, and start programs on the target by themselves (RUNTIMES in test/support/runtimes.ts). */
const STARTS_PROGRAMS = [
  "test/cli/bin.test.ts",
  "test/demo/demo.test.ts",
  "test/scenario/own-install.test.ts",
  "test/scenario/start.test.ts",
  "test/scenario/start-places.test.ts",
  "test/scenario/start-cores.test.ts",
  "test/shared/runtime/launcher.test.ts",
  "test/shared/runtime/unread-output.test.ts",
];

/** The tests of rules on the whole tree. */
const ON_THE_TREE = /^test\/[^/]+\.test\.ts$/;
/** Modules of Node that open no socket and start no process, and packages that do. */
const HARMLESS = /^node:(?:test|assert|assert\/strict|crypto|buffer|path|url|fs|fs\/promises|util|events)$/;
const OPENS = /^(?:undici|kafkajs|@libsql\/client|drizzle-orm|@hono\/node-server|oxc-parser|pubsubhubbub)(?:\/|$)/;

/** Long files start first, so that the run does not end with one of them alone. */
const LONG = ["test/conformance/", "test/scenario/", "test/core/log/", "test/simulation/", "test/core/shards/"];

/** All test files at these paths, long ones first; all files if no path is given. */
export function testFiles(tree: Tree, paths: readonly string[]): string[] {
  return [...tree.keys()]
    .filter((path) => path.startsWith("test/") && path.endsWith(".test.ts"))
    .filter((path) => paths.length === 0 || paths.some((start) => path.startsWith(start)))
    .toSorted((a, b) => rank(a) - rank(b) || a.localeCompare(b));
}

/**
 * What of these files runs for the target. `named`: the user named them, so those for the hand run too. `check`: only the rules on
 * the tree, and the files that open nothing.
 */
export function planOf(
  tree: Tree,
  files: readonly string[],
  target: Target,
  { named = false, check = false }: { readonly named?: boolean; readonly check?: boolean },
): Plan {
  const wanted = files.filter((path) => !check || ON_THE_TREE.test(path) || opensNothing(tree, path))
    .filter((path) => !EXCEPTIONS.some((one) => excepts(one, path, target) && !(named && one.byHand === true)))
    .filter((path) => ONLY[target]?.some((start) => path.startsWith(start)) ?? true);
  const starts = (path: string) => STARTS_PROGRAMS.includes(path) || closure(tree, path).files.includes(STARTS_TIERS);
  return { inside: wanted.filter((path) => !starts(path)), against: wanted.filter(starts) };
}

function excepts({ at, on }: Exception, path: string, target: Target): boolean {
  return path.startsWith(at) && on.includes(target);
}

/** Whether a test file only computes: many of them run in one process, in seconds. It looks at what the file imports. */
function opensNothing(tree: Tree, path: string): boolean {
  return closure(tree, path).externals.every((name) =>
    name.startsWith("node:") ? HARMLESS.test(name) : !OPENS.test(name)
  );
}

function rank(path: string): number {
  const at = LONG.findIndex((start) => path.startsWith(start));
  return at < 0 ? LONG.length : at;
}
