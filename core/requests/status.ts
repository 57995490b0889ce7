// GET /subscriptions: where a subscription stands (WIRE §5).
import type { Caller, SubscriptionState, SubscriptionStatus } from "../../shared/core-api.ts";
import type { BlockIndex } from "../messages/block-index.ts";
import { encodeCursor } from "../messages/cursor-text.ts";
import type { Log } from "../log/log.ts";
import { isLive } from "../state/fold-subscription.ts";
import type { Admit, KnownSubscription } from "./admission.ts";
import type { StandingOf } from "./standing.ts";
import type { Topic } from "./topics.ts";

export interface StatusOptions {
  readonly log: Log;
  readonly admit: Admit;
  readonly standingOf: StandingOf;
  readonly index: Pick<BlockIndex, "countRepeats">;
}

export type ReadStatus = (topic: string, callback: string, caller: Caller) => Promise<SubscriptionStatus>;

const READ_BYTES = 1024 * 1024;

/** @throws {Refusal} as `Admit` */
export function createReadStatus({ log, admit, standingOf, index }: StatusOptions): ReadStatus {
  return async (name, callback, caller) => {
    const subscription = await admit(name, callback, caller);
    const { topic, record } = subscription;
    if (!isLive(record.phase)) return tombstone(record, record.phase);
    const standing = await standingOf(subscription);
    const { position } = standing;
    const undelivered = await countFrom(topic, position);
    const cursor = (offset: number) => encodeCursor(topic.id, { partition: topic.partition, offset });
    return {
      topic: record.topic,
      callback: record.callback,
      state: record.phase === "expired" ? "expired" : standing.parked ? "parked" : "active",
      leaseExpiresAt: new Date(record.expiresAt).toISOString(),
      cursor: cursor(position - 1),
      lag: undelivered.count,
      oldestUndeliveredAt: undelivered.oldest === undefined ? null : new Date(undelivered.oldest).toISOString(),
      lastError: standing.lastError,
      gaps: (standing.gaps ?? []).map(({ from, to }) => ({ from: cursor(from - 1), to: cursor(to - 1) })),
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

function tombstone({ topic, callback }: KnownSubscription["record"], state: SubscriptionState): SubscriptionStatus {
  return {
    topic,
    callback,
    state,
    leaseExpiresAt: null,
    cursor: null,
    lag: 0,
    oldestUndeliveredAt: null,
    lastError: null,
    gaps: [],
  };
}
