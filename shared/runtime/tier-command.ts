// The command line of a tier's process on this runtime, or on another one (for tests): its flags, and what Deno lets it do.
import { dirname } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { namedPlaces, PREFIX } from "../settings/settings.ts";
import { libsqlBinaries, RUN } from "./installation.ts";
import { HOSTS_FILE, RESOLV_CONF } from "./names/system-files.ts";
import { neverCalled } from "./never-called.ts";
import { NODE_ENVIRONMENT, NODE_FLAGS, YOUNG_GENERATION } from "./node-flags.ts";
import { type Runtime, runtime } from "./which.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** The programs that a launcher runs: the two tiers, and the one that makes keys before several cores start. */
export type Program = "core" | "edge" | "keys";

export interface CommandOptions {
  /** Default this runtime. */
  readonly on?: Runtime;
  /** The runtime's program; default this process's. */
  readonly executable?: string;
  /** Run instead of the program itself, for tests. */
  readonly script?: URL | undefined;
}

/** The longest head that HEADERS_MAX_BYTES allows; Bun's own limit is 16 KiB. */
const BUN_HEADER_BYTES = 131_072;

/** Names that packages ask for: undici the first two, libSQL the third, kafkajs the rest. */
const NAMES_OF_PACKAGES = ["JEST_WORKER_ID", "UNDICI_NO_WASM_SIMD", "LIBSQL_JS_DEV", "KAFKAJS_*"];

/** Every tier's process gets these names; a value that the environment has already stays. */
const TIER_ENVIRONMENT: Readonly<Record<string, string>> = {
  ...NODE_ENVIRONMENT,
  // Deno asks its maker for a newer version at each start, and some systems' Bun sends reports of crashes. A hub calls nobody unasked.
  DENO_NO_UPDATE_CHECK: "1",
  DO_NOT_TRACK: "1",
};

/** How to run a program with these settings. */
export function tierCommand(
  program: Program,
  environment: Environment,
  { on = runtime(), executable = ownExecutable(), script }: CommandOptions = {},
): readonly [command: string, ...args: string[]] {
  const run = script === undefined ? [fileURLToPath(RUN), program] : [fileURLToPath(script)];
  switch (on) {
    case "node":
      return [executable, ...NODE_FLAGS, ...run];
    case "bun":
      return [executable, ...BUN_FLAGS, ...run];
    case "deno":
      return [executable, ...DENO_FLAGS, ...denoPermissions(program, environment), ...run];
  }
}

interface DenoGlobal {
  readonly permissions: {
    querySync(asked: { readonly name: "run"; readonly command: string }): { readonly state: string };
  };
}

/** This runtime's program. Deno permits a program by its name in PATH, which may be a link to the file that runs here. */
function ownExecutable(): string {
  const { Deno: deno } = globalThis as { readonly Deno?: DenoGlobal };
  const isPermitted = (command: string) => deno?.permissions.querySync({ name: "run", command }).state === "granted";
  return !isPermitted(process.execPath) && isPermitted("deno") ? "deno" : process.execPath;
}

/** The environment of such a process. */
export function tierEnvironment(environment: Environment, on: Runtime = runtime()): Record<string, string | undefined> {
  const withheld = new Set(withheldNames(environment, on));
  const handedOn = Object.entries(environment).filter(([name]) => !withheld.has(name));
  return { ...TIER_ENVIRONMENT, ...Object.fromEntries(handedOn) };
}

/**
 * The names of an environment that such a process does not get. Deno refuses to start a program that is permitted by its path if
 * it would get names of the dynamic linker.
 */
export function withheldNames(environment: Environment, on: Runtime = runtime()): string[] {
  return on === "deno" ? Object.keys(environment).filter((name) => /^(?:LD|DYLD)_/.test(name)) : [];
}

/** Bun by itself reads settings from files named .env, and installs packages that are missing. */
export const BUN_FLAGS = [`--max-http-header-size=${BUN_HEADER_BYTES}`, "--no-env-file", "--no-install"];

const DENO_FLAGS = ["run", "--no-prompt", "--no-check", `--v8-flags=${YOUNG_GENERATION}`];

/** Deno's permissions by name: the places that the settings name, and for the core its native code, which asks about its machine. */
function denoPermissions(program: Program, environment: Environment): string[] {
  const places = namedPlaces(environment);
  const directories = places.filter(({ place }) => place === "directory").map(({ path }) => path);
  const files = places.filter(({ place }) => place !== "directory").map(({ path }) => path);
  // A key file is replaced by another one beside it.
  const keys = places.filter(({ place }) => place === "keys" && program === "keys").map(({ path }) => dirname(path));
  // A process that makes keys looks up no names.
  const names = program === "keys" ? [] : [HOSTS_FILE, RESOLV_CONF];
  const common = [
    `--allow-env=${PREFIX}*,${NAMES_OF_PACKAGES.join()}`,
    `--allow-read=${list([...directories, ...files, ...keys, ...names])}`,
    `--allow-write=${list([...directories, ...keys])}`,
  ];
  if (program === "keys") return common;
  const network = ["--allow-net", `--deny-net=${neverCalled().join()}`];
  const native = [`--allow-ffi=${list(libsqlBinaries())}`, "--allow-sys=cpus,networkInterfaces,hostname"];
  return [...common, ...network, ...(program === "core" ? native : [])];
}

/** Paths as Deno takes them. From 2.9.6 on Deno has no way to write a comma in a path, so the nearest directory above without one is named. */
function list(paths: readonly string[]): string {
  return paths.map((path) => {
    let named = path;
    while (named.includes(",")) named = dirname(named);
    return named;
  }).join();
}
