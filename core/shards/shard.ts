// One shard's owner: folds its events, keeps its lanes' books, and writes both in one transaction after the other (A3.1).
// Whatever is decided here is decided in synchronous steps; effects follow the commit (A3.10).
// Over 300 lines: its life and its loop, which share their flags. What is folded, how lanes follow and what a batch holds have
// files of their own.
import { getLogger } from "@logtape/logtape";
import { pause } from "../../shared/pause.ts";
import type { Addresses } from "../delivery/lane/target.ts";
import type { Delivery } from "../delivery/delivery.ts";
import type { Lane } from "../delivery/lane/lane.ts";
import type { Quiet } from "../delivery/reading/reading.ts";
import { LogError, type LogRecord, type ShardRecord, type ShardWriter } from "../log/log.ts";
import type { ShardState } from "../replica/states.ts";
import { BatchComposer } from "./batch-composer.ts";
import { DueIndex } from "./due-index.ts";
import { EventFolder } from "./event-folder.ts";
import { LaneBook } from "./lane-book.ts";
import { type Effects, Owed } from "./owed-effects.ts";
import { type DeadLetter, encodeRecord } from "../state/records.ts";
import { Resealing, type ResealingOptions } from "./resealing.ts";
import { ShardLanes } from "./shard-fold.ts";
import { ShardRecords } from "./folded-state.ts";

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
  readonly partitionOf: (topicId: string) => number;
  readonly effects: Effects;
  readonly secrets: ResealingOptions["secrets"];
  readonly clock: () => number;
  /** A3.4: whether this process is sure to have its shards still. */
  readonly isConfirmed?: () => boolean;
  /** The writer is lost: fenced, or failed for good. */
  readonly onLost: (error: Error) => void;
}

/** How long the parts of a release may take, ms. */
export interface ReleaseTimeouts {
  /** Of attempts under way, to be answered. */
  readonly answersMs: number;
  /** Of the last batch, to be durable. */
  readonly batchMs: number;
}

/** What a shard's owner found out itself (A3.5): folded at once, never by way of `events`. */
type Finding = () => void;

const PAUSE_WHEN_FULL_MS = 1_000;

export class Shard {
  readonly number: number;
  readonly book: LaneBook;
  readonly #options: ShardOptions;
  readonly #kept: ShardRecords;
  readonly #owed: Owed;
  readonly #lanes: ShardLanes;
  readonly #folder: EventFolder;
  readonly #composer: BatchComposer;
  readonly #resealing: Resealing;
  #findings: Finding[] = [];
  #delivery: Delivery | undefined;
  /** All lanes have joined, so that the watermarks speak for them. */
  #attached = false;
  /** The last batch: it says that the shard is free. */
  #releasing = false;
  #wake: (() => void) | undefined;
  // The first batch says who owns the shard now, whatever there is to fold.
  #woken = true;
  /** The position that the log has. */
  #writtenEvents = -1;
  #stopped = false;
  #broken = false;
  #running: Promise<void> | undefined;
  #folded: (() => void)[] = [];

  constructor(options: ShardOptions) {
    const { state, clock } = options;
    const { events = options.eventsFrom, operations = [] } = state.shard.topics ?? {};
    this.#options = options;
    this.number = options.number;
    const kept = this.#kept = new ShardRecords({ ...options, due: new DueIndex(clock()) });
    const find = (finding: Finding) => this.#find(finding);
    this.#resealing = new Resealing({ ...options, records: kept, find });
    const book = this.book = new LaneBook({
      shard: options.number,
      addresses: options.addresses,
      topicIdOf: (topic) => kept.subscriptions.topicIdOf(topic),
      partitionOf: options.partitionOf,
      cursors: state.cursors,
      watermarks: state.shard.cursors?.watermarks ?? options.ends,
      recipientOf: (id) => kept.subscriptions.get(id)!,
    });
    const composer = this.#composer = new BatchComposer({ book, kept, checkpointMs: options.checkpointMs });
    const put = (...records: ShardRecord[]) => composer.put(...records);
    const owed = this.#owed = new Owed({
      effects: options.effects,
      records: kept,
      find,
      setSubscription: (id, record) => this.#lanes.set(id, record),
      sendBeside: (id, life, message) => this.#lanes.beside(id, life, message),
      mayAct: () => !this.#stopped && (options.isConfirmed?.() ?? true),
      forgetLetter: (id, place) => put({ stream: "dead-letters", key: id, value: encodeRecord({ replayed: place }) }),
      clock,
    });
    const lanes = this.#lanes = new ShardLanes({ kept, book, owed, put, find, isOver: () => this.#stopped, clock });
    this.#folder = new EventFolder({ number: options.number, events, operations, kept, book, owed, lanes, put, clock });
  }

  /** The next `events` offset to fold. */
  get events(): number {
    return this.#folder.events;
  }
  /** Events that could not be applied: set aside, counted and shown. */
  get setAside(): number {
    return this.#folder.setAside;
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
    const hasRoom = this.#folder.receive(records, next);
    this.wake();
    if (!hasRoom) return this.foldedTo(next);
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
    await this.#lanes.join(delivery, quiet);
    if (this.#stopped) return;
    for (const [id, record] of this.#kept.topics) this.#owed.topic(id, record);
    this.#attached = true;
    this.#composer.joined(delivery.tail);
    this.#owed.flush();
    // The loop went to sleep when there was nothing to checkpoint.
    this.wake();
  }

  // ── what lanes and effects report ──────────────────────────────────────────────────────────────────────────────────

  moved(lane: Lane): void {
    const first = !this.book.isDirty;
    this.book.moved(lane);
    // The loop sets its clock by whether there is anything to checkpoint.
    if (first) this.wake();
  }

  gone(lane: Lane): void {
    this.#lanes.gone(lane);
  }

  leaseOver(lane: Lane): void {
    this.#lanes.leaseOver(lane);
    this.wake();
  }

  deadLetter(lane: Lane, letter: DeadLetter): void {
    const value = encodeRecord({ life: lane.life, ...letter });
    this.#composer.putLetter({ stream: "dead-letters", key: lane.id, value });
    this.book.gaveUp(lane);
    this.wake();
  }

  /** Records of another's making that this shard's writer is to write, with its next batch. */
  put(record: ShardRecord): void {
    this.#composer.put(record);
    this.wake();
  }

  /** Once a second: leases, takeovers, what is old enough to be forgotten, and secrets sealed to an older key. */
  sweep(): void {
    // Until its lane is here, the position at which a lease ends is not known.
    if (!this.#attached) return;
    this.#owed.act();
    if (this.#lanes.collectDue()) this.wake();
    if (!this.#stopped) this.#resealing.step();
    if (this.#composer.untilCheckpoint(this.#options.clock()) <= 0) this.wake();
  }

  wake(): void {
    this.#woken = true;
    this.#wake?.();
  }

  /**
   * Lets go of the shard (A3.3): nothing new starts, attempts have `answersMs` to be answered, the last batch, which may take
   * `batchMs`, says where the lanes stand and that the shard is free. Then it is gone. Never rejects.
   */
  async release({ answersMs, batchMs }: ReleaseTimeouts): Promise<void> {
    await this.#delivery?.drain(this.number, answersMs);
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
        const { events } = this.#folder;
        await this.#commit(batch);
        this.#writtenEvents = events;
        for (const resolve of this.#folded.splice(0)) resolve();
      }
      if (this.#delivery !== undefined) this.#owed.flush();
      if (this.#folder.isBehind || this.#lanes.hasDue) this.#woken = true;
    }
  }

  #sleep(): Promise<void> {
    return new Promise((resolve) => {
      const wait = this.#composer.sleepMs(this.#options.clock());
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
    const begun = this.#options.clock();
    for (const finding of this.#findings.splice(0)) finding();
    this.#lanes.examineDue();
    this.#folder.fold(begun);
    const { events, operations } = this.#folder;
    const isMoved = events !== this.#writtenEvents;
    return this.#composer.compose({ events, operations, isMoved, isReleasing: this.#releasing, begun });
  }

  #find(finding: Finding): void {
    this.#findings.push(finding);
    this.wake();
  }
}
