// Deduplication of operations that an edge may send twice (A3.8).
import type { RecentOperations, SubscriptionRecord } from "./records.ts";

/** An edge retries for at most 60 s, and a core refuses an operation made over 90 s ago: two minutes cover both. */
export const OPERATIONS_KEPT_MS = 120_000;
const KEPT = 8;

export function hasOperation(operations: RecentOperations, id: string): boolean {
  return operations.some(([known]) => known === id);
}

const NONE: RecentOperations = [];

/** The same record without operations that no core would accept. It is not written for this: the next change writes it. */
export function withoutOldOperations(record: SubscriptionRecord, now: number): SubscriptionRecord {
  const newest = record.operations.at(-1)?.[1];
  return newest !== undefined && newest + OPERATIONS_KEPT_MS <= now ? { ...record, operations: NONE } : record;
}

/** Adds an id and drops those that are too old; keeps the newest `most`. */
export function withOperation(operations: RecentOperations, id: string, time: number, most = KEPT): RecentOperations {
  const recent = operations.filter(([, at]) => at > time - OPERATIONS_KEPT_MS);
  return [...recent, [id, time] as const].slice(-most);
}
