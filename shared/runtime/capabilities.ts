// The capabilities of each runtime. docs/runtimes.md has this table for people. A Worker reads it too, so nothing of a runtime is
// imported here.
import type { Capabilities, ProcessFigure } from "../capabilities.ts";
import type { ServerLimit } from "../serve.ts";
import type { Runtime } from "./which.ts";

/** Without what only a running process knows. On Deno `listsEnvironment` depends on a permission: see process.ts. */
type Known = Omit<Capabilities, "version">;

const FIGURES: readonly ProcessFigure[] = ["cpu", "memory", "virtual", "files", "lag", "gc"];
const LIMITS: readonly ServerLimit[] = ["connections", "headers", "deadline"];

const SERVER = {
  pinning: true,
  certificateReload: true,
  peerAddress: true,
  processMetrics: FIGURES,
  listsEnvironment: true,
  perIsolateState: false,
  serverLimits: LIMITS,
};

export const CAPABILITIES: Readonly<Record<Runtime | "workerd", Known>> = {
  node: { name: "Node", ...SERVER },
  deno: { name: "Deno", ...SERVER, processMetrics: ["cpu", "memory"], listsEnvironment: false },
  bun: { name: "Bun", ...SERVER, processMetrics: FIGURES.filter((figure) => figure !== "gc") },
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

/** What follows from what a runtime lacks, as parts of a sentence; none if it lacks nothing. */
export function consequences(capabilities: Capabilities): string[] {
  const { processMetrics, serverLimits } = capabilities;
  const figures = FIGURES.filter((figure) => !processMetrics.includes(figure));
  const limits = LIMITS.filter((limit) => !serverLimits.includes(limit));
  return [
    ...capabilities.pinning ? [] : ["cores verify what edges accept"],
    ...capabilities.certificateReload ? [] : ["a new certificate needs a restart"],
    ...capabilities.peerAddress ? [] : ["a header tells the client's address"],
    ...figures.length === 0 ? [] : [`/metrics lacks ${figures.join(", ")}`],
    ...capabilities.listsEnvironment ? [] : ["a setting that does not exist goes unnoticed"],
    ...capabilities.perIsolateState ? ["each isolate counts by itself"] : [],
    ...limits.length === 0 ? [] : [`the server has no limit of ${limits.join(", ")}`],
  ];
}
