// One tier's process, run as in production, that a test can kill, put to sleep, stop and start again on its port and data.
import type { ChildProcess } from "node:child_process";
import { endTier, forkTier, readyTier, type Tier } from "./hub.ts";

export interface TierProcess {
  /** What errors call it: `core`, `edge-2`. */
  readonly name: string;
  readonly tier: Tier;
  /** Where it answers, `http://127.0.0.1:port`; the same for life. */
  readonly url: string;
  readonly pid: number | undefined;
  /** Starts it; resolves when it is ready. @throws {Error} with its output if it ends or is not ready in time */
  start(): Promise<void>;
  /** Asks it to stop and waits; resolves with its exit code, null if it does not run. */
  stop(): Promise<number | null>;
  /** Ends it at once, without a chance to tidy up. */
  kill(): Promise<void>;
}

export interface TierOptions {
  /** Default the tier's. */
  readonly name?: string;
  readonly url: string;
  /** Settings, full names, TIDINGS_…. */
  readonly settings: Readonly<Record<string, string>>;
  /** Gets all that it writes. */
  readonly note: (text: string) => void;
  /** How long it may take to be ready; default 30 s. */
  readonly readyWithinMs?: number;
  /** What it and the others wrote lately, for an error's sake. */
  readonly output: () => string;
}

export function createTierProcess(tier: Tier, options: TierOptions): TierProcess {
  const { name = tier, url, settings, note, output, readyWithinMs } = options;
  let running: ChildProcess | undefined;

  const end = async (signal: NodeJS.Signals) => running === undefined ? null : await endTier(running, signal);
  return {
    name,
    tier,
    url,
    get pid() {
      return running?.pid;
    },
    async start() {
      if (running !== undefined) throw new Error(`The ${name} runs already`);
      const child = running = forkTier(tier, settings, note);
      child.once("exit", () => running = undefined);
      await readyTier(name, child, output, readyWithinMs);
    },
    stop: () => end("SIGTERM"),
    kill: async () => void await end("SIGKILL"),
  };
}
