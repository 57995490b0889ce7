// The architecture's rules as functions over parsed files (ARCHITECTURE §1, CONTRIBUTING.md); architecture.test.ts calls them.
import { readdir, readFile } from "node:fs/promises";
import { builtinModules } from "node:module";
import { posix } from "node:path";
import { type ParseResult, parseSync } from "oxc-parser";

export interface Module {
  /** From the repository's root, with forward slashes. */
  readonly path: string;
  /** Specifiers as written, of values and of types, static and dynamic. */
  readonly imports: readonly string[];
  /** Runtime names in the file's code; names of properties and words in comments do not count. */
  readonly runtimeNames: readonly string[];
  /** Whether it calls the global `fetch`. */
  readonly callsFetch: boolean;
  readonly reexports: boolean;
  readonly functions: readonly CodeFunction[];
}

/** A function declaration or expression, an arrow, a method or an accessor. */
export interface CodeFunction {
  /** Its own name, else that of the variable, property or method it is the value of; "" if it has none. */
  readonly name: string;
  /** The line it begins in, from 1. */
  readonly line: number;
  readonly lines: number;
}

export type Tree = ReadonlyMap<string, Module>;
const ROOT = new URL("../../", import.meta.url);

type Rule = (tree: Tree) => string[];

/** Which folder may import which; a folder that is not named here may import all. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  edge: ["edge", "shared"],
  core: ["core", "shared"],
  client: ["client", "shared"],
  cli: ["cli", "client", "shared"],
  shared: ["shared"],
};
/**
 * The rooms of each tier, from the top down: a room imports from rooms that stand below it, types too (ARCHITECTURE §1). A tier's
 * own files are its first room. A new folder takes its place here.
 */
export const ROOMS: Readonly<Record<string, readonly string[]>> = {
  core: [
    "core",
    "core/face",
    "core/operating",
    "core/effects",
    "core/missed",
    "core/requests",
    "core/shards",
    "core/replica",
    "core/delivery",
    "core/delivery/sending",
    "core/delivery/reading",
    "core/delivery/lane",
    "core/messages",
    "core/state",
    "core/keys",
    "core/log/kafka",
    "core/log/kafka/cluster",
    "core/log/kafka/protocol",
    "core/log/libsql",
    "core/log",
    "core/sqlite",
  ],
  edge: [
    "edge",
    "edge/operating",
    "edge/hub",
    "edge/subscriber",
    "edge/limits",
    "edge/auth",
    "edge/syntax",
    "edge/answers",
    "edge/core",
  ],
  shared: [
    "shared/runtime/workerd",
    "shared/runtime",
    "shared/runtime/names",
    "shared/settings",
    "shared/outbound",
    "shared/shares",
    "shared",
  ],
  client: ["client"],
  cli: ["cli"],
};
/** The files that run something; only they inject the runtime's adapters. */
const ENTRIES = new Set([
  "cli/commands.ts",
  "cli/tidings.ts",
  "edge/main.ts",
  "edge/open.ts",
  "edge/worker.ts",
  "core/main.ts",
  "core/open.ts",
  "client/listen.ts",
]);
const RUNTIME = "shared/runtime/";
const WORKER = "edge/worker.ts";
/** The only file that imports undici: on Bun the bare name is a shim that is not guarded. */
const UNDICI = "shared/undici.ts";
const LOG_ADAPTER = /^core\/log\/(?:libsql|kafka)(?:[-/.]|$)/;
const RUNTIME_NAMES = new Set(["process", "Deno", "Bun"]);
const GLOBAL_OBJECTS = new Set(["globalThis", "global", "self"]);
/** Packages on the edge's path, each without any `node:` import of its own. */
const EDGE_PACKAGES = new Set([
  "hono",
  "valibot",
  "fastest-levenshtein",
  "ipaddr.js",
  "jose",
  "tldts",
  "@logtape/logtape",
]);
const EMPTY_NAMES = new Set(["utils", "util", "helpers", "common", "types", "index", "services", "manager", "misc"]);

/** A longer function is several (CONTRIBUTING.md, "How it is written"). */
const MOST_LINES = 100;

/** Parses a TypeScript file. @throws {Error} if it cannot be parsed */
export function parseSource(path: string, source: string): ParseResult {
  const parsed = parseSync(path, source);
  if (parsed.errors.length > 0) throw new Error(`Cannot parse ${path}: ${parsed.errors[0]?.message}`);
  return parsed;
}

/** Reads one file's imports, functions and runtime names. @throws {Error} if it cannot be parsed */
export function parseModule(path: string, source: string): Module {
  const { program, module } = parseSource(path, source);
  const imports = module.staticImports.map((entry) => entry.moduleRequest.value);
  let reexports = false;
  for (const { moduleRequest } of module.staticExports.flatMap(({ entries }) => entries)) {
    if (moduleRequest == null) continue;
    imports.push(moduleRequest.value);
    reexports = true;
  }
  for (const { moduleRequest } of module.dynamicImports) {
    imports.push(source.slice(moduleRequest.start, moduleRequest.end).replace(/^(["'])(.*)\1$/, "$2"));
  }
  const runtimeNames = new Set<string>();
  const ownFetch = module.staticImports.some(({ entries }) =>
    entries.some((entry) => entry.localName.value === "fetch")
  );
  let callsFetch = false;
  walk(program, (node) => {
    if (node.type === "TSImportType") imports.push(String(record(node["source"])?.["value"]));
    if (node.type === "Identifier" && RUNTIME_NAMES.has(String(node["name"]))) runtimeNames.add(String(node["name"]));
    if (node.type === "CallExpression" && record(node["callee"])?.["name"] === "fetch" && !ownFetch) callsFetch = true;
    if (node.type !== "MemberExpression" || !GLOBAL_OBJECTS.has(String(record(node["object"])?.["name"]))) return;
    const property = record(node["property"]);
    const name = String(property?.["name"] ?? property?.["value"]);
    if (name === "fetch") callsFetch = true;
    if (RUNTIME_NAMES.has(name)) runtimeNames.add(`${String(record(node["object"])?.["name"])}.${name}`);
  });
  return {
    path,
    imports: [...new Set(imports)],
    runtimeNames: [...runtimeNames],
    callsFetch,
    reexports,
    functions: functionsIn(program, source),
  };
}

/** Reads every file of the repository's code. */
export async function readTree(): Promise<Tree> {
  const tree = new Map<string, Module>();
  for (const top of ["cli", "edge", "core", "shared", "client", "deploy", "test"]) {
    const names = await readdir(new URL(top, ROOT), { recursive: true });
    for (const name of names.filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))) {
      const path = `${top}/${name.replaceAll("\\", "/")}`;
      tree.set(path, parseModule(path, await readFile(new URL(path, ROOT), "utf8")));
    }
  }
  return tree;
}

/** Everything that a file imports, directly or not: files of the tree, itself included, and modules outside. */
export function closure(tree: Tree, path: string): { readonly files: string[]; readonly externals: string[] } {
  const files = new Set([path]);
  const externals = new Set<string>();
  // The iteration also visits the files that are added meanwhile.
  for (const file of files) {
    for (const specifier of tree.get(file)?.imports ?? []) if (!specifier.startsWith(".")) externals.add(specifier);
    for (const target of targets(tree, file)) files.add(target);
  }
  return { files: [...files], externals: [...externals] };
}

/** All violations of all rules, one sentence each. */
export function violations(tree: Tree): string[] {
  return Object.values(RULES).flatMap((rule) => rule(tree));
}

export const RULES = {
  arrows: (tree) =>
    edges(tree).flatMap(({ from, to }) => {
      const allowed = ARROWS[folder(from)];
      if (allowed !== undefined && !allowed.includes(folder(to))) return [`${from} imports ${to}: against the arrows`];
      if (to.startsWith(RUNTIME) && allowed !== undefined && !from.startsWith(RUNTIME) && !ENTRIES.has(from)) {
        return [`${from} imports ${to}: the runtime's adapters are injected by an entry (${[...ENTRIES].join(", ")})`];
      }
      const chooses = from === "core/open.ts" || folder(from) === "test" || LOG_ADAPTER.test(from);
      if (LOG_ADAPTER.test(to) && !chooses) {
        return [`${from} imports ${to}: only core/open.ts chooses the log's adapter`];
      }
      return [];
    }),

  rooms: (tree) => {
    const unplaced = new Set([...tree.keys()].filter((path) => folder(path) in ROOMS && placeOf(path) < 0).map(roomOf));
    return [
      ...[...unplaced].map((room) => `${room} has no place among the rooms of its tier (test/support/architecture.ts)`),
      ...edges(tree).filter(({ from, to }) =>
        folder(from) === folder(to) && placeOf(from) > placeOf(to) && placeOf(to) >= 0
      )
        .map(({ from, to }) =>
          `${from} imports ${to}: rooms import downwards, and ${roomOf(to)} is above ${roomOf(from)}`
        ),
    ];
  },

  pairs: (tree) => {
    const imports = new Map<string, string>();
    for (const { from, to } of edges(tree)) {
      if (roomOf(from) !== roomOf(to)) imports.set(`${roomOf(from)} → ${roomOf(to)}`, `${from} imports ${to}`);
    }
    return [...imports].flatMap(([direction, there]) => {
      const [one, other] = direction.split(" → ");
      const back = imports.get(`${other} → ${one}`);
      if (back === undefined || one! > other!) return [];
      return [`${one} and ${other} import each other: ${there}, and ${back}`];
    });
  },

  unresolved: (tree) =>
    [...tree.values()].flatMap(({ path, imports }) =>
      imports
        .filter((specifier) => specifier.startsWith(".") ? !isFile(tree, resolve(path, specifier)) : !isBare(specifier))
        .map((specifier) => `${path} imports ${specifier}: not a file of the tree, nor a package`)
    ),

  cycles: (tree) => {
    const found: string[] = [];
    const done = new Set<string>();
    const visit = (path: string, trail: readonly string[]): void => {
      const at = trail.indexOf(path);
      if (at >= 0) {
        found.push(`a cycle: ${[...trail.slice(at), path].join(" → ")}`);
        return;
      }
      if (done.has(path)) return;
      for (const to of targets(tree, path)) visit(to, [...trail, path]);
      done.add(path);
    };
    for (const path of tree.keys()) visit(path, []);
    return found;
  },

  runtimeNames: (tree) =>
    [...tree.values()].filter(({ path }) => folder(path) in ARROWS && !path.startsWith(RUNTIME)).flatMap((module) => [
      ...module.runtimeNames.map((name) => `${module.path} says ${name}: only ${RUNTIME} may name a runtime`),
      ...module.imports.filter((specifier) => /^(?:bun(?::|$)|(?:node:)?process$)/.test(specifier))
        .map((specifier) => `${module.path} imports ${specifier}: only ${RUNTIME} may name a runtime`),
    ]),

  undici: (tree) =>
    [...tree.values()].flatMap(({ path, imports }) =>
      imports.filter((name) => packageOf(name) === "undici" && (path !== UNDICI || name === "undici"))
        .map((name) => `${path} imports ${name}: only ${UNDICI} may import it, by the name of its file`)
    ),

  // A proxy that the environment names would get the call on Deno and Bun, so the hub's clients are undici's. A Worker has no other.
  fetch: (tree) =>
    [...tree.values()].filter(({ path, callsFetch }) => callsFetch && folder(path) in ARROWS && path !== WORKER)
      .map(({ path }) => `${path} calls fetch: calls go through HttpClient (shared/http-client.ts) or Outbound`),

  edgePath: (tree) => {
    const found: string[] = [];
    const seen = new Map<string, readonly string[]>();
    const visit = (path: string, trail: readonly string[]): void => {
      // The adapters of a process are its entry's matter; a Worker's may need no more than the edge itself.
      if (seen.has(path) || (path.startsWith(RUNTIME) && trail[0] !== WORKER)) return;
      seen.set(path, trail);
      for (const specifier of tree.get(path)?.imports ?? []) {
        if (specifier === "cloudflare:workers" && path === WORKER) continue;
        const isNode = specifier.startsWith("node:") || builtinModules.includes(specifier);
        const isUnknown = !specifier.startsWith(".") && !EDGE_PACKAGES.has(packageOf(specifier));
        if (!isNode && !isUnknown) continue;
        found.push(`${[...trail, path].join(" → ")} imports ${specifier}: not on the edge's path`);
      }
      for (const to of targets(tree, path)) visit(to, [...trail, path]);
    };
    for (const path of tree.keys()) if (folder(path) === "edge" && !ENTRIES.has(path)) visit(path, []);
    if (tree.has(WORKER)) visit(WORKER, []);
    return found;
  },

  functions: (tree) =>
    [...tree.values()].filter(({ path }) => folder(path) in ARROWS).flatMap(({ path, functions }) =>
      functions.filter(({ lines }) => lines > MOST_LINES)
        .map(({ name, line, lines }) =>
          `${path}:${line}: ${name || "a function"} has ${lines} lines, at most ${MOST_LINES} may be: cut it by idea`
        )
    ),

  names: (tree) =>
    [...tree.values()].flatMap(({ path, reexports }) => [
      ...path.split("/").filter((part) => EMPTY_NAMES.has(part.replace(/\.ts$/, "")))
        .map((part) => `${path}: "${part}" says nothing, name the idea`),
      ...(reexports && path !== UNDICI
        ? [`${path} exports from another file: no barrels, import the file that owns the name`]
        : []),
    ]),
} satisfies Record<string, Rule>;

function edges(tree: Tree): { from: string; to: string }[] {
  return [...tree.keys()].flatMap((from) => targets(tree, from).map((to) => ({ from, to })));
}

function targets(tree: Tree, path: string): string[] {
  return (tree.get(path)?.imports ?? []).filter((specifier) => specifier.startsWith("."))
    .map((specifier) => resolve(path, specifier)).filter((target) => tree.has(target));
}

function resolve(path: string, specifier: string): string {
  return posix.join(posix.dirname(path), specifier);
}

function isFile(tree: Tree, path: string): boolean {
  // Declarations of packages without types are not part of the tree.
  return tree.has(path) || path.endsWith(".d.ts");
}

function folder(path: string): string {
  return path.slice(0, Math.max(0, path.indexOf("/")));
}

function roomOf(path: string): string {
  return posix.dirname(path);
}

/** The place of a file's room in its tier, counted from the top; -1 if it has none. */
function placeOf(path: string): number {
  return ROOMS[folder(path)]?.indexOf(roomOf(path)) ?? -1;
}

function isBare(specifier: string): boolean {
  return /^(?:@[a-z0-9._-]+\/)?[a-z0-9][a-z0-9._-]*(?:[/:][A-Za-z0-9._/-]+)?$/.test(specifier);
}

function packageOf(specifier: string): string {
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}

function functionsIn(program: unknown, source: string): CodeFunction[] {
  const found: CodeFunction[] = [];
  const ends = [...source.matchAll(/\n/g)].map(({ index }) => index);
  const lineAt = (offset: number) => {
    const line = ends.findIndex((end) => end >= offset);
    return 1 + (line < 0 ? ends.length : line);
  };
  const visit = (value: unknown, name: string): void => {
    if (Array.isArray(value)) {
      for (const item of value) visit(item, name);
      return;
    }
    const node = record(value);
    if (node === undefined) return;
    const type = String(node["type"]);
    const own = nameOf(node["id"]) ?? nameOf(node["key"]);
    if (/Function(?:Declaration|Expression)$/.test(type)) {
      const [start, end] = [Number(node["start"]), Number(node["end"])];
      const line = lineAt(start);
      found.push({ name: own ?? name, line, lines: lineAt(end - 1) - line + 1 });
    }
    // A name is the value's that stands right behind it, not of what that value contains.
    const isNamed = /^(?:VariableDeclarator|Property|PropertyDefinition|MethodDefinition)$/.test(type);
    for (const child of Object.values(node)) visit(child, isNamed ? own ?? "" : "");
  };
  visit(program, "");
  return found;
}

/** The name of an identifier's node; undefined for any other. */
function nameOf(value: unknown): string | undefined {
  const name = record(value)?.["name"];
  return typeof name === "string" ? name : undefined;
}

interface Node extends Readonly<Record<string, unknown>> {
  readonly type: string;
}

function record(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === "object" && value !== null ? value as Readonly<Record<string, unknown>> : undefined;
}

/** Visits every node except the names of properties, which refer to nothing. */
function walk(value: unknown, visit: (node: Node) => void): void {
  if (Array.isArray(value)) {
    for (const item of value) walk(item, visit);
    return;
  }
  const node = record(value);
  if (node === undefined) return;
  if (typeof node["type"] === "string") visit(node as Node);
  for (const [key, child] of Object.entries(node)) {
    if ((key === "property" || key === "key") && node["computed"] !== true) continue;
    if (key === "imported" || key === "exported") continue;
    if (key === "right" && node["type"] === "TSQualifiedName") continue;
    walk(child, visit);
  }
}
