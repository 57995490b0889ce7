// What a pair's record says of verifications that failed (WIRE §5). Of a pair that nobody has, several may have asked: each may read what
// came of its own subscribe, so nobody's failure takes the place of another's.
import type { ResultEvent } from "./events.ts";
import { isSameClient, recordedAsking } from "./ids.ts";
import { type FailedVerification, isLive, type PendingIntent, type SubscriptionRecord } from "./records.ts";

/** Verifications of different ones who asked that a record keeps, the newest included. */
export const MOST_FAILURES = 4;
/** How long a verification that failed is remembered, ms. */
export const FAILURE_KEPT_MS = 86_400_000;

/** The record after a verification that failed: it says why, except for an unsubscribe of a pair that never was verified. */
export function withFailure(
  record: SubscriptionRecord,
  intent: PendingIntent,
  { time: at, outcome, reason = "" }: ResultEvent,
): SubscriptionRecord {
  const { mode, topic, callback } = intent;
  if (outcome === undefined || (mode === "unsubscribe" && !isLive(record.phase))) return record;
  if (isLive(record.phase)) {
    const shown = mode === "unsubscribe" ? `unsubscribe: ${reason}` : reason;
    return { ...record, lastVerification: { at, outcome, reason: shown } };
  }
  const failed = { at, outcome, reason, by: askedBy(intent) };
  const others = failuresOf(record, at).filter(({ by }) => by !== undefined && !isSameOne(by, failed.by))
    .slice(0, MOST_FAILURES - 1);
  const spelled = record.phase === "pending" ? { topic, callback } : {};
  return { ...record, ...spelled, lastVerification: { ...failed, ...(others.length === 0 ? {} : { others }) } };
}

/** The failed verifications that are remembered at `now`, ms since 1970, the newest first. */
export function failuresOf(
  { lastVerification }: Pick<SubscriptionRecord, "lastVerification">,
  now: number,
): readonly Omit<FailedVerification, "others">[] {
  if (lastVerification === undefined) return [];
  const { others = [], ...newest } = lastVerification;
  return [newest, ...others].filter(({ at }) => at + FAILURE_KEPT_MS > now);
}

/** The same record without a failed verification that is too old. It is not written for this: the next change writes it. */
export function withoutOldFailure(record: SubscriptionRecord, now: number): SubscriptionRecord {
  const { lastVerification, ...rest } = record;
  return lastVerification !== undefined && lastVerification.at + FAILURE_KEPT_MS <= now ? rest : record;
}

type Asker = NonNullable<FailedVerification["by"]>;

function askedBy(intent: PendingIntent): Asker {
  const { secret } = intent;
  return { ...recordedAsking(intent), ...(secret === undefined ? {} : { secret }) };
}

/** Secrets are sealed anew each time, so they do not tell. */
function isSameOne(one: Asker, other: Asker): boolean {
  return isSameClient(one.client, other.client) && one.requester === other.requester;
}
