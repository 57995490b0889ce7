// One shard's owner: folds its events, keeps its lanes' books, and writes both in one transaction after the other (A3.1).
// Whatever is decided here is decided in synchronous steps; effects follow the commit (A3.10).
import { getLogger } from "@logtape/logtape";
import { pause } from "../../shared/pause.ts";
import type { DeadLetter, Delivery } from "../delivery/delivery.ts";
import type { Lane } from "../delivery/lane.ts";
import { subscriptionIdOf, topicIdOf } from "../ids.ts";
import { LogError, type LogRecord, type ShardRecord, type ShardWriter } from "../log/log.ts";
import type { ShardState } from "../replica/replica.ts";
import { DueIndex } from "./due-index.ts";
import { decodeEvent, type DeregisterEvent, type HubEvent, type ResultEvent } from "./events.ts";
import { ended, foldDeregistered, foldOwnResult, foldSubscription, isLive } from "./fold-subscription.ts";
import { foldFetched, foldTopic } from "./fold-topic.ts";
import { LaneBook } from "./lane-book.ts";
import { hasOperation, OPERATIONS_KEPT_MS, withOperation } from "./operations.ts";
import {
  encodeRecord,
  type Fetched,
  type Notice,
  type PendingIntent,
  type RecentOperations,
  SHARD_KEY,
  type ShardRecordState,
  type SubscriptionRecord,
  type TopicRecord,
} from "./records.ts";

const logger = getLogger(["tidings", "core", "consolidator"]);

/** What runs after a commit; each reports back by a finding, and may run twice. */
export interface Effects {
  /** Sends the denied notice, then calls `noticeSent`. */
  notify(notice: Notice, sent: () => void): void;
  /** Verifies what no edge brought a result of; `found` gets the result to fold. */
  verify(intent: PendingIntent, found: (result: ResultEvent) => void): void;
  /** Fetches a topic that was pinged. */
  fetch(topicId: string, topic: TopicRecord, fetched: (ping: number, fetched: Fetched | undefined) => void): void;
  /** Another ping came while its fetch pauses between tries. */
  hurry(topicId: string): void;
}

export interface ShardOptions {
  readonly number: number;
  readonly writer: ShardWriter;
  readonly state: ShardState;
  /** Where `events` is folded from, if no record says. */
  readonly eventsFrom: number;
  /** Watermarks, if no record says: the ends of `messages`. */
  readonly ends: readonly number[];
  readonly hubUrl: string;
  readonly retentionMs: number;
  readonly checkpointMs: number;
  readonly checkpointAhead?: boolean;
  readonly partitionOf: (topicId: string) => number;
  readonly effects: Effects;
  readonly now: () => number;
  /** The writer is lost: fenced, or failed for good. */
  readonly onLost: (error: Error) => void;
}

/** What a shard's owner found out itself (A3.5): folded at once, never by way of `events`. */
type Finding = () => void;

const MOST_FOLDED = 1_000;
const MOST_ENDED = 1_000;
const MOST_FOLDING_MS = 20;
/** A shard remembers the deregisters of all its topics, not of one. */
const MOST_DEREGISTERS = 1_024;
/** An owner takes over the verification of what has no result this long after the 202 (A3.6). */
const TAKEOVER_MS = 60_000;
/** Watermarks of an idle shard are written this often, or after this many records (A4.3). */
const IDLE_MS = 30_000;
const IDLE_RECORDS = 10_000;
const PAUSE_WHEN_FULL_MS = 1_000;

export class Shard {
  readonly number: number;
  readonly book: LaneBook;
  readonly #options: ShardOptions;
  readonly #topics: Map<string, TopicRecord>;
  readonly #subscriptions: Map<string, SubscriptionRecord>;
  readonly #byTopic = new Map<string, Set<string>>();
  readonly #due: DueIndex;
  #events: number;
  #operations: RecentOperations;
  #inbox: LogRecord[] = [];
  #inboxNext: number;
  #findings: Finding[] = [];
  #deregister: { event: DeregisterEvent; record: LogRecord; left: string[] } | undefined;
  // What the next batch writes.
  #changedTopics = new Set<string>();
  #changedSubscriptions = new Set<string>();
  #records: ShardRecord[] = [];
  #effects: (() => void)[] = [];
  #overdue = new Set<string>();
  #notifying = new Set<string>();
  #verifying = new Set<string>();
  #fetching = new Set<string>();
  #delivery: Delivery | undefined;
  #wake: (() => void) | undefined;
  // The first batch says who owns the shard now, whatever there is to fold.
  #woken = true;
  #checkpointAt = 0;
  #writtenEvents: number;
  /** A message was given up: the position past it is written in the same batch. */
  #positionsOwed = false;
  #stopped = false;
  #broken = false;
  #running: Promise<void> | undefined;
  #folded: (() => void)[] = [];
  /** Events that could not be applied: set aside, counted and shown. */
  setAside = 0;

  constructor(options: ShardOptions) {
    const { state } = options;
    this.#options = options;
    this.number = options.number;
    this.#topics = new Map(state.topics);
    this.#subscriptions = new Map(state.subscriptions);
    this.#events = this.#inboxNext = state.shard.topics?.events ?? options.eventsFrom;
    this.#writtenEvents = -1;
    this.#operations = state.shard.topics?.operations ?? [];
    this.#due = new DueIndex(options.now());
    this.book = new LaneBook({
      shard: options.number,
      hubUrl: options.hubUrl,
      partitionOf: options.partitionOf,
      cursors: state.cursors,
      watermarks: state.shard.cursors?.watermarks ?? options.ends,
      checkpointAhead: options.checkpointAhead === true,
    });
    for (const [id, record] of this.#subscriptions) {
      this.#index(id, record);
      this.#watch(id, record);
    }
    for (const [id, record] of this.#topics) if (record.endedAt !== undefined) this.#watchTopic(id, record);
  }

  /** The next `events` offset to fold. */
  get events(): number {
    return this.#events;
  }
  get subscriptions(): number {
    return this.#subscriptions.size;
  }

  /** Begins to fold and write. Lanes start with `attach`. */
  start(): void {
    this.#running = this.#run().catch((error: unknown) => {
      if (!this.#stopped) this.#options.onLost(error instanceof Error ? error : new Error(String(error)));
    });
  }

  /** Events of this shard's partition, in order; resolves when there is room for more. */
  receive(records: readonly LogRecord[], next: number): Promise<void> | void {
    this.#inbox.push(...records);
    this.#inboxNext = next;
    this.wake();
    if (this.#inbox.length > MOST_FOLDED * 4) return this.foldedTo(next);
  }

  /** Resolves when everything before this `events` offset is folded and committed. */
  async foldedTo(offset: number): Promise<void> {
    while (this.#writtenEvents < offset && !this.#stopped) {
      await new Promise<void>((resolve) => this.#folded.push(resolve));
    }
  }

  /** Everything up to the log's end is folded: lanes may run (A3.2). */
  attach(delivery: Delivery): void {
    this.#delivery = delivery;
    this.book.attach(delivery);
    for (const [id, record] of this.#subscriptions) {
      if (record.phase === "active") this.book.open(id, record);
      this.#schedule(id, record);
    }
    for (const [id, record] of this.#topics) this.#scheduleFetch(id, record);
    this.#flushEffects();
    // The loop went to sleep when there was nothing to checkpoint.
    this.wake();
  }

  // ── what lanes and effects report ──────────────────────────────────────────────────────────────────────────────────

  moved(lane: Lane): void {
    const first = !this.book.dirty;
    this.book.moved(lane);
    // The loop sets its clock by whether there is anything to checkpoint.
    if (first) this.wake();
  }

  gone(lane: Lane): void {
    // What stands before it was delivered, or answered 410.
    const stoodAt = lane.position(lane.readFrom);
    this.#find(() => {
      const record = this.#subscriptions.get(lane.id);
      if (record === undefined || !isLive(record.phase) || record.life !== lane.life) return;
      // What waits to be verified stays: its subscriber may have said yes after the 410. Like after an unsubscribe, the new
      // life has nothing of what this one had (§6.2).
      const { pending, unsubscribedAt = 0 } = record;
      const gone = ended(record, "gone", this.#options.now(), record.version);
      this.#setSubscription(lane.id, { ...gone, pending, unsubscribedAt: Math.max(unsubscribedAt, stoodAt) });
    });
  }

  leaseOver(lane: Lane): void {
    // Said at every message until it is folded, which may take long (a full disk).
    if (this.#overdue.size === 0) {
      this.#find(() => {
        for (const id of this.#overdue) this.#examine(id);
        this.#overdue.clear();
      });
    }
    this.#overdue.add(lane.id);
  }

  deadLetter(lane: Lane, letter: DeadLetter): void {
    this.#records.push({ stream: "dead-letters", key: lane.id, value: encodeRecord({ life: lane.life, ...letter }) });
    this.#positionsOwed = true;
    this.wake();
  }

  /** Records of another's making that this shard's writer is to write, with its next batch. */
  put(record: ShardRecord): void {
    this.#records.push(record);
    this.wake();
  }

  /** Once a second: leases, takeovers, and what is old enough to be forgotten. */
  sweep(): void {
    const keys = this.#due.due(this.#options.now());
    if (keys.length > 0) {
      this.#find(() => {
        for (const key of keys) this.#examine(key);
      });
    }
    if (this.#untilCheckpoint(this.#options.now()) <= 0) this.wake();
  }

  wake(): void {
    this.#woken = true;
    this.#wake?.();
  }

  /** Stops after a last batch: what was folded and where the lanes stand. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.wake();
    await this.#running;
    if (!this.#broken) {
      this.#checkpointAt = 0;
      const batch = this.#compose();
      if (batch.length > 0) await this.#options.writer.commit(batch);
    }
    for (const resolve of this.#folded.splice(0)) resolve();
    await this.#options.writer.close();
  }

  // ── the loop ───────────────────────────────────────────────────────────────────────────────────────────────────────

  async #run(): Promise<void> {
    while (!this.#stopped) {
      if (!this.#woken) await this.#sleep();
      this.#woken = false;
      if (this.#stopped) return;
      const batch = this.#compose();
      if (batch.length > 0) {
        const events = this.#events;
        await this.#commit(batch);
        this.#writtenEvents = events;
        for (const resolve of this.#folded.splice(0)) resolve();
      }
      this.#flushEffects();
      if (this.#inbox.length > 0 || this.#deregister !== undefined) this.#woken = true;
    }
  }

  #sleep(): Promise<void> {
    return new Promise((resolve) => {
      const wait = this.book.dirty ? Math.max(0, this.#untilCheckpoint(this.#options.now())) : undefined;
      const timer = wait === undefined ? undefined : setTimeout(() => this.#wake?.(), wait);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
    });
  }

  async #commit(batch: readonly ShardRecord[]): Promise<void> {
    while (true) {
      try {
        return await this.#options.writer.commit(batch);
      } catch (error) {
        if (this.#stopped || !(error instanceof LogError && error.code === "full")) {
          // What was folded is not in the log: the next owner folds it again, and nothing more may be written.
          this.#broken = true;
          throw error;
        }
        // Nothing was written: the same batch again, when there may be room.
        logger.error("The log has no room; shard {shard} waits", { shard: this.number });
        await pause(PAUSE_WHEN_FULL_MS);
      }
    }
  }

  /** One synchronous step: folds what is there, and makes the batch that says so. */
  #compose(): ShardRecord[] {
    const { now } = this.#options;
    const begun = now();
    for (const finding of this.#findings.splice(0)) finding();
    this.#continueDeregister();
    let folded = 0;
    while (folded < this.#inbox.length && folded < MOST_FOLDED && this.#deregister === undefined) {
      this.#fold(this.#inbox[folded++]!);
      if ((folded & 63) === 0 && now() - begun > MOST_FOLDING_MS) break;
    }
    this.#inbox.splice(0, folded);
    // Beyond the last event there may be records that are none (compacted away, control records).
    if (this.#inbox.length === 0 && this.#deregister === undefined) this.#events = this.#inboxNext;

    const records = this.#records;
    this.#records = [];
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
    const due = this.#untilCheckpoint(begun) <= 0;
    const positionsDue = this.#delivery !== undefined && (this.#positionsOwed || (due && this.book.dirty));
    const idleDue = due && this.#passed() > (begun >= this.#checkpointAt + IDLE_MS ? 0 : IDLE_RECORDS);
    if (positionsDue || idleDue || (this.#stopped && this.#delivery !== undefined)) {
      records.push(...this.book.checkpoint());
      this.#positionsOwed = false;
      this.#checkpointAt = begun + this.#options.checkpointMs;
    } else if (records.length === 0 && this.#events === this.#writtenEvents) return [];
    for (const stream of ["topics", "subscriptions", "cursors"] as const) {
      const state: ShardRecordState = {
        events: this.#events,
        ...(stream === "cursors" ? { watermarks: this.book.watermarks } : {}),
        ...(stream === "topics" ? { operations: this.#operations } : {}),
      };
      records.push({ stream, key: SHARD_KEY, value: encodeRecord(state) });
    }
    return records;
  }

  /** ms until positions may be written again; a clock that is set back does not put that off. */
  #untilCheckpoint(now: number): number {
    this.#checkpointAt = Math.min(this.#checkpointAt, now + this.#options.checkpointMs);
    return this.#checkpointAt - now;
  }

  /** Records that the tail has passed since the watermarks were written. */
  #passed(): number {
    if (this.#delivery === undefined) return 0;
    let passed = 0;
    for (const [partition, watermark] of this.book.watermarks.entries()) {
      passed += this.#delivery.tailNext(partition) - watermark;
    }
    return passed;
  }

  // ── folding ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #fold(record: LogRecord): void {
    // Read a second time: what came of it may be forgotten already, and must not come back.
    if (record.offset < this.#events) return;
    let event: HubEvent;
    try {
      event = decodeEvent(record.value);
    } catch (error) {
      // Never stops the loop (§6.6).
      this.setAside++;
      logger.error("An event cannot be applied and is set aside: shard {shard} offset {offset}: {error}", {
        shard: this.number,
        offset: record.offset,
        error,
      });
      this.#events = record.offset + 1;
      return;
    }
    switch (event.type) {
      case "intent":
      case "result":
      case "revoke": {
        const id = subscriptionIdOf(event.topic, event.callback);
        const before = this.#subscriptions.get(id);
        const after = foldSubscription(before, event, record.offset);
        if (after !== before && after !== undefined) this.#setSubscription(id, after);
        break;
      }
      case "resume": {
        const id = subscriptionIdOf(event.topic, event.callback);
        const before = this.#subscriptions.get(id);
        const after = foldSubscription(before, event, record.offset);
        if (after === before || after === undefined) break;
        this.#setSubscription(id, after);
        this.#records.push(...this.book.rewind(id, after, event.from));
        break;
      }
      case "ack": {
        const id = subscriptionIdOf(event.topic, event.callback);
        const subscription = this.#subscriptions.get(id);
        // A second copy finds the position there already.
        if (subscription === undefined || !isLive(subscription.phase)) break;
        this.#records.push(...this.book.advance(id, subscription, event.next));
        break;
      }
      case "deregister":
        this.#foldDeregister(event, record);
        // Its position moves past it when the last of its subscriptions has ended (A3.9).
        if (this.#deregister !== undefined) return;
        break;
      case "register":
      case "ping":
        this.#foldTopic(event, record);
        break;
    }
    this.#events = record.offset + 1;
  }

  #foldTopic(event: HubEvent & { type: "register" | "ping" | "deregister" }, record: LogRecord): void {
    const id = topicIdOf(event.topic);
    const before = this.#topics.get(id);
    const after = foldTopic(before, event, record.offset);
    if (after === before || after === undefined) return;
    this.#topics.set(id, after);
    this.#changedTopics.add(id);
    if (after.endedAt !== undefined) this.#watchTopic(id, after);
    this.#scheduleFetch(id, after);
  }

  #foldDeregister(event: DeregisterEvent, record: LogRecord): void {
    if (hasOperation(this.#operations, event.id)) return;
    const left = [...this.#byTopic.get(topicIdOf(event.topic)) ?? []];
    this.#deregister = { event, record, left };
    this.#continueDeregister();
  }

  #continueDeregister(): void {
    if (this.#deregister === undefined) return;
    const { event, record, left } = this.#deregister;
    for (const id of left.splice(0, MOST_ENDED)) {
      const before = this.#subscriptions.get(id);
      if (before === undefined) continue;
      const after = foldDeregistered(before, `topic "${event.topic}" was deregistered`, event.time, record.offset);
      if (after !== before) this.#setSubscription(id, after);
    }
    if (left.length > 0) return;
    this.#foldTopic(event, record);
    this.#operations = withOperation(this.#operations, event.id, event.time, MOST_DEREGISTERS);
    this.#deregister = undefined;
    this.#events = record.offset + 1;
  }

  /** The subscription is now this: its lane follows in the same step, except that a new one waits for the commit. */
  #setSubscription(id: string, record: SubscriptionRecord): void {
    const before = this.#subscriptions.get(id);
    const renewed = before?.verified !== record.verified;
    this.#subscriptions.set(id, record);
    this.#changedSubscriptions.add(id);
    this.#index(id, record);
    this.#watch(id, record);
    this.#schedule(id, record);
    const lane = this.book.lane(id);
    if (record.phase === "active") {
      if (lane !== undefined && lane.life === record.life && lane.state !== "expired") {
        // Nothing is sent under the old secret from here on (§6.5).
        if (renewed) this.book.renew(lane, record);
        return;
      }
      // Only a life that begins here: one that goes on has its record, or is done up to the watermark (A4.3).
      if (before?.life !== record.life) this.#records.push(...this.book.begin(id, record.life, record.start));
      if (this.#delivery !== undefined) {
        this.#effects.push(() => {
          const current = this.#subscriptions.get(id);
          const running = this.book.lane(id);
          if (current?.phase !== "active") return;
          if (running?.life !== current.life || running.state === "expired") this.book.open(id, current);
        });
      }
    } else if (record.phase === "expired") this.#records.push(...this.book.expire(id));
    else if (record.phase !== "pending") this.#records.push(...this.book.end(id));
  }

  // ── findings ───────────────────────────────────────────────────────────────────────────────────────────────────────

  #find(finding: Finding): void {
    this.#findings.push(finding);
    this.wake();
  }

  /** Looks at a subscription or a topic whose time may have come. */
  #examine(key: string): void {
    const now = this.#options.now();
    const topic = this.#topics.get(key);
    if (topic?.endedAt !== undefined && topic.endedAt + this.#options.retentionMs <= now) {
      this.#topics.delete(key);
      this.#changedTopics.add(key);
    } else if (topic !== undefined) this.#watchTopic(key, topic);
    const record = this.#subscriptions.get(key);
    if (record === undefined) return;
    if (record.phase === "active" && record.expiresAt <= now) {
      // §5.3.1: the lease is over. The position is kept for a renewal.
      this.#setSubscription(key, { ...record, phase: "expired", endedAt: record.expiresAt });
      return;
    }
    if (forgetAt(record, this.#options.retentionMs) <= now) {
      this.#records.push(...this.book.end(key));
      this.#subscriptions.delete(key);
      this.#changedSubscriptions.add(key);
      this.#unindex(key, record);
      return;
    }
    this.#schedule(key, record);
    this.#watch(key, record);
  }

  /** Puts a subscription's next dates into the index. */
  #watch(id: string, record: SubscriptionRecord): void {
    if (record.phase === "active") this.#due.add(id, record.expiresAt);
    const forget = forgetAt(record, this.#options.retentionMs);
    if (forget !== Infinity) this.#due.add(id, forget);
    const now = this.#options.now();
    for (const intent of record.pending) {
      if (intent.time + TAKEOVER_MS > now) this.#due.add(id, intent.time + TAKEOVER_MS);
    }
  }

  #watchTopic(id: string, record: TopicRecord): void {
    if (record.endedAt !== undefined) this.#due.add(id, record.endedAt + this.#options.retentionMs);
  }

  // ── effects ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #flushEffects(): void {
    if (this.#delivery === undefined) return;
    for (const effect of this.#effects.splice(0)) effect();
  }

  /** What a record says is owed is done after the commit, once at a time. */
  #schedule(id: string, record: SubscriptionRecord): void {
    const { effects, now } = this.#options;
    if (record.notice !== undefined && !this.#notifying.has(id)) {
      this.#notifying.add(id);
      this.#effects.push(() => {
        // A subscribe that was folded with it takes it back: "denied" would say that there is no subscription.
        const notice = this.#subscriptions.get(id)?.notice;
        if (notice === undefined) return void this.#notifying.delete(id);
        effects.notify(notice, () => {
          this.#notifying.delete(id);
          this.#find(() => this.#noticeSent(id, notice));
        });
      });
    }
    const isOverdue = (intent: PendingIntent) => intent.time + TAKEOVER_MS <= now();
    if (record.pending.some(isOverdue) && !this.#verifying.has(id)) {
      this.#verifying.add(id);
      this.#effects.push(() => {
        const overdue = this.#subscriptions.get(id)?.pending.find(isOverdue);
        if (overdue === undefined) return void this.#verifying.delete(id);
        effects.verify(overdue, (result) => {
          this.#verifying.delete(id);
          this.#find(() => {
            const before = this.#subscriptions.get(id);
            if (before === undefined) return;
            const after = foldOwnResult(before, result);
            if (after !== before) this.#setSubscription(id, after);
            else this.#schedule(id, before);
          });
        });
      });
    }
  }

  #noticeSent(id: string, sent: Notice): void {
    const record = this.#subscriptions.get(id);
    if (record?.notice === undefined) return;
    if (record.notice.reason !== sent.reason || record.notice.callback !== sent.callback) {
      // Another one is owed meanwhile.
      this.#schedule(id, record);
      return;
    }
    const { notice: _, ...rest } = record;
    this.#setSubscription(id, rest);
  }

  #scheduleFetch(id: string, record: TopicRecord): void {
    if (record.fetchOwed === undefined) return;
    if (this.#fetching.has(id)) return void this.#effects.push(() => this.#options.effects.hurry(id));
    this.#fetching.add(id);
    this.#effects.push(() => {
      const owed = this.#topics.get(id);
      if (owed?.fetchOwed === undefined) return void this.#fetching.delete(id);
      this.#options.effects.fetch(id, owed, (ping, fetched) => {
        this.#fetching.delete(id);
        this.#find(() => {
          const before = this.#topics.get(id);
          if (before === undefined || before.endedAt !== undefined) return;
          const after = foldFetched(before, ping, fetched, this.#options.now());
          if (after === before) return;
          this.#topics.set(id, after);
          this.#changedTopics.add(id);
          this.#scheduleFetch(id, after);
        });
      });
    });
  }

  #index(id: string, record: SubscriptionRecord): void {
    const topicId = topicIdOf(record.topic);
    const ids = this.#byTopic.get(topicId);
    if (ids === undefined) this.#byTopic.set(topicId, new Set([id]));
    else ids.add(id);
  }

  #unindex(id: string, record: SubscriptionRecord): void {
    const topicId = topicIdOf(record.topic);
    const ids = this.#byTopic.get(topicId);
    ids?.delete(id);
    if (ids?.size === 0) this.#byTopic.delete(topicId);
  }
}

/** When a record is forgotten, ms: ended ones after the retention, one that never verified when its operations are too old. */
function forgetAt(record: SubscriptionRecord, retentionMs: number): number {
  if (record.phase === "active" || record.pending.length > 0 || record.notice !== undefined) return Infinity;
  if (record.phase === "pending") return (record.operations.at(-1)?.[1] ?? 0) + OPERATIONS_KEPT_MS;
  return (record.endedAt ?? 0) + retentionMs;
}
