// Trying again while a failure may pass: a broker restarts, a leader moves, a coordinator loads.
import { getLogger } from "@logtape/logtape";
import { pause } from "../../../shared/pause.ts";
import { LogError } from "../log.ts";
import { isPassing, KafkaError, NoAnswer, NotAdmitted, TurnedAway } from "./protocol/kafka-error.ts";

export interface RetryOptions {
  /** What is tried, after "Cannot ", for people. */
  readonly what: string;
  /** Infinity: until `closing` aborts, with a warning now and then. */
  readonly forMs: number;
  /** Default 3 ms after an answer (a coordinator that is not ready yet), 200 ms if nobody answers. */
  readonly pauseMs?: number;
  readonly closing: AbortSignal;
}

const SAY_AFTER_MS = 1_000;
const SAY_EVERY_MS = 10_000;

const logger = getLogger(["tidings", "core", "log"]);

/**
 * Calls `attempt` until it succeeds, or fails in a way that will not pass.
 * @throws {LogError} "unavailable" after `forMs`, "closed" once `closing` aborts; what `attempt` throws if that will not pass
 */
export async function retry<T>(
  attempt: () => Promise<T>,
  { what, forMs, pauseMs, closing }: RetryOptions,
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
        logger.warn("Waiting for Kafka, cannot {what} yet: {reason}", { what, reason });
      }
      await pause(ms, closing);
    }
  }
}

/** `what` follows "Cannot ". @throws {LogError} "misconfigured", "closed" once the start is to end */
export type StartRetry = <T>(what: string, attempt: () => Promise<T>) => Promise<T>;

/** A broker that is stopping turns clients away, too. */
const TURNED_AWAY_TRIES = 10;
const START_PAUSE_MS = 200;

/**
 * How a start retries: for as long as nobody answers, so that a core may be started before its brokers. What will not pass (a
 * wrong password, a bad certificate, TLS on one side only, a refusal) stops the start at once, with a sentence.
 */
export function createStartRetry(closing: AbortSignal): StartRetry {
  let admitted = false;
  let turnedAway = 0;

  function isFinal(error: unknown): error is Error {
    turnedAway = error instanceof TurnedAway ? turnedAway + 1 : 0;
    // After one answer it is known that client and broker speak the same protocol.
    return error instanceof NotAdmitted || (!admitted && turnedAway >= TURNED_AWAY_TRIES);
  }

  return async (what, attempt) => {
    const judged = async () => {
      try {
        const answer = await attempt();
        admitted = true;
        return answer;
      } catch (error) {
        if (isFinal(error)) throw misconfigured(error);
        throw error;
      }
    };
    try {
      return await retry(judged, { what, forMs: Infinity, pauseMs: START_PAUSE_MS, closing });
    } catch (error) {
      // The broker has answered, and would answer the same again.
      throw error instanceof KafkaError ? misconfigured(error) : error;
    }
  };
}

function misconfigured(cause: Error): LogError {
  return new LogError("misconfigured", `Cannot open the log on Kafka: ${cause.message}`, { cause });
}
