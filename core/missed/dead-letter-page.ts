// GET /dead-letters: the messages that were given up for a subscription (WIRE §3, §5).
import type { DeadLetters } from "../../shared/core-api.ts";
import { CursorError, encodeCursor } from "../messages/cursor-text.ts";
import { type Admit, type KnownSubscription, refuseEnded } from "../requests/admission.ts";
import { Refusal } from "../requests/refusal.ts";
import { findDeadLetters } from "../requests/accepted.ts";
import type { Log } from "../log/log.ts";
import type { Replica } from "../replica/replica.ts";
import { AFTER, offsetAfter, parseCursor } from "../requests/named-position.ts";
import { type MissedQuery, parseLimit } from "./query.ts";

export interface DeadLettersOptions {
  readonly log: Log;
  readonly replica: Pick<Replica, "deadLetters">;
  readonly admit: Admit;
}

/** `query`: `after` and `limit` as they came. @throws {Refusal | LogError} */
export type ReadDeadLetters = (query: MissedQuery) => Promise<DeadLetters>;

export function createReadDeadLetters({ log, replica, admit }: DeadLettersOptions): ReadDeadLetters {
  return async ({ topic: name, callback, caller, query }) => {
    const limit = parseLimit(query.get("limit"));
    const subscription = await admit(name, callback, caller);
    refuseEnded(subscription);
    const { id, topic, record: { life } } = subscription;
    const partition = log.partitionOf("dead-letters", id);
    const end = await log.end("dead-letters", partition);
    const { from, afterMessage } = parseAfter(query.get("after"), subscription, partition);
    if (from > end) {
      throw new Refusal("invalid_request", "after is beyond the end of this subscription's dead letters");
    }
    const found = await findDeadLetters(replica, { subscriptionId: id, life, from, afterMessage, limit: limit + 1 });
    const more = found.length > limit;
    const letters = found.slice(0, limit);
    const last = letters.at(-1)?.place ?? -1;
    return {
      deadLetters: letters.map((letter) => ({
        id: letter.id,
        cursor: encodeCursor(topic.id, letter),
        reason: letter.reason,
        status: letter.status,
        attempts: letter.attempts,
        firstAt: new Date(letter.firstAt).toISOString(),
        lastAt: new Date(letter.lastAt).toISOString(),
      })),
      // `next` names a place in this subscription's list of dead letters, not a message: the list is in the order of giving up.
      next: encodeCursor(id, { partition, offset: more ? last : Math.max(last, from - 1, end - 1) }),
      more,
    };
  };
}

/**
 * `after` is a `next` of this list, or the cursor of a message, which means all later messages.
 * @throws {Refusal} "invalid_request"
 */
function parseAfter(after: string | null, { id, topic }: KnownSubscription, partition: number) {
  if (after === null) return { from: 0, afterMessage: -1 };
  try {
    return { from: offsetAfter(after, { id, partition }), afterMessage: -1 };
  } catch (error) {
    if (!(error instanceof CursorError)) throw error;
    return { from: 0, afterMessage: parseCursor(AFTER, after, topic).next - 1 };
  }
}
