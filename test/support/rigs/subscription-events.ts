// A subscription as the folds see it: its record, and the events that change it. Nothing here needs a log.
import type { IntentEvent, ResultEvent, SubscriptionEvent } from "../../../core/state/events.ts";
import { foldSubscription } from "../../../core/state/fold-subscription.ts";
import type { SubscriptionRecord } from "../../../core/state/records.ts";

export const TOPIC = "https://example.com/feed";
export const CALLBACK = "https://subscriber.example/callback?x=1";
/** When the events are made, ms since 1970; a result comes 100 ms later. */
export const TIME = 1_700_000_000_000;

/** An active subscription whose lease does not end. */
export function subscriptionOf(more: Partial<SubscriptionRecord> = {}): SubscriptionRecord {
  return {
    topic: TOPIC,
    callback: CALLBACK,
    phase: "active",
    version: 1,
    life: 1,
    start: 0,
    verified: 1,
    expiresAt: Infinity,
    concurrency: 1,
    pending: [],
    operations: [],
    ...more,
  };
}

let ids = 0;

export function intent(mode: "subscribe" | "unsubscribe", more: Partial<IntentEvent> = {}): IntentEvent {
  return {
    type: "intent",
    id: `intent-${++ids}`,
    time: TIME,
    mode,
    topic: TOPIC,
    callback: CALLBACK,
    end: 0,
    ...(mode === "subscribe" ? { leaseMs: 60_000 } : {}),
    ...more,
  };
}

export function result(of: IntentEvent, verified = true, more: Partial<ResultEvent> = {}): ResultEvent {
  return {
    type: "result",
    id: `result-${++ids}`,
    time: TIME + 100,
    intent: of.id,
    topic: of.topic,
    callback: of.callback,
    verified,
    challengedAt: TIME + 50,
    ...(of.mode === "unsubscribe" && verified ? { end: of.end + 5 } : {}),
    ...more,
  };
}

/** Folds events at offsets 0, 1, 2 …, or from another offset on. */
export function fold(events: readonly SubscriptionEvent[], record?: SubscriptionRecord, from = 0) {
  return events.reduce((before, event, index) => foldSubscription(before, event, from + index), record);
}
