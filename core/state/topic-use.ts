// When a topic that no register made was last needed (WIRE §1). Requests note it seldom, so that a busy topic costs no event each.
import type { TopicRecord } from "./records.ts";

export interface UnusedAfter {
  /** A use is noted again after this, ms. */
  readonly noteMs: number;
  /** A topic is forgotten this long after the last noted use: no message of it is left then, and no subscription was there, ms. */
  readonly forgetMs: number;
  /** Between two looks at a topic, ms. */
  readonly lookMs: number;
}

export function unusedAfter(retentionMs: number): UnusedAfter {
  return { noteMs: retentionMs / 8, forgetMs: retentionMs + retentionMs / 8, lookMs: retentionMs / 64 };
}

/** What follows the id of an operation, in the id of the event by which it makes its topic. No operation's own id has a "+". */
const SUFFIX = "+topic";

/** The id of the event by which an operation makes its topic. */
export function useIdOf(operation: string): string {
  return operation + SUFFIX;
}

/** Whether an event is not of a register, but of an operation that needs its topic. */
export function isUse(eventId: string): boolean {
  return eventId.endsWith(SUFFIX);
}

/** Whether a topic that is there was made by an operation that needed it. Cores before this one did not say so, but kept the ids. */
export function wasMadeByUse({ usedAt, endedAt, operations }: TopicRecord): boolean {
  if (endedAt !== undefined) return false;
  return usedAt !== undefined || (operations.length > 0 && operations.every(([id]) => isUse(id)));
}

/** Whether the use of a topic that is there is to be noted again. */
export function isUseOld({ usedAt }: TopicRecord, { noteMs }: UnusedAfter, now: number): boolean {
  return usedAt !== undefined && usedAt + noteMs <= now;
}

/** The topic as used at this time, if that is later than what it says; the same object if not, or if a register made it. */
export function used(record: TopicRecord, at: number): TopicRecord {
  if (!wasMadeByUse(record) || (record.usedAt ?? -Infinity) >= at) return record;
  return { ...record, usedAt: at };
}
