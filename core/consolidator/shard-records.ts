// The records of a shard in memory: by id and by topic, which of them changed since the last batch, and when each is to be
// looked at again.
import { topicIdOf } from "../ids.ts";
import type { ShardRecord } from "../log/log.ts";
import type { ShardState } from "../replica/states.ts";
import { DueIndex } from "./due-index.ts";
import { OPERATIONS_KEPT_MS } from "./operations.ts";
import { encodeRecord, type SubscriptionRecord, type TopicRecord } from "./records.ts";

/** An owner takes over the verification of what has no result this long after the 202 (A3.6). */
export const TAKEOVER_MS = 60_000;

export interface ShardRecordsOptions {
  readonly state: Pick<ShardState, "topics" | "subscriptions">;
  readonly retentionMs: number;
  /** Wall clock, ms. */
  readonly now: () => number;
}

export class ShardRecords {
  readonly #retentionMs: number;
  readonly #now: () => number;
  readonly #topics: Map<string, TopicRecord>;
  readonly #subscriptions: Map<string, SubscriptionRecord>;
  readonly #byTopic = new Map<string, Set<string>>();
  readonly #due: DueIndex;
  readonly #changedTopics = new Set<string>();
  readonly #changedSubscriptions = new Set<string>();

  constructor({ state, retentionMs, now }: ShardRecordsOptions) {
    this.#retentionMs = retentionMs;
    this.#now = now;
    this.#topics = new Map(state.topics);
    this.#subscriptions = new Map(state.subscriptions);
    this.#due = new DueIndex(now());
    for (const [id, record] of this.#subscriptions) {
      this.#index(id, record);
      this.watch(id);
    }
    for (const id of this.#topics.keys()) this.watch(id);
  }

  get topics(): ReadonlyMap<string, TopicRecord> {
    return this.#topics;
  }
  get subscriptions(): ReadonlyMap<string, SubscriptionRecord> {
    return this.#subscriptions;
  }
  /** Ids of all subscriptions to a topic, whatever their phase. */
  subscriptionsTo(topicId: string): Iterable<string> {
    return this.#byTopic.get(topicId) ?? [];
  }

  setTopic(id: string, record: TopicRecord): void {
    this.#topics.set(id, record);
    this.#changedTopics.add(id);
    this.watch(id);
  }

  setSubscription(id: string, record: SubscriptionRecord): void {
    this.#subscriptions.set(id, record);
    this.#changedSubscriptions.add(id);
    this.#index(id, record);
    this.watch(id);
  }

  /** Forgets a topic that ended longer ago than the retention. */
  forgetTopic(id: string): void {
    const { endedAt } = this.#topics.get(id) ?? {};
    if (endedAt === undefined || endedAt + this.#retentionMs > this.#now()) return;
    this.#topics.delete(id);
    this.#changedTopics.add(id);
  }

  /** Forgets a subscription that nobody will ask for any more. Returns whether it was one. */
  forgetSubscription(id: string): boolean {
    const record = this.#subscriptions.get(id);
    if (record === undefined || this.#forgetAt(record) > this.#now()) return false;
    this.#subscriptions.delete(id);
    this.#changedSubscriptions.add(id);
    const topicId = topicIdOf(record.topic);
    const ids = this.#byTopic.get(topicId);
    ids?.delete(id);
    if (ids?.size === 0) this.#byTopic.delete(topicId);
    return true;
  }

  /** Topics and subscriptions whose time may have come; each is to be examined, and watched again. */
  due(): string[] {
    return this.#due.due(this.#now());
  }

  /** Puts the next dates of a topic or a subscription into the index. */
  watch(id: string): void {
    const topic = this.#topics.get(id);
    if (topic?.endedAt !== undefined) this.#due.add(id, topic.endedAt + this.#retentionMs);
    const record = this.#subscriptions.get(id);
    if (record === undefined) return;
    if (record.phase === "active") this.#due.add(id, record.expiresAt);
    const forget = this.#forgetAt(record);
    if (forget !== Infinity) this.#due.add(id, forget);
    const now = this.#now();
    for (const intent of record.pending) {
      if (intent.time + TAKEOVER_MS > now) this.#due.add(id, intent.time + TAKEOVER_MS);
    }
  }

  /** What the next batch writes: each record that changed since the last call, or its tombstone. */
  takeChanges(): ShardRecord[] {
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

  /** When a record is forgotten, ms: ended ones after the retention, one that never verified when its operations are too old. */
  #forgetAt(record: SubscriptionRecord): number {
    if (record.phase === "active" || record.pending.length > 0 || record.notice !== undefined) return Infinity;
    if (record.phase === "pending") return (record.operations.at(-1)?.[1] ?? 0) + OPERATIONS_KEPT_MS;
    return (record.endedAt ?? 0) + this.#retentionMs;
  }

  #index(id: string, record: SubscriptionRecord): void {
    const topicId = topicIdOf(record.topic);
    const ids = this.#byTopic.get(topicId);
    if (ids === undefined) this.#byTopic.set(topicId, new Set([id]));
    else ids.add(id);
  }
}
