// GET /subscriptions: where a subscription stands (WIRE §5).
import type { Caller, LastVerification, SubscriptionState, SubscriptionStatus } from "../../shared/core-api.ts";
import type { BlockIndex } from "../messages/block-index.ts";
import { encodeCursor } from "../messages/cursor-text.ts";
import type { Log } from "../log/log.ts";
import { type FailedVerification, isLive, type SubscriptionRecord } from "../state/records.ts";
import { withoutOldFailure } from "../state/failed-verifications.ts";
import type { AdmitToStatus } from "./admission.ts";
import { describeFailure, statusOfStuck } from "./stuck.ts";
import type { StandingOf } from "./standing.ts";
import type { Topic } from "./topics.ts";

export interface StatusOptions {
  readonly log: Log;
  readonly admit: AdmitToStatus;
  readonly standingOf: StandingOf;
  readonly index: Pick<BlockIndex, "countRepeats">;
  /** A message that was answered 5xx so many times is said to hold up its subscription. */
  readonly stuckAfter: number;
  /** Wall clock, ms. */
  readonly clock: () => number;
}

export type ReadStatus = (topic: string, callback: string, caller: Caller) => Promise<SubscriptionStatus>;

const READ_BYTES = 1024 * 1024;

/** @throws {Refusal} as `Admit` */
export function createReadStatus({ log, admit, standingOf, index, stuckAfter, clock }: StatusOptions): ReadStatus {
  return async (name, callback, caller) => {
    const subscription = await admit(name, callback, caller);
    if ("failed" in subscription) return withoutDelivery(subscription.record, "unverified", subscription.failed);
    const { topic, record } = subscription;
    const { lastVerification } = withoutOldFailure(record, clock());
    if (!isLive(record.phase)) return withoutDelivery(record, record.phase, lastVerification);
    const standing = await standingOf(subscription);
    const { position } = standing;
    const undelivered = await countFrom(topic, position);
    const cursor = (offset: number) => encodeCursor(topic.id, { partition: topic.partition, offset });
    const { lastError, stuck } = describeFailure(standing, stuckAfter);
    return {
      topic: record.topic,
      callback: record.callback,
      state: record.phase === "expired" ? "expired" : standing.parked ? "parked" : "active",
      leaseExpiresAt: new Date(record.expiresAt).toISOString(),
      cursor: cursor(position - 1),
      lag: undelivered.count,
      oldestUndeliveredAt: undelivered.oldest === undefined ? null : new Date(undelivered.oldest).toISOString(),
      lastError,
      stuck: stuck === undefined ? null : statusOfStuck(stuck, cursor(stuck.offset)),
      gaps: (standing.gaps ?? []).map(({ from, to }) => ({ from: cursor(from - 1), to: cursor(to - 1) })),
      lastVerification: shown(lastVerification),
    };
  };

  /** The topic's messages from a position on: exact if the log has an index by key, else an upper bound. */
  async function countFrom(topic: Topic, from: number): Promise<{ count: number; oldest: number | undefined }> {
    const { id, partition } = topic;
    const end = await log.end("messages", partition);
    if (from >= end) return { count: 0, oldest: undefined };
    if (log.count !== undefined) {
      const { count, firstTime } = await log.count("messages", partition, id, from);
      // A repeat counts once (A4.4).
      const distinct = count === 0 ? 0 : count - await index.countRepeats(partition, id, from);
      return { count: distinct, oldest: distinct === 0 ? undefined : firstTime };
    }
    const chunk = await log.read("messages", partition, from, { maxBytes: READ_BYTES, keys: new Set([id]) });
    return { count: chunk.records.length + Math.max(0, end - chunk.next), oldest: chunk.records[0]?.time };
  }
}

/** The status of a subscription that has ended, or never was. */
function withoutDelivery(
  { topic, callback }: Pick<SubscriptionRecord, "topic" | "callback">,
  state: SubscriptionState,
  lastVerification: FailedVerification | undefined,
): SubscriptionStatus {
  return {
    topic,
    callback,
    state,
    leaseExpiresAt: null,
    cursor: null,
    lag: 0,
    oldestUndeliveredAt: null,
    lastError: null,
    stuck: null,
    gaps: [],
    lastVerification: shown(lastVerification),
  };
}

function shown(failed: FailedVerification | undefined): LastVerification | null {
  if (failed === undefined) return null;
  const { at, outcome, reason } = failed;
  return { at: new Date(at).toISOString(), outcome, reason };
}
