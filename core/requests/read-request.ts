// What a subscriber asks to read (WIRE §5): the query as it came, with the names of its fields in every refusal.
import { CursorError, decodeCursor } from "../messages/cursor.ts";
import { pastTime } from "./iso-time.ts";
import { Refusal } from "./refusal.ts";
import type { Topic } from "./topics.ts";

const DEFAULT_LIMIT = 100;
const MOST = 1_000;

/** @throws {Refusal} "invalid_request" if it is not a whole number from 1 to 1,000; default 100 */
export function parseLimit(text: string | null): number {
  if (text === null) return DEFAULT_LIMIT;
  const limit = /^[0-9]{1,9}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > MOST) throw new Refusal("invalid_request", `limit must be a whole number from 1 to ${MOST}`);
  return limit;
}

/** Where to read from, as the query names it: the later of the two counts. */
export interface From {
  /** The offset after the cursor's, and the name of the parameter that brought the cursor. */
  readonly cursor?: { readonly parameter: string; readonly next: number };
  /** ms since 1970. */
  readonly since?: number;
}

/**
 * Reads `after`, `since` and `lastEventId`, which wins over both.
 * @throws {Refusal} "invalid_request" naming the parameter
 */
export function parseFrom(query: URLSearchParams, topic: Topic, now: number): From {
  const last = query.get("lastEventId");
  if (last !== null) return { cursor: cursorOf("Last-Event-ID", last, topic) };
  const after = query.get("after");
  const since = query.get("since");
  return {
    ...(after === null ? {} : { cursor: cursorOf("after", after, topic) }),
    ...(since === null ? {} : { since: pastTime("since", since, now) }),
  };
}

function cursorOf(parameter: string, text: string, topic: Topic): NonNullable<From["cursor"]> {
  return { parameter, next: nextOf(parameter, text, topic.id, topic.partition) };
}

/**
 * The offset after the one that a cursor names.
 * @throws {Refusal} "invalid_request" naming the parameter: no cursor of ours, or one of another topic
 */
export function nextOf(parameter: string, text: string, id: string, partition: number): number {
  try {
    const named = decodeCursor(id, text);
    if (named.partition !== partition) throw new CursorError("is not a cursor of this hub");
    return named.offset + 1;
  } catch (error) {
    if (!(error instanceof CursorError)) throw error;
    throw new Refusal("invalid_request", `${parameter} "${text.slice(0, 64)}" ${error.message}`);
  }
}
