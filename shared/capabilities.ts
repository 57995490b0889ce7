// The capabilities of a runtime, as far as the hub behaves differently for them. The code reads these, never the runtime's name;
// docs/runtimes.md says what follows from each. The values are in shared/runtime/capabilities.ts.
import type { ServerLimit } from "./serve.ts";

/**
 * A group of figures about the process itself: CPU time, resident memory and heap, virtual memory, open files, lateness of the event
 * loop, garbage collections.
 */
export type ProcessFigure = "cpu" | "memory" | "virtual" | "files" | "lag" | "gc";

export interface Capabilities {
  /** For people: `Node`, `Deno`, `Bun` or `Workers`. */
  readonly name: string;
  /** For people: `24.21.0`; empty if the runtime does not tell it. */
  readonly version: string;
  /** The address that was checked is the one that is dialled. Where false, an edge leaves verification to its core (A3.6). */
  readonly pinning: boolean;
  /** A new certificate is used without a restart. */
  readonly certificateReload: boolean;
  /** The socket tells the client's address. Where false, a header that a setting names must tell it. */
  readonly peerAddress: boolean;
  /** Which figures about the process itself its metrics have. */
  readonly processMetrics: readonly ProcessFigure[];
  /** All names of the environment can be listed. Where false, a setting that does not exist goes unnoticed. */
  readonly listsEnvironment: boolean;
  /** What is counted in memory (rate limits, metrics) belongs to one isolate, and the runtime starts and ends many as it likes. */
  readonly perIsolateState: boolean;
  /** Which limits the server itself keeps. Where one is missing, something in front of the hub must keep it. */
  readonly serverLimits: readonly ServerLimit[];
}
