// The runtimes that run both tiers. The tests bring them with them, in node_modules.
import { fileURLToPath } from "node:url";
import type { Runtime } from "../../shared/runtime/which.ts";

export const ALL_RUNTIMES = ["node", "deno", "bun"] as const satisfies readonly Runtime[];

/** Those on which a test starts programs: all, or in a suite its target (test/support/suites/targets.ts). */
export const RUNTIMES: readonly Runtime[] = ALL_RUNTIMES.filter((runtime) =>
  runtime === (process.env["TIDINGS_TEST_RUNTIME"] ?? runtime)
);

const PROGRAMS: Readonly<Record<Runtime, string>> = {
  node: "node/bin/node",
  deno: "deno/deno",
  bun: "bun/bin/bun.exe",
};

/** The program of a runtime. */
export function executableOf(runtime: Runtime): string {
  return fileURLToPath(new URL(`../../node_modules/${PROGRAMS[runtime]}`, import.meta.url));
}
