// Sends a dead letter again (WIRE §5): one letter of a replay at a time, beside the subscription's lane, whose order and position
// stay as they are. While the lane pauses, the letter waits: nothing is forced on a callback that takes nothing.
import { ACCEPTED_WITHIN_MS } from "../requests/accepted.ts";
import type { OwedReplay, ReplayResult } from "../shards/effects-port.ts";
import { type Message, toMessage } from "../messages/message.ts";
import { askedTime, backoffMs, type RetryPolicy } from "../delivery/lane/outcome.ts";
import { type Log, LogError } from "../log/log.ts";
import type { KeptDeadLetter } from "../replica/dead-letter-rows.ts";
import type { Replica } from "../replica/replica.ts";
import { pause } from "../../shared/pause.ts";

export interface ReplayOptions {
  readonly log: Pick<Log, "read">;
  readonly replica: Pick<Replica, "deadLetters">;
  readonly retry: RetryPolicy;
  /** Attempts with one letter before it stays a dead letter: `DEAD_LETTER_ATTEMPTS`. */
  readonly attempts: number;
  /** Wall clock, ms. */
  readonly clock: () => number;
  readonly random: () => number;
  readonly signal: AbortSignal;
}

/** How often it looks whether the lane has gone on, or whether an attempt may start, ms. */
const LOOK_MS = 100;

/** Deals with the next letter of a replay; undefined if the process is stopping: then the replay stays owed. */
export type ReplayLetter = (owed: OwedReplay) => Promise<ReplayResult | undefined>;

export function createReplayLetter(
  { log, replica, retry, attempts, clock, random, signal }: ReplayOptions,
): ReplayLetter {
  async function nextLetter({ subscriptionId, life, replay }: OwedReplay): Promise<KeptDeadLetter | undefined> {
    while (!signal.aborted) {
      try {
        const query = { subscriptionId, life, from: replay.from, afterMessage: -1, limit: 1 };
        const found = await replica.deadLetters(query, ACCEPTED_WITHIN_MS);
        if (found !== undefined) return found[0];
      } catch (error) {
        await waitForLog(error);
      }
    }
    return undefined;
  }

  /** Returns undefined if retention has removed the message. */
  async function messageOf({ partition, offset }: KeptDeadLetter): Promise<Message | undefined> {
    while (!signal.aborted) {
      try {
        const { records: [record] } = await log.read("messages", partition, offset, { maxBytes: 1 });
        return record?.offset === offset ? toMessage(record) : undefined;
      } catch (error) {
        await waitForLog(error);
      }
    }
    return undefined;
  }

  /** Waits a second for the log to come back; the letter is sent then. */
  async function waitForLog(error: unknown): Promise<void> {
    if (signal.aborted) return;
    if (!(error instanceof LogError)) throw error;
    await pause(1_000, signal);
  }

  return async (owed) => {
    const letter = await nextLetter(owed);
    if (signal.aborted) return undefined;
    if (letter === undefined || letter.place >= owed.replay.end) return { kind: "none" };
    const { place } = letter;
    const message = await messageOf(letter);
    let [made, notBefore] = [0, 0];
    while (owed.isOwed() && !signal.aborted) {
      if (message === undefined) return { kind: "kept", place };
      const sent = clock() < notBefore ? undefined : owed.send(message);
      if (sent === undefined) {
        const pauses = notBefore - clock();
        await pause(pauses > 0 ? Math.min(pauses, LOOK_MS) : LOOK_MS, signal);
        continue;
      }
      const outcome = await sent;
      if (outcome.kind === "delivered") return { kind: "delivered", place };
      if (outcome.kind === "gone") return { kind: "over" };
      if (++made >= attempts) return { kind: "kept", place };
      const now = clock();
      notBefore = Math.max(askedTime(outcome, retry, now), now + backoffMs(retry, made - 1, random()));
    }
    return signal.aborted ? undefined : { kind: "over" };
  };
}
