// What a status says of a subscription that fails (WIRE §5): why, and whether it is one message that holds it up. Pure.
import type { StuckMessage } from "../../shared/core-api.ts";
import type { Tried } from "../delivery/lane/backlog.ts";

/** A message is said to hold up its subscription after so many times `DEAD_LETTER_ATTEMPTS` answers of 5xx. */
export const STUCK_TIMES = 10;

export interface Failing {
  /** The last error, "" if there is none. */
  readonly lastError: string;
  /** The message that failed last and is not done. */
  readonly failed: Tried | undefined;
}

export interface Described {
  /** For people. */
  readonly lastError: string | null;
  /** The message that holds the subscription up. */
  readonly stuck: Tried | undefined;
}

/**
 * In strict order nobody can know whether the callback would take the next message. So the message is named once it was answered 5xx
 * `stuckAfter` times, with what can be done about it.
 */
export function describeFailure({ lastError, failed }: Failing, stuckAfter: number): Described {
  if (lastError === "") return { lastError: null, stuck: undefined };
  if (failed === undefined || failed.answered5xx < stuckAfter) return { lastError, stuck: undefined };
  const { id, answered5xx, answered500, firstAt } = failed;
  const since = new Date(firstAt).toISOString();
  const toDo = [
    "mend the callback",
    "pass the message by POST /subscriptions/ack with its cursor",
    ...(answered500 > 0 ? ["let DEAD_LETTER_500_ATTEMPTS make it a dead letter"] : []),
  ];
  const sentence =
    `${lastError}: the callback has answered message ${id} with 5xx ${answered5xx} times since ${since}, and the subscription ` +
    `waits at it; read it with GET /messages, then ${toDo.slice(0, -1).join(", ")} or ${toDo.at(-1)}`;
  return { lastError: sentence, stuck: failed };
}

export function statusOfStuck({ id, attempts, answered5xx, firstAt }: Tried, cursor: string): StuckMessage {
  return { id, cursor, attempts, answered5xx, since: new Date(firstAt).toISOString() };
}
