// The pure fold of a subscription (A3.6): intents wait until a result closes them, and only a verified intent changes the subscription.
// It decides where a life starts. How far a life has come moves in core/delivery/lane/lane.ts.
import { isSameClient, recordedAsking } from "./ids.ts";
import { mayAck, MOST_REQUESTS, withAck, withoutForgottenAcks, withRequest } from "./acted-requests.ts";
import type { AckEvent, IntentEvent, ReplayEvent, ResultEvent, ResumeEvent, SubscriptionEvent } from "./events.ts";
import { withFailure } from "./failed-verifications.ts";
import { leaseEnd } from "./lease.ts";
import { withPending } from "./pending-intents.ts";
import { hasOperation, withOperation } from "./recent-operations.ts";
import { isLive, type PendingIntent, type SubscriptionPhase, type SubscriptionRecord } from "./records.ts";

/** The record after an event at this `events` offset; the same object if the event changes nothing. */
export function foldSubscription(
  record: SubscriptionRecord | undefined,
  event: SubscriptionEvent,
  offset: number,
): SubscriptionRecord | undefined {
  if (record !== undefined && (record.version >= offset || hasOperation(record.operations, event.id))) return record;
  switch (event.type) {
    case "intent":
      return foldIntent(record, event, offset);
    case "result":
      return record === undefined ? undefined : foldResult(record, event, offset);
    case "revoke": {
      if (record === undefined) return undefined;
      const { topic, callback } = record;
      // The operation is remembered even if there is nothing to end: a second copy must not end a life that begins between the two.
      const operations = withOperation(record.operations, event.id, event.time);
      if (!isLive(record.phase)) return { ...record, version: offset, operations };
      const notice = { topic, callback, reason: event.reason, ...recordedAsking(record) };
      return { ...ended(record, "revoked", event.time, offset), operations, notice };
    }
    case "ack":
      return record === undefined ? undefined : foldAck(record, event, offset);
    case "resume":
      return record === undefined ? undefined : foldResume(record, event, offset);
    case "replay":
      return record === undefined ? undefined : foldReplay(record, event, offset);
  }
}

/** Remembers a request that acts once (A3.8). Returns the same record if the request does not act. */
function foldRequest(record: SubscriptionRecord, event: ResumeEvent | ReplayEvent, offset: number): SubscriptionRecord {
  if (!isLive(record.phase)) return record;
  const requests = withRequest(record, event);
  return requests === undefined ? record : { ...record, version: offset, requests };
}

function foldResume(record: SubscriptionRecord, event: ResumeEvent, offset: number): SubscriptionRecord {
  const after = foldRequest(record, event, offset);
  return after === record || event.from === undefined ? after : withoutForgottenAcks(after);
}

/** An ack moves a lane and not its subscription, which only remembers that a signed one has acted. */
function foldAck(record: SubscriptionRecord, event: AckEvent, offset: number): SubscriptionRecord {
  if (event.signed === undefined || !isLive(record.phase) || mayAck(record.acks, event.signed) !== "yes") return record;
  const acks = withAck(record.acks, event);
  return { ...record, version: offset, ...(acks === undefined ? {} : { acks }) };
}

function foldReplay(record: SubscriptionRecord, event: ReplayEvent, offset: number): SubscriptionRecord {
  const after = foldRequest(record, event, offset);
  const replays = record.replays ?? [];
  if (after === record || event.from >= event.end || replays.length >= MOST_REQUESTS) return after;
  return { ...after, replays: [...replays, { from: event.from, end: event.end }] };
}

/** Whether a replay is owed to this life: it may have ended, or its lease may be over. */
export function isReplayOwed(record: SubscriptionRecord | undefined, life: number): boolean {
  return record?.phase === "active" && record.life === life && record.replays !== undefined;
}

/** The owner has dealt with the next replay up to this place; without a place, with all of it (A3.5). */
export function foldReplayed(record: SubscriptionRecord, before: number = Infinity): SubscriptionRecord {
  const { replays: [first, ...later] = [], ...rest } = record;
  if (first === undefined) return record;
  const left = before < first.end ? [{ from: Math.max(before, first.from), end: first.end }, ...later] : later;
  return left.length === 0 ? rest : { ...rest, replays: left };
}

function foldIntent(
  record: SubscriptionRecord | undefined,
  event: IntentEvent,
  offset: number,
): SubscriptionRecord {
  const { type: _, time, denied, ...intent } = event;
  const before = record ?? never(event, offset);
  const operations = withOperation(before.operations, event.id, time);
  if (denied !== undefined) {
    // §5.2. A refused renewal gets no notice: the old subscription stands, and "denied" would say that there is none.
    const notice = before.phase === "active"
      ? {}
      : { notice: { topic: event.topic, callback: event.callback, reason: denied, ...recordedAsking(event) } };
    return { ...before, ...notice, version: offset, operations };
  }
  const waiting = { ...intent, offset, time };
  const after = { ...before, version: offset, operations };
  if (event.marked === true && markCounts(before, event)) {
    const yes = { time, challengedAt: time, end: event.end };
    return verified({ ...after, pending: [] }, waiting, beginOf(waiting, before.pending), yes);
  }
  return { ...after, pending: withPending(before.pending, waiting) };
}

/**
 * WIRE §2: a mark does not count if another client has the subscription, or has asked for a pair that nobody has and is not verified yet.
 * The callback is then asked at once.
 */
function markCounts({ phase, client, pending }: SubscriptionRecord, event: IntentEvent): boolean {
  if (isLive(phase)) return isSameClient(client, event.client);
  return pending.every((other) => other.mode === "unsubscribe" || isSameClient(other.client, event.client));
}

function foldResult(record: SubscriptionRecord, event: ResultEvent, offset: number): SubscriptionRecord {
  const intent = record.pending.find(({ id }) => id === event.intent);
  // The intent was closed by an earlier result, or cancelled by a newer intent that verified.
  if (intent === undefined) return record;
  const operations = withOperation(record.operations, event.id, event.time);
  // A verified intent cancels the older ones: every intent that waits is newer than the newest verified.
  const pending = record.pending.filter((other) =>
    other !== intent && !(event.verified && other.offset < intent.offset)
  );
  const closed = { ...record, version: offset, pending, operations };
  // §5.1: an intent that did not verify leaves the subscription as it was.
  if (!event.verified) return withFailure(closed, intent, event);
  return verified(closed, intent, beginOf(intent, record.pending), event);
}

type Verified = Pick<ResultEvent, "time" | "challengedAt" | "end">;

function verified(
  record: SubscriptionRecord,
  intent: PendingIntent,
  begin: number,
  event: Verified,
): SubscriptionRecord {
  const { lastVerification: _, ...rest } = record;
  return intent.mode === "subscribe"
    ? subscribed(rest, intent, begin, event.challengedAt)
    : unsubscribed(rest, intent, event);
}

/**
 * Where a life begins if `hub.start` does not say. Its intent carries the log's end, and so does each older subscribe that it cancels:
 * the life begins at the earliest of these ends, as far back as an unsubscribe between them. The subscriber may have said yes to an
 * older one, and counts on everything since (WIRE §2), though another edge's result came first.
 */
function beginOf(intent: PendingIntent, pending: readonly PendingIntent[]): number {
  const older = pending.filter(({ offset }) => offset < intent.offset);
  const ended = older.findLastIndex(({ mode }) => mode === "unsubscribe");
  return Math.min(intent.end, ...older.slice(ended + 1).map(({ end }) => end));
}

/** Folds the result of the owner's own verification, as that of an edge; but it has no offset in `events` (A3.5). */
export function foldOwnResult(record: SubscriptionRecord, event: ResultEvent): SubscriptionRecord {
  return foldResult(record, event, record.version);
}

function subscribed(
  record: SubscriptionRecord,
  intent: PendingIntent,
  begin: number,
  challengedAt: number,
): SubscriptionRecord {
  const {
    secret: _secret,
    signature: _signature,
    client: _client,
    requester: _requester,
    endedAt: _endedAt,
    notice: _notice,
    ...rest
  } = record;
  const { topic, callback, concurrency = 1 } = intent;
  const renewed = {
    ...rest,
    topic,
    callback,
    phase: "active" as const,
    verified: intent.offset,
    expiresAt: leaseEnd(challengedAt, intent.leaseMs),
    concurrency,
    // §5.1: a renewal replaces the secret, or drops it.
    ...(intent.secret === undefined ? {} : { secret: intent.secret }),
    ...(intent.signature === undefined ? {} : { signature: intent.signature }),
    ...recordedAsking(intent),
  };
  // A renewal goes on where the last lease stopped, also after that lease was over. Everything else begins a life.
  if (isLive(record.phase)) return renewed;
  const start = intent.start ?? Math.max(begin, record.unsubscribedAt ?? 0);
  return withoutForgottenAcks({ ...renewed, life: intent.offset, start });
}

function unsubscribed(record: SubscriptionRecord, intent: PendingIntent, event: Verified): SubscriptionRecord {
  const at = { verified: intent.offset, ...(event.end === undefined ? {} : { unsubscribedAt: event.end }) };
  if (!isLive(record.phase)) return { ...record, ...at };
  return { ...ended(record, "unsubscribed", event.time, record.version), pending: record.pending, ...at };
}

/** The record of a subscription that ends in this phase. Intents that wait are dropped. */
export function ended(
  record: SubscriptionRecord,
  phase: Exclude<SubscriptionPhase, "pending" | "active" | "expired">,
  now: number,
  version: number,
): SubscriptionRecord {
  const { notice: _notice, replays: _replays, ...rest } = record;
  return { ...rest, phase, endedAt: now, version, pending: [] };
}

/** The topic was deregistered (A3.9): live subscriptions end with a notice, and waiting intents are dropped. */
export function foldDeregistered(
  record: SubscriptionRecord,
  reason: string,
  now: number,
  offset: number,
): SubscriptionRecord {
  if (record.version >= offset) return record;
  if (!isLive(record.phase)) {
    return record.pending.length === 0 ? record : { ...record, pending: [], version: offset };
  }
  const { topic, callback, phase } = record;
  const after = ended(record, "deregistered", now, offset);
  // A subscription whose lease is over gets no notice: for its subscriber it has ended already.
  return phase === "active" ? { ...after, notice: { topic, callback, reason, ...recordedAsking(record) } } : after;
}

function never({ topic, callback }: IntentEvent, offset: number): SubscriptionRecord {
  return {
    topic,
    callback,
    phase: "pending",
    version: offset,
    life: -1,
    start: 0,
    verified: -1,
    expiresAt: 0,
    concurrency: 1,
    pending: [],
    operations: [],
  };
}
