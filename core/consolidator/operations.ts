// Deduplication of operations that an edge may send twice (A3.8).
import type { RecentOperations } from "./records.ts";

/** An edge retries for at most 60 s, and a core refuses what was made over 90 s ago: two minutes cover both. */
export const OPERATIONS_KEPT_MS = 120_000;
const KEPT = 8;

export function hasOperation(operations: RecentOperations, id: string): boolean {
  return operations.some(([known]) => known === id);
}

/** With one more id, without those that are too old; at most 8, or as many as are said. */
export function withOperation(operations: RecentOperations, id: string, time: number, most = KEPT): RecentOperations {
  const recent = operations.filter(([, at]) => at > time - OPERATIONS_KEPT_MS);
  return [...recent, [id, time] as const].slice(-most);
}
