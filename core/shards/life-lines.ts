// What the log says of a subscription whose record has changed. A line is said when the batch is written that has the change: a change
// that is folded again, by this process or the next owner, is said once.
import type { HubEvent, IntentEvent, ResultEvent } from "../state/events.ts";
import { type DeadLetter, isLive, type SubscriptionRecord } from "../state/records.ts";
import type { LifeLine, LifeLog } from "./life-log.ts";

export class LifeLines {
  readonly #log: LifeLog;
  /** Lines of what the next batch writes, and of what the batch under way writes. */
  #next: LifeLine[] = [];
  #written: LifeLine[] = [];

  constructor(log: LifeLog) {
    this.#log = log;
  }

  /** The record became another one; `event`: because of this event, or a result that the owner found out itself. */
  changed(before: SubscriptionRecord | undefined, after: SubscriptionRecord, event?: HubEvent): void {
    if (!this.#log.isOn) return;
    const line = lineOf(before, after, event);
    if (line !== undefined) this.#next.push(line);
  }

  /** The lane of this subscription has failed for so long that it is parked. */
  parked(
    record: SubscriptionRecord | undefined,
    { failingSince, failures, lastError: reason }: { failingSince: number; failures: number; lastError: string },
  ): void {
    if (record === undefined || !this.#log.isOn) return;
    this.#next.push({ event: "parked", ...pairOf(record), since: isoOf(failingSince), failures, reason });
  }

  /** A parked lane goes on. `failingSince` 0: its failures were forgotten at a resume. */
  recovered(record: SubscriptionRecord | undefined, failingSince: number): void {
    if (record === undefined || !this.#log.isOn) return;
    const since = failingSince === 0 ? null : isoOf(failingSince);
    this.#next.push({ event: "recovered", ...pairOf(record), since });
  }

  deadLetter(record: SubscriptionRecord | undefined, { id: messageId, attempts, status, reason }: DeadLetter): void {
    if (record === undefined || !this.#log.isOn) return;
    this.#next.push({ event: "dead letter", ...pairOf(record), messageId, attempts, status, reason });
  }

  /** A batch is composed: it has what was noted up to now. */
  composed(): void {
    this.#written.push(...this.#next.splice(0));
  }
  /** That batch is written. */
  committed(): void {
    for (const line of this.#written.splice(0)) this.#log.say(line);
  }
}

function lineOf(
  before: SubscriptionRecord | undefined,
  after: SubscriptionRecord,
  event: HubEvent | undefined,
): LifeLine | undefined {
  if (event?.type === "intent" && event.denied !== undefined) {
    return { event: "denied", ...pairOf(event), reason: event.denied };
  }
  if (event?.type === "result" && !event.verified) return unverified(before, event);
  const { phase } = after;
  const pair = pairOf(after);
  if (phase === "active") {
    if (before?.verified === after.verified) return undefined;
    const kind = before !== undefined && isLive(before.phase) ? "renewed" : "verified";
    return { event: kind, ...pair, leaseExpiresAt: isoOf(after.expiresAt), concurrency: after.concurrency };
  }
  if (before === undefined || before.phase === phase) return undefined;
  switch (phase) {
    case "pending":
      return undefined;
    case "expired":
      return { event: phase, ...pair, leaseExpiresAt: isoOf(after.expiresAt) };
    case "revoked":
      return { event: phase, ...pair, reason: after.notice?.reason ?? "an operator has ended it" };
    case "unsubscribed":
    case "gone":
    case "deregistered":
      return { event: phase, ...pair };
  }
}

function unverified(before: SubscriptionRecord | undefined, event: ResultEvent): LifeLine | undefined {
  const intent = before?.pending.find(({ id }) => id === event.intent);
  if (before === undefined || intent === undefined) return undefined;
  const { outcome = "failed", reason = "its edge does not say why" } = event;
  const stands = isLive(before.phase);
  return { event: "unverified", ...pairOf(intent), mode: intent.mode, outcome, reason, intent: intent.id, stands };
}

/** Topic and callback, and nothing else of what has them. */
function pairOf({ topic, callback }: Pick<IntentEvent, "topic" | "callback">) {
  return { topic, callback };
}

function isoOf(time: number): string {
  return Number.isFinite(time) ? new Date(time).toISOString() : "for ever";
}
