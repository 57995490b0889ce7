// A request sees what was accepted before it (A3.11): it waits until the replica, or the tail of `messages`, has come that far.
import type { Log } from "../log/log.ts";
import type { Tail } from "../messages/tail.ts";
import type { KeptDeadLetter, LetterMessages } from "../replica/dead-letter-rows.ts";
import type { Replica } from "../replica/replica.ts";
import type { StateStream } from "../replica/states.ts";
import { notCaughtUp } from "./refusal.ts";

/** A request waits this long for what was accepted before it, ms (A3.11). */
export const ACCEPTED_WITHIN_MS = 5_000;

/**
 * Waits until a stream of the replica shows the events of a shard before `offset`.
 * @throws {Refusal} "unavailable" after 5 s
 */
export async function waitForEvents(
  replica: Pick<Replica, "reached">,
  stream: StateStream,
  shard: number,
  offset: number,
): Promise<void> {
  if (!await replica.reached(stream, shard, offset, ACCEPTED_WITHIN_MS)) throw notCaughtUp();
}

/**
 * Waits until a stream of the replica shows all events that a shard has now.
 * @throws {Refusal} "unavailable" after 5 s @throws {LogError}
 */
export async function waitForAccepted(
  { log, replica }: { readonly log: Pick<Log, "end">; readonly replica: Pick<Replica, "reached"> },
  stream: StateStream,
  shard: number,
): Promise<void> {
  await waitForEvents(replica, stream, shard, await log.end("events", shard));
}

/**
 * Waits until the tail has passed the messages of a partition before `offset`: only of those is it known which are repeats (A4.4).
 * @throws {Refusal} "unavailable" after 5 s
 */
export async function waitForMessages(tail: Pick<Tail, "passed">, partition: number, offset: number): Promise<void> {
  if (!await tail.passed(partition, offset, ACCEPTED_WITHIN_MS)) throw notCaughtUp();
}

/**
 * Reads dead letters from the replica, after it has read those that the log has now.
 * @throws {Refusal} "unavailable" after 5 s
 */
export async function findDeadLetters(
  replica: Pick<Replica, "deadLetters">,
  query: Parameters<Replica["deadLetters"]>[0],
): Promise<KeptDeadLetter[]> {
  const found = await replica.deadLetters(query, ACCEPTED_WITHIN_MS);
  if (found === undefined) throw notCaughtUp();
  return found;
}

/**
 * As `findDeadLetters`, for the messages of the letters.
 * @throws {Refusal} "unavailable" after 5 s
 */
export async function findLetterMessages(
  replica: Pick<Replica, "letterMessages">,
  query: Parameters<Replica["letterMessages"]>[0],
): Promise<LetterMessages> {
  const found = await replica.letterMessages(query, ACCEPTED_WITHIN_MS);
  if (found === undefined) throw notCaughtUp();
  return found;
}
