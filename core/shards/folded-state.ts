// What a shard's events have been folded into, in memory: its topics and subscriptions, which of them changed since the last batch,
// and when each is due to be looked at again.
import type { ShardRecord } from "../log/log.ts";
import type { ShardState } from "../replica/states.ts";
import { OPERATIONS_KEPT_MS, withoutOldOperations } from "../state/recent-operations.ts";
import { encodeRecord, type SubscriptionRecord, type TopicRecord } from "../state/records.ts";
import type { Subscriptions } from "../state/subscriptions.ts";
import { FAILURE_KEPT_MS, withoutOldFailure } from "../state/failed-verifications.ts";
import type { DueIndex } from "./due-index.ts";
import { FailedPairs } from "./failed-pairs.ts";

/** The owner takes over the verification of an intent that has no result this long after the 202 (A3.6). */
export const TAKEOVER_MS = 60_000;

export interface FoldedStateOptions {
  readonly state: Pick<ShardState, "topics" | "subscriptions">;
  readonly due: DueIndex;
  readonly retentionMs: number;
  /** Wall clock, ms. */
  readonly clock: () => number;
}

/** Every subscription is looked at within this time. Only dates that are less than two such rounds away are in the index. */
const ROUND_MS = 3_600_000;

export class FoldedState {
  readonly #retentionMs: number;
  readonly #clock: () => number;
  readonly #topics: Map<string, TopicRecord>;
  readonly #subscriptions: Subscriptions;
  readonly #due: DueIndex;
  readonly #failed = new FailedPairs();
  /** Where the round over all subscriptions stands, and the time up to which it was made. */
  #round: Iterator<string> | undefined;
  #roundAt: number;
  readonly #changedTopics = new Set<string>();
  readonly #changedSubscriptions = new Set<string>();

  /** Subscriptions get their dates one by one, when they are first looked at: a million at once would hold up all else. */
  constructor({ state, due, retentionMs, clock }: FoldedStateOptions) {
    this.#retentionMs = retentionMs;
    this.#clock = clock;
    this.#topics = new Map(state.topics);
    this.#subscriptions = state.subscriptions;
    this.#due = due;
    this.#roundAt = clock();
    for (const id of this.#topics.keys()) this.noteDates(id);
  }

  get topics(): ReadonlyMap<string, TopicRecord> {
    return this.#topics;
  }
  get subscriptions(): Omit<Subscriptions, "set" | "delete"> {
    return this.#subscriptions;
  }

  setTopic(id: string, record: TopicRecord): void {
    this.#topics.set(id, record);
    this.#changedTopics.add(id);
    this.noteDates(id);
  }

  setSubscription(id: string, record: SubscriptionRecord): void {
    this.#subscriptions.set(id, record);
    this.#changedSubscriptions.add(id);
    this.noteDates(id, record);
    for (const excess of this.#failed.takeExcess()) this.#forgetFailure(excess);
  }

  /** Forgets that a pair's verification failed, and with that the pair, unless something else waits for it. */
  #forgetFailure(id: string): void {
    const { lastVerification: _, ...rest } = this.#subscriptions.get(id)!;
    this.#subscriptions.set(id, rest);
    this.#changedSubscriptions.add(id);
    if (!this.forgetSubscription(id)) this.noteDates(id, rest);
  }

  /** Forgets a topic that nobody has needed since this time, ms; not if it was needed meanwhile. */
  forgetUnused(id: string, usedAt: number): void {
    const record = this.#topics.get(id);
    if (record?.usedAt !== usedAt || record.fetchOwed !== undefined) return;
    this.#topics.delete(id);
    this.#changedTopics.add(id);
  }

  /** Forgets a topic that ended longer ago than the retention. */
  forgetTopic(id: string): void {
    const { endedAt } = this.#topics.get(id) ?? {};
    if (endedAt === undefined || endedAt + this.#retentionMs > this.#clock()) return;
    this.#topics.delete(id);
    this.#changedTopics.add(id);
  }

  /** Forgets a subscription whose record is no longer needed. Returns whether it was forgotten. */
  forgetSubscription(id: string): boolean {
    const record = this.#subscriptions.get(id);
    if (record === undefined || this.#forgetAt(record) > this.#clock()) return false;
    this.#subscriptions.delete(id);
    this.#failed.note(id, undefined);
    this.#changedSubscriptions.add(id);
    return true;
  }

  /** Returns the records that changed since the last call, each as the next batch writes it: a deleted one as its tombstone. */
  drainChanges(): ShardRecord[] {
    const records: ShardRecord[] = [];
    for (const id of this.#changedSubscriptions) {
      const record = this.#subscriptions.get(id);
      records.push({ stream: "subscriptions", key: id, value: record === undefined ? null : encodeRecord(record) });
    }
    for (const id of this.#changedTopics) {
      const record = this.#topics.get(id);
      records.push({ stream: "topics", key: id, value: record === undefined ? null : encodeRecord(record) });
    }
    this.#changedSubscriptions.clear();
    this.#changedTopics.clear();
    return records;
  }

  // ── dates ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Topics and subscriptions whose time may have come; each is to be examined, and its next dates noted. */
  due(): string[] {
    const now = this.#clock();
    this.#lookFurther(now);
    return this.#due.due(now);
  }

  /** Goes on with the round. Leases last for days: an index entry for each would cost a tenth of a quiet subscription's memory (A3.7). */
  #lookFurther(now: number): void {
    const share = Math.min(1, Math.max(0, now - this.#roundAt) / ROUND_MS);
    this.#roundAt = now;
    // One step more, since the end of a round takes one.
    for (let left = Math.ceil(this.#subscriptions.size * share) + 1; left > 0; left--) {
      this.#round ??= this.#subscriptions.keys();
      const next = this.#round.next();
      if (next.done === true) this.#round = undefined;
      else this.noteDates(next.value);
    }
  }

  /** Puts the next dates of a topic or a subscription into the index. Drops the ids of operations that are too old. */
  noteDates(id: string, record = this.#subscriptions.get(id)): void {
    const topic = this.#topics.get(id);
    if (topic?.endedAt !== undefined) this.#due.add(id, topic.endedAt + this.#retentionMs);
    if (record === undefined) return;
    const now = this.#clock();
    this.#failed.note(id, record);
    const date = record.phase === "active" ? record.expiresAt : this.#forgetAt(record);
    if (date <= now + 2 * ROUND_MS) this.#due.add(id, date);
    for (const intent of record.pending) {
      if (intent.time + TAKEOVER_MS > now) this.#due.add(id, intent.time + TAKEOVER_MS);
    }
    const newest = record.operations.at(-1)?.[1];
    const rest = withoutOldFailure(withoutOldOperations(record, now), now);
    if (rest !== record) this.#subscriptions.set(id, rest);
    if (newest !== undefined && rest.operations.length > 0) this.#due.add(id, newest + OPERATIONS_KEPT_MS);
  }

  /**
   * When a record is forgotten, ms: an ended one after the retention, one that never verified when its operations and its failed
   * verification are too old; Infinity while it is needed.
   */
  #forgetAt(record: SubscriptionRecord): number {
    if (record.phase === "active" || record.pending.length > 0 || record.notice !== undefined) return Infinity;
    if (record.phase === "pending") {
      const failedAt = record.lastVerification?.at ?? -Infinity;
      return Math.max((record.operations.at(-1)?.[1] ?? 0) + OPERATIONS_KEPT_MS, failedAt + FAILURE_KEPT_MS);
    }
    return (record.endedAt ?? 0) + this.#retentionMs;
  }
}
