// Trying again while what failed may well pass: a broker that restarts, a leader that moves, a coordinator that loads.
import { pause } from "../../../shared/pause.ts";
import { LogError } from "../log.ts";
import { isPassing, NoAnswer } from "./kafka-error.ts";

export interface Persistence {
  /** Follows "Cannot ", for people. */
  readonly what: string;
  readonly forMs: number;
  /** Default 3 ms after an answer (a coordinator that is not done yet), 200 ms where nobody answers. */
  readonly pauseMs?: number;
  readonly closing: AbortSignal;
}

/**
 * Attempts until it succeeds or fails for good.
 * @throws {LogError} "unavailable" after `forMs`, "closed" once `closing` aborts; what `attempt` throws if that will not pass
 */
export async function persist<T>(
  attempt: () => Promise<T>,
  { what, forMs, pauseMs, closing }: Persistence,
): Promise<T> {
  const until = performance.now() + forMs;
  for (;;) {
    if (closing.aborted) throw new LogError("closed", `Cannot ${what}: the log is closed`);
    try {
      return await attempt();
    } catch (error) {
      if (closing.aborted) throw new LogError("closed", `Cannot ${what}: the log is closed`, { cause: error });
      if (!isPassing(error)) throw error;
      const ms = pauseMs ?? (error instanceof NoAnswer ? 200 : 3);
      if (performance.now() + ms > until) {
        throw new LogError("unavailable", `Cannot ${what}: ${(error as Error).message}`, { cause: error });
      }
      await pause(ms, closing);
    }
  }
}
