// The command line of a tier's process on this runtime, or on another one (for tests): its flags, and what Deno lets it do.
import process from "node:process";
import { fileURLToPath } from "node:url";
import { libsqlBinaries } from "./installation.ts";
import { NODE_ENVIRONMENT, NODE_FLAGS } from "./node-flags.ts";
import { type Runtime, runtime } from "./which.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Names that a tier's packages ask for: undici the first two, libSQL the third, kafkajs the rest. */
const NAMES_OF_PACKAGES = ["JEST_WORKER_ID", "UNDICI_NO_WASM_SIMD", "LIBSQL_JS_DEV", "KAFKAJS_*"];

/** Settings that name a file to read. A key's setting may also hold the key itself. */
const READ = /^TIDINGS_(?:.*_(?:CA|CERT|KEY)|EDGE_KEYS?|CORE_KEYS)$/;

/** What the environment of a tier's process says on any runtime, unless it says otherwise itself. */
export const TIER_ENVIRONMENT: Readonly<Record<string, string>> = {
  ...NODE_ENVIRONMENT,
  // Deno asks its maker for a newer version at each start, and some systems' Bun sends reports of crashes. A hub calls nobody unasked.
  DENO_NO_UPDATE_CHECK: "1",
  DO_NOT_TRACK: "1",
};

/** How to run `script`, the main file of a tier, with these settings. `executable`: the runtime's program, default this one's. */
export function tierCommand(
  script: URL,
  environment: Environment,
  { on = runtime(), executable = process.execPath }: { readonly on?: Runtime; readonly executable?: string } = {},
): readonly [command: string, ...args: string[]] {
  const path = fileURLToPath(script);
  switch (on) {
    case "node":
      return [executable, ...NODE_FLAGS, path];
    case "bun":
      // The longest head that HEADERS_MAX_BYTES allows; Bun's own limit is 16 KiB.
      return [executable, "--max-http-header-size=131072", path];
    case "deno":
      return [executable, "run", "--no-prompt", "--no-check", ...denoPermissions(path, environment), path];
  }
}

/** Deno's permissions by name. Only the core has native code (libSQL), which asks what machine this is. */
function denoPermissions(script: string, environment: Environment): string[] {
  const data = environment["TIDINGS_DATA_DIR"] ?? "./data";
  const files = Object.entries(environment).flatMap(([name, value]) =>
    READ.test(name) && value !== undefined && !value.trimStart().startsWith("{") && value !== "system" ? [value] : []
  );
  const native = /\/core\/main\.[jt]s$/.test(script)
    ? [`--allow-ffi=${libsqlBinaries()}`, "--allow-sys=cpus,networkInterfaces,hostname"]
    : [];
  return [
    "--allow-net",
    `--allow-env=TIDINGS_*,${NAMES_OF_PACKAGES.join()}`,
    `--allow-read=${[data, ...files].join()}`,
    `--allow-write=${data}`,
    ...native,
  ];
}
