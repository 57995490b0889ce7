// Trying again while what failed may well pass: a broker that restarts, a leader that moves, a coordinator that loads.
import { getLogger } from "@logtape/logtape";
import { pause } from "../../../shared/pause.ts";
import { LogError } from "../log.ts";
import { isPassing, NoAnswer } from "./protocol/kafka-error.ts";

export interface Persistence {
  /** Follows "Cannot ", for people. */
  readonly what: string;
  /** Infinity: for as long as it takes, and saying so. */
  readonly forMs: number;
  /** Default 3 ms after an answer (a coordinator that is not done yet), 200 ms where nobody answers. */
  readonly pauseMs?: number;
  readonly closing: AbortSignal;
}

const SAY_AFTER_MS = 1_000;
const SAY_EVERY_MS = 10_000;

const logger = getLogger(["tidings", "core", "log"]);

/**
 * Attempts until it succeeds or fails for good.
 * @throws {LogError} "unavailable" after `forMs`, "closed" once `closing` aborts; what `attempt` throws if that will not pass
 */
export async function persist<T>(
  attempt: () => Promise<T>,
  { what, forMs, pauseMs, closing }: Persistence,
): Promise<T> {
  const until = performance.now() + forMs;
  let sayAt = forMs === Infinity ? performance.now() + SAY_AFTER_MS : Infinity;
  for (;;) {
    if (closing.aborted) throw new LogError("closed", `Cannot ${what}: the log is closed`);
    try {
      return await attempt();
    } catch (error) {
      if (closing.aborted) throw new LogError("closed", `Cannot ${what}: the log is closed`, { cause: error });
      if (!isPassing(error)) throw error;
      const ms = pauseMs ?? (error instanceof NoAnswer ? 200 : 3);
      const reason = (error as Error).message;
      const now = performance.now();
      if (now + ms > until) throw new LogError("unavailable", `Cannot ${what}: ${reason}`, { cause: error });
      if (now > sayAt) {
        sayAt = now + SAY_EVERY_MS;
        logger.warn("Waiting for Kafka, to {what}: {reason}", { what, reason });
      }
      await pause(ms, closing);
    }
  }
}
