// What each runtime can do. docs/runtimes.md has this table for people. Nothing of a runtime is imported here, so that a Worker can read it.
import type { Capabilities } from "../capabilities.ts";
import type { Runtime } from "./which.ts";

/** Without what only a running process knows. On Deno `listsEnvironment` depends on a permission: see process.ts. */
type Known = Omit<Capabilities, "version">;

const SERVER = {
  pinning: true,
  certificateReload: true,
  peerAddress: true,
  processMetrics: ["cpu", "memory", "files", "lag", "gc"],
  listsEnvironment: true,
  perIsolateState: false,
  serverLimits: ["connections", "headers", "deadline"],
} as const;

export const CAPABILITIES: Readonly<Record<Runtime | "workerd", Known>> = {
  node: { name: "Node", ...SERVER },
  deno: { name: "Deno", ...SERVER, listsEnvironment: false },
  bun: { name: "Bun", ...SERVER, certificateReload: false },
  workerd: {
    name: "Workers",
    pinning: false,
    certificateReload: false,
    peerAddress: false,
    processMetrics: [],
    listsEnvironment: true,
    perIsolateState: true,
    serverLimits: [],
  },
};
