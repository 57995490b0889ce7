// One shard's owner: folds its events, keeps its lanes' books, and writes both in one transaction after the other (A3.1).
// Whatever is decided here is decided in synchronous steps; effects follow the commit (A3.10).
import { getLogger } from "@logtape/logtape";
import { pause } from "../../shared/pause.ts";
import type { Addresses } from "../delivery/addresses.ts";
import type { Delivery } from "../delivery/delivery.ts";
import type { Lane } from "../delivery/lane.ts";
import type { DeadLetter } from "../delivery/lane-owner.ts";
import type { Quiet } from "../delivery/reading.ts";
import { subscriptionIdOf, topicIdOf } from "../ids.ts";
import { LogError, type LogRecord, type ShardRecord, type ShardWriter } from "../log/log.ts";
import type { ShardState } from "../replica/states.ts";
import { decodeEvent, type DeregisterEvent, type HubEvent } from "./events.ts";
import { ended, foldDeregistered, foldSubscription, isLive } from "./fold-subscription.ts";
import { foldTopic } from "./fold-topic.ts";
import { LaneBook } from "./lane-book.ts";
import { hasOperation, withOperation } from "./operations.ts";
import { type Effects, Owed } from "./owed.ts";
import {
  encodeRecord,
  type RecentOperations,
  SHARD_KEY,
  type ShardRecordState,
  type SubscriptionRecord,
} from "./records.ts";
import { Resealing, type ResealingOptions } from "./resealing.ts";
import { ShardRecords } from "./shard-records.ts";

const logger = getLogger(["tidings", "core", "consolidator"]);

export interface ShardOptions {
  readonly number: number;
  readonly writer: ShardWriter;
  readonly state: ShardState;
  /** Where `events` is folded from, if no record says. */
  readonly eventsFrom: number;
  /** Watermarks, if no record says: the ends of `messages`. */
  readonly ends: readonly number[];
  readonly addresses: Addresses;
  readonly retentionMs: number;
  readonly checkpointMs: number;
  readonly checkpointAhead?: boolean;
  readonly partitionOf: (topicId: string) => number;
  readonly effects: Effects;
  readonly secrets: ResealingOptions["secrets"];
  readonly now: () => number;
  /** A3.4: whether this process is sure to have its shards still. */
  readonly isConfirmed?: () => boolean;
  /** The writer is lost: fenced, or failed for good. */
  readonly onLost: (error: Error) => void;
}

export interface ReleaseLimits {
  readonly answersMs: number;
  readonly batchMs: number;
}

/** What a shard's owner found out itself (A3.5): folded at once, never by way of `events`. */
type Finding = () => void;

const MOST_FOLDED = 1_000;
const MOST_ENDED = 1_000;
const MOST_FOLDING_MS = 20;
/** A shard remembers the deregisters of all its topics, not of one. */
const MOST_DEREGISTERS = 1_024;
/** Watermarks of an idle shard are written this often, or after this many records (A4.3). */
const IDLE_MS = 30_000;
const IDLE_RECORDS = 10_000;
const PAUSE_WHEN_FULL_MS = 1_000;
/** While lanes join, the event loop has its turn after so long: heartbeats go on (ARCHITECTURE §4). */
const TURN_MS = 20;

export class Shard {
  readonly number: number;
  readonly book: LaneBook;
  readonly #options: ShardOptions;
  readonly #kept: ShardRecords;
  readonly #owed: Owed;
  readonly #resealing: Resealing;
  #events: number;
  #operations: RecentOperations;
  #inbox: LogRecord[] = [];
  #inboxNext: number;
  #findings: Finding[] = [];
  /** Topics and subscriptions whose time may have come: after a long absence there may be many, and they end in slices. */
  #due: string[] = [];
  #deregister: { event: DeregisterEvent; record: LogRecord; left: string[] } | undefined;
  /** What the next batch writes beside the records that changed. */
  #records: ShardRecord[] = [];
  /** Dead letters, for the next batch with positions. */
  #letters: ShardRecord[] = [];
  #overdue = new Set<string>();
  #delivery: Delivery | undefined;
  /** All lanes have joined, so that the watermarks speak for them. */
  #attached = false;
  /** Subscriptions whose lanes open after the next commit. */
  readonly #opening = new Set<string>();
  /** The last batch: it says that the shard is free. */
  #releasing = false;
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
    this.#kept = new ShardRecords(options);
    this.#resealing = new Resealing({ ...options, records: this.#kept, find: (finding) => this.#find(finding) });
    this.#owed = new Owed({
      effects: options.effects,
      records: this.#kept,
      find: (finding) => this.#find(finding),
      setSubscription: (id, record) => this.#setSubscription(id, record),
      sendBeside: (id, life, message) => {
        const lane = this.book.lane(id);
        if (lane === undefined || lane.life !== life || lane.state === "expired" || lane.state === "ended") {
          return undefined;
        }
        return this.#delivery?.beside(lane, message);
      },
      mayAct: () => !this.#stopped && (options.isConfirmed?.() ?? true),
      forgetLetter: (id, place) =>
        void this.#records.push({ stream: "dead-letters", key: id, value: encodeRecord({ replayed: place }) }),
      now: options.now,
    });
    this.#events = this.#inboxNext = state.shard.topics?.events ?? options.eventsFrom;
    this.#writtenEvents = -1;
    this.#operations = state.shard.topics?.operations ?? [];
    this.book = new LaneBook({
      shard: options.number,
      addresses: options.addresses,
      topicIdOf: (topic) => this.#kept.topicIdOf(topic),
      partitionOf: options.partitionOf,
      cursors: state.cursors,
      watermarks: state.shard.cursors?.watermarks ?? options.ends,
      checkpointAhead: options.checkpointAhead === true,
    });
  }

  /** The next `events` offset to fold. */
  get events(): number {
    return this.#events;
  }
  /** All of its lanes are here. */
  get isRunning(): boolean {
    return this.#attached && !this.#stopped;
  }
  /** It was released or dropped, or is being. */
  get isOver(): boolean {
    return this.#stopped;
  }
  get subscriptions(): number {
    return this.#kept.subscriptions.size;
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

  /**
   * Everything up to the log's end is folded: lanes may run (A3.2). They join the tail as a group, in turns; until the last has
   * joined no checkpoint is made, as a watermark would pass those that have not.
   */
  async attach(delivery: Delivery, quiet?: Quiet): Promise<void> {
    if (this.#stopped) return;
    this.#delivery = delivery;
    this.book.attach(delivery);
    let turn = performance.now();
    const ids = [...this.#kept.subscriptions.keys()];
    for (const id of ids) {
      const record = this.#kept.subscriptions.get(id);
      // One that began meanwhile opens when it is committed, as always.
      if (record === undefined || this.#opening.has(id)) continue;
      if (record.phase === "active" && this.book.lane(id) === undefined) this.book.open(id, record, quiet);
      this.#owed.subscription(id, record);
      if (performance.now() - turn < TURN_MS) continue;
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#stopped) return;
      turn = performance.now();
    }
    for (const [id, record] of this.#kept.topics) this.#owed.topic(id, record);
    this.#attached = true;
    this.#owed.flush();
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
      const record = this.#kept.subscriptions.get(lane.id);
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
    this.#letters.push({ stream: "dead-letters", key: lane.id, value: encodeRecord({ life: lane.life, ...letter }) });
    this.#positionsOwed = true;
    this.wake();
  }

  /** Records of another's making that this shard's writer is to write, with its next batch. */
  put(record: ShardRecord): void {
    this.#records.push(record);
    this.wake();
  }

  /** Once a second: leases, takeovers, what is old enough to be forgotten, and secrets sealed to an older key. */
  sweep(): void {
    // Until its lane is here, the position at which a lease ends is not known.
    if (!this.#attached) return;
    this.#owed.act();
    this.#due = this.#due.concat(this.#kept.due());
    if (this.#due.length > 0) this.wake();
    if (!this.#stopped) this.#resealing.step();
    if (this.#untilCheckpoint(this.#options.now()) <= 0) this.wake();
  }

  wake(): void {
    this.#woken = true;
    this.#wake?.();
  }

  /**
   * Lets go of the shard (A3.3): nothing new starts, attempts have `answersMs` to be answered, the last batch, which may take
   * `batchMs`, says where the lanes stand and that the shard is free. Then it is gone. Never rejects.
   */
  async release({ answersMs, batchMs }: ReleaseLimits): Promise<void> {
    await this.#delivery?.hold(this.number, answersMs);
    this.#releasing = true;
    this.#stopped = true;
    this.wake();
    let late: NodeJS.Timeout | undefined;
    const last = this.#commitLast();
    await Promise.race([last, new Promise((resolve) => late = setTimeout(resolve, batchMs))]);
    clearTimeout(late);
    await this.#close();
    await last;
  }

  /** The shard is another's, or may be: nothing more is written, its lanes vanish and move nothing. Never rejects. */
  async drop(): Promise<void> {
    this.#stopped = true;
    this.#broken = true;
    this.book.detach();
    this.wake();
    await this.#close();
    await this.#running;
  }

  async #commitLast(): Promise<void> {
    await this.#running;
    if (this.#broken) return;
    this.#checkpointAt = 0;
    try {
      await this.#options.writer.commit(this.#compose());
    } catch (error) {
      logger.warn("Shard {shard} could not be released: {error}", { shard: this.number, error });
    }
  }

  async #close(): Promise<void> {
    this.book.detach();
    for (const resolve of this.#folded.splice(0)) resolve();
    await this.#options.writer.close().catch((error: unknown) =>
      logger.warn("The writer of shard {shard} could not be closed: {error}", { shard: this.number, error })
    );
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
      if (this.#delivery !== undefined) this.#owed.flush();
      if (this.#inbox.length > 0 || this.#deregister !== undefined || this.#due.length > 0) this.#woken = true;
    }
  }

  #sleep(): Promise<void> {
    return new Promise((resolve) => {
      const wait = this.#attached && this.book.dirty
        ? Math.max(0, this.#untilCheckpoint(this.#options.now()))
        : undefined;
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
    for (const key of this.#due.splice(0, MOST_ENDED)) this.#examine(key);
    this.#continueDeregister();
    let folded = 0;
    while (folded < this.#inbox.length && folded < MOST_FOLDED && this.#deregister === undefined) {
      this.#fold(this.#inbox[folded++]!);
      if ((folded & 63) === 0 && now() - begun > MOST_FOLDING_MS) break;
    }
    this.#inbox.splice(0, folded);
    // Beyond the last event there may be records that are none (compacted away, control records).
    if (this.#inbox.length === 0 && this.#deregister === undefined) this.#events = this.#inboxNext;

    const records = [...this.#records.splice(0), ...this.#kept.takeChanges()];
    const due = this.#untilCheckpoint(begun) <= 0;
    const positionsDue = this.#attached && (this.#positionsOwed || (due && this.book.dirty));
    const idleDue = due && this.#passed() > (begun >= this.#checkpointAt + IDLE_MS ? 0 : IDLE_RECORDS);
    if (positionsDue || idleDue || (this.#releasing && this.#attached)) {
      records.push(...this.#letters.splice(0), ...this.book.checkpoint());
      this.#positionsOwed = false;
      this.#checkpointAt = begun + this.#options.checkpointMs;
    } else if (records.length === 0 && this.#events === this.#writtenEvents && !this.#releasing) return [];
    for (const stream of ["topics", "subscriptions", "cursors"] as const) {
      const state: ShardRecordState = {
        events: this.#events,
        ...(stream === "cursors" ? { watermarks: this.book.watermarks } : {}),
        ...(stream === "cursors" && this.#releasing ? { released: true } as const : {}),
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
    if (this.#delivery === undefined || !this.#attached) return 0;
    let passed = 0;
    for (const [partition, watermark] of this.book.watermarks.entries()) {
      passed += this.#delivery.tail.next(partition) - watermark;
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
      case "replay":
      case "revoke": {
        const id = subscriptionIdOf(event.topic, event.callback);
        const before = this.#kept.subscriptions.get(id);
        const after = foldSubscription(before, event, record.offset);
        if (after !== before && after !== undefined) this.#setSubscription(id, after);
        break;
      }
      case "resume": {
        const id = subscriptionIdOf(event.topic, event.callback);
        const before = this.#kept.subscriptions.get(id);
        const after = foldSubscription(before, event, record.offset);
        if (after === before || after === undefined) break;
        this.#setSubscription(id, after);
        this.#records.push(...this.book.rewind(id, after, event.from));
        break;
      }
      case "ack": {
        const id = subscriptionIdOf(event.topic, event.callback);
        const subscription = this.#kept.subscriptions.get(id);
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
    const before = this.#kept.topics.get(id);
    const after = foldTopic(before, event, record.offset);
    if (after === before || after === undefined) return;
    this.#kept.setTopic(id, after);
    this.#owed.topic(id, after);
  }

  #foldDeregister(event: DeregisterEvent, record: LogRecord): void {
    if (hasOperation(this.#operations, event.id)) return;
    const left = [...this.#kept.subscriptionsTo(topicIdOf(event.topic))];
    this.#deregister = { event, record, left };
    this.#continueDeregister();
  }

  #continueDeregister(): void {
    if (this.#deregister === undefined) return;
    const { event, record, left } = this.#deregister;
    for (const id of left.splice(0, MOST_ENDED)) {
      const before = this.#kept.subscriptions.get(id);
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
    const before = this.#kept.subscriptions.get(id);
    const renewed = before?.verified !== record.verified;
    this.#kept.setSubscription(id, record);
    this.#owed.subscription(id, record);
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
        this.#opening.add(id);
        this.#owed.push(() => {
          this.#opening.delete(id);
          const current = this.#kept.subscriptions.get(id);
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
    this.#kept.forgetTopic(key);
    const record = this.#kept.subscriptions.get(key);
    if (record === undefined) return this.#kept.watch(key);
    if (record.phase === "active" && record.expiresAt <= now) {
      // §5.3.1: the lease is over. The position is kept for a renewal.
      this.#setSubscription(key, { ...record, phase: "expired", endedAt: record.expiresAt });
      return;
    }
    if (this.#kept.forgetSubscription(key)) {
      this.#records.push(...this.book.end(key));
      return;
    }
    this.#owed.subscription(key, record);
    this.#kept.watch(key);
  }
}
