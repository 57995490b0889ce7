// One tier's process, run as in production. A test can kill, stop and start it again on its port and data.
import type { ChildProcess } from "node:child_process";
import { endTier, forkTier, readyTier, type Tier } from "./hub.ts";

export interface TierProcess {
  /** Its name in errors: `core`, `edge-2`. */
  readonly name: string;
  readonly tier: Tier;
  /** Its origin, `http://127.0.0.1:port`, which never changes. */
  readonly url: string;
  readonly pid: number | undefined;
  /** Starts it; resolves when it is ready. @throws {Error} with its output if it ends or is not ready in time */
  start(): Promise<void>;
  /** Asks it to stop, and resolves to its exit code; null if it does not run. */
  stop(): Promise<number | null>;
  /** Ends it with SIGKILL. */
  kill(): Promise<void>;
}

export interface TierOptions {
  /** Default the tier's name. */
  readonly name?: string;
  readonly url: string;
  /** Settings, full names, TIDINGS_…. */
  readonly settings: Readonly<Record<string, string>>;
  /** Called with all its output. */
  readonly note: (text: string) => void;
  /** How long it may take to be ready; default 30 s. */
  readonly readyWithinMs?: number;
  /** The recent output of it and the others, for error messages. */
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
