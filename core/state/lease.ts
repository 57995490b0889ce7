// A subscription's lease (§5.3.1, A3.7): when it ends, and what becomes of the subscription then.
import type { SubscriptionRecord } from "./records.ts";

/** When the lease ends, ms since 1970: it counts from the challenge that was answered. Without `leaseMs` it is over at once. */
export function leaseEnd(challengedAt: number, leaseMs: number | undefined): number {
  return challengedAt + (leaseMs ?? 0);
}

/** Whether the lease is over at `time`, ms since 1970. */
export function isLeaseOver({ expiresAt }: { readonly expiresAt: number }, time: number): boolean {
  return time >= expiresAt;
}

/** The record at `time`, ms since 1970: `expired` if it is active and its lease is over, else the same record. */
export function foldLease(record: SubscriptionRecord, time: number): SubscriptionRecord {
  if (record.phase !== "active" || !isLeaseOver(record, time)) return record;
  return { ...record, phase: "expired", endedAt: record.expiresAt };
}
