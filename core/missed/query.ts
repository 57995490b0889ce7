// What a reader of missed messages or dead letters asks for (WIRE §5), as its query says it.
import { AFTER, LAST_EVENT_ID, type NamedPosition, parsePosition, SINCE } from "../requests/position.ts";
import { Refusal } from "../requests/refusal.ts";
import type { Topic } from "../requests/topics.ts";

const DEFAULT_LIMIT = 100;
const MOST = 1_000;

/** @throws {Refusal} "invalid_request" if it is not a whole number from 1 to 1,000; default 100 */
export function parseLimit(text: string | null): number {
  if (text === null) return DEFAULT_LIMIT;
  const limit = /^[0-9]{1,9}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > MOST) throw new Refusal("invalid_request", `limit must be a whole number from 1 to ${MOST}`);
  return limit;
}

/**
 * Reads `after` and `since`, the later of which counts; `lastEventId` overrides both. `time` is ms since 1970.
 * @throws {Refusal} "invalid_request" naming the parameter
 */
export function parseFrom(query: URLSearchParams, topic: Topic, time: number): NamedPosition[] {
  const last = query.get("lastEventId");
  if (last !== null) return [parsePosition(LAST_EVENT_ID, last, topic, time)];
  return [AFTER, SINCE].flatMap((parameter) => {
    const text = query.get(parameter.name);
    return text === null ? [] : [parsePosition(parameter, text, topic, time)];
  });
}
