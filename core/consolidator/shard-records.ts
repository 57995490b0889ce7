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

/** Every subscription is looked at within this time, and only dates that are no further than twice of it are in the index. */
const ROUND_MS = 3_600_000;

/** The subscriptions to one topic, and its text as the first of them has it: the others share it. */
interface Group {
  readonly topic: string;
  readonly ids: Set<string>;
}

const NO_OPERATIONS: SubscriptionRecord["operations"] = [];
const NO_PENDING: SubscriptionRecord["pending"] = [];

export class ShardRecords {
  readonly #retentionMs: number;
  readonly #now: () => number;
  readonly #topics: Map<string, TopicRecord>;
  readonly #subscriptions: Map<string, SubscriptionRecord>;
  readonly #byTopic = new Map<string, Group>();
  /** Of the groups' texts, so that one is hashed once and not for each subscription. */
  readonly #topicIds = new Map<string, string>();
  readonly #due: DueIndex;
  /** Where the round over all subscriptions stands, and until when it was made. */
  #round: Iterator<string> | undefined;
  #roundAt: number;
  readonly #changedTopics = new Set<string>();
  readonly #changedSubscriptions = new Set<string>();

  constructor({ state, retentionMs, now }: ShardRecordsOptions) {
    this.#retentionMs = retentionMs;
    this.#now = now;
    this.#topics = new Map(state.topics);
    this.#subscriptions = new Map(state.subscriptions);
    this.#due = new DueIndex(now());
    this.#roundAt = now();
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
    return this.#byTopic.get(topicId)?.ids ?? [];
  }
  /** As `topicIdOf`, and one and the same string for all subscriptions to a topic. */
  topicIdOf(topic: string): string {
    return this.#topicIds.get(topic) ?? topicIdOf(topic);
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
    const topicId = this.topicIdOf(record.topic);
    const group = this.#byTopic.get(topicId);
    group?.ids.delete(id);
    if (group?.ids.size === 0) {
      this.#byTopic.delete(topicId);
      this.#topicIds.delete(group.topic);
    }
    return true;
  }

  /** How many have a place in the index now. */
  get watched(): number {
    return this.#due.size;
  }

  /** Topics and subscriptions whose time may have come; each is to be examined, and watched again. */
  due(): string[] {
    const now = this.#now();
    this.#lookFurther(now);
    return this.#due.due(now);
  }

  /** Leases last for days: a place in the index for each of them would cost a tenth of a quiet subscription's memory (A3.7). */
  #lookFurther(now: number): void {
    const share = Math.min(1, Math.max(0, now - this.#roundAt) / ROUND_MS);
    this.#roundAt = now;
    // One more, as the end of a round takes a step.
    for (let left = Math.ceil(this.#subscriptions.size * share) + 1; left > 0; left--) {
      this.#round ??= this.#subscriptions.keys();
      const next = this.#round.next();
      if (next.done === true) this.#round = undefined;
      else this.watch(next.value);
    }
  }

  /** Puts the next dates of a topic or a subscription into the index, and lets go of what it needs no more. */
  watch(id: string): void {
    const topic = this.#topics.get(id);
    if (topic?.endedAt !== undefined) this.#due.add(id, topic.endedAt + this.#retentionMs);
    const record = this.#subscriptions.get(id);
    if (record === undefined) return;
    const now = this.#now();
    const date = record.phase === "active" ? record.expiresAt : this.#forgetAt(record);
    if (date <= now + 2 * ROUND_MS) this.#due.add(id, date);
    for (const intent of record.pending) {
      if (intent.time + TAKEOVER_MS > now) this.#due.add(id, intent.time + TAKEOVER_MS);
    }
    const newest = record.operations.at(-1)?.[1];
    if (newest === undefined) return;
    // A third of a quiet subscription's memory; no core takes these operations any more (A3.8).
    if (newest + OPERATIONS_KEPT_MS <= now) this.#shrink(id, record);
    else this.#due.add(id, newest + OPERATIONS_KEPT_MS);
  }

  /** The same record without what is too old to matter. It is not written for this: the next change does. */
  #shrink(id: string, record: SubscriptionRecord): void {
    const shared = this.#byTopic.get(this.topicIdOf(record.topic))?.topic;
    this.#subscriptions.set(id, {
      ...record,
      topic: shared === record.topic ? shared : record.topic,
      operations: NO_OPERATIONS,
      pending: record.pending.length === 0 ? NO_PENDING : record.pending,
    });
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
    const topicId = this.topicIdOf(record.topic);
    const group = this.#byTopic.get(topicId);
    if (group !== undefined) return void group.ids.add(id);
    this.#byTopic.set(topicId, { topic: record.topic, ids: new Set([id]) });
    this.#topicIds.set(record.topic, topicId);
  }
}
