// What a start asks of a cluster: again for as long as nobody answers, so that a core may be started before its brokers. What no
// patience will change (a password, a certificate, TLS where there is none, a refusal) stops the start at once, with a sentence.
import { LogError } from "../log.ts";
import { KafkaError, NotAdmitted, TurnedAway } from "./protocol/kafka-error.ts";
import { persist } from "./persist.ts";

/** `what` follows "Cannot ". @throws {LogError} "misconfigured", "closed" once the start is to end */
export type Insist = <T>(what: string, ask: () => Promise<T>) => Promise<T>;

/** A broker that is just stopping turns clients away, too. */
const TRIES = 10;
const PAUSE_MS = 200;

export function createInsist(closing: AbortSignal): Insist {
  let letIn = false;
  let turnedAway = 0;

  function isFinal(error: unknown): error is Error {
    turnedAway = error instanceof TurnedAway ? turnedAway + 1 : 0;
    // Whoever has been let in speaks as the brokers want it.
    return error instanceof NotAdmitted || (!letIn && turnedAway >= TRIES);
  }

  return async (what, ask) => {
    const attempt = async () => {
      try {
        const answer = await ask();
        letIn = true;
        return answer;
      } catch (error) {
        if (isFinal(error)) throw misconfigured(error);
        throw error;
      }
    };
    try {
      return await persist(attempt, { what, forMs: Infinity, pauseMs: PAUSE_MS, closing });
    } catch (error) {
      // The broker has answered, and would answer the same again.
      throw error instanceof KafkaError ? misconfigured(error) : error;
    }
  };
}

function misconfigured(cause: Error): LogError {
  return new LogError("misconfigured", `Cannot open the log on Kafka: ${cause.message}`, { cause });
}
