// What the suites run on: a runtime of its own, Node's core with an edge on workerd, or Node with clients that others wrote.
import type { Runtime } from "../../../shared/runtime/which.ts";
import type { TierRuntime } from "../hub/tier-process.ts";
import { ALL_RUNTIMES } from "../runtimes.ts";

export type Target = "node" | "deno" | "bun" | "worker" | "clients";

export const TARGETS: readonly Target[] = ["node", "deno", "bun", "worker", "clients"];

/** What each tier runs on. */
export const TIERS_OF: Readonly<Record<Target, { readonly core: TierRuntime; readonly edge: TierRuntime }>> = {
  node: { core: "node", edge: "node" },
  deno: { core: "deno", edge: "deno" },
  bun: { core: "bun", edge: "bun" },
  worker: { core: "node", edge: "workerd" },
  clients: { core: "node", edge: "node" },
};

export function isTarget(name: string): name is Target {
  return (TARGETS as readonly string[]).includes(name);
}

/** Whether the files of this target run on a runtime of that name. */
export function isRuntime(target: Target): target is Runtime {
  return (ALL_RUNTIMES as readonly string[]).includes(target);
}

/** The environment in which tests start the tiers, and other programs, of this target. */
export function environmentOf(target: Target): Record<string, string> {
  const { core, edge } = TIERS_OF[target];
  return { TIDINGS_TEST_CORE_RUNTIME: core, TIDINGS_TEST_EDGE_RUNTIME: edge, TIDINGS_TEST_RUNTIME: core };
}
