// One shard's owner: it folds the shard's events, keeps the positions of its lanes, and writes both, one transaction after the other
// (A3.1). Everything is decided in synchronous steps; effects follow the commit (A3.10). This file puts the parts together, and decides
// when the shard begins and ends.
import { getLogger } from "@logtape/logtape";
import { waitAtMost } from "../../shared/pause.ts";
import type { Delivery } from "../delivery/delivery.ts";
import type { Addresses } from "../delivery/lane/target.ts";
import type { Lane } from "../delivery/lane/lane.ts";
import type { QuietTopics } from "../delivery/reading/reading.ts";
import type { LogRecord, ShardRecord, ShardWriter } from "../log/log.ts";
import type { ShardState } from "../replica/states.ts";
import type { DeadLetter } from "../state/records.ts";
import { BatchComposer } from "./batch-composer.ts";
import { CommitLoop } from "./commit-loop.ts";
import { deadLetterRecord } from "./dead-letter-records.ts";
import { DueIndex } from "./due-index.ts";
import type { Effects } from "./effects-port.ts";
import { EventFolder } from "./event-folder.ts";
import { Findings } from "./findings.ts";
import { FoldedState } from "./folded-state.ts";
import { LaneBook } from "./lane-book.ts";
import { OwedEffects } from "./owed-effects.ts";
import { Resealing, type ResealingOptions } from "./resealing.ts";
import { UnusedTopics, type UnusedTopicsOptions } from "./unused-topics.ts";
import { LifeLines } from "./life-lines.ts";
import type { LifeLog } from "./life-log.ts";
import { ShardFold } from "./shard-fold.ts";

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
  /** Which topics have subscriptions. Absent: topics that nobody needs stay (TOPIC_REGISTRATION `required`). */
  readonly subscribedOf?: UnusedTopicsOptions["subscribedOf"] | undefined;
  /** Writes what happens to subscriptions. */
  readonly life: LifeLog;
  /** Wall clock, ms. */
  readonly clock: () => number;
  /** A3.4: whether this process certainly still has its shards. */
  readonly isConfirmed: () => boolean;
  /** Gets the error of a writer that is lost: fenced, or failed for good. */
  readonly onLost: (error: Error) => void;
}

/** How long the parts of a release may take, ms. */
export interface ReleaseTimeouts {
  /** For the attempts under way to be answered. */
  readonly answersMs: number;
  /** For the last batch to be durable. */
  readonly batchMs: number;
}

export class Shard {
  readonly number: number;
  readonly book: LaneBook;
  readonly #options: ShardOptions;
  readonly #loop: CommitLoop;
  readonly #state: FoldedState;
  readonly #batch: BatchComposer;
  readonly #effects: OwedEffects;
  readonly #fold: ShardFold;
  readonly #folder: EventFolder;
  readonly #resealing: Resealing;
  readonly #unused: UnusedTopics | undefined;
  readonly #life: LifeLines;
  #delivery: Delivery | undefined;
  /** All lanes have joined the tail, so that the watermarks speak for them. */
  #isAttached = false;
  /** The next batch is the last: it says that the shard is free. */
  #isReleasing = false;
  /** The `events` position that the log has. */
  #writtenEvents = -1;
  /** Resolve when the `events` position has moved, or the shard is over. */
  #waiting: (() => void)[] = [];

  constructor(options: ShardOptions) {
    const { number, writer, effects, secrets, checkpointMs, clock, isConfirmed } = options;
    const { events = options.eventsFrom, operations = [] } = options.state.shard.topics ?? {};
    this.#options = options;
    this.number = number;
    const loop = this.#loop = new CommitLoop({
      shard: number,
      writer,
      step: () => this.#step(),
      committed: () => this.#committed(),
      afterStep: () => this.#afterStep(),
      sleepMs: () => this.#batch.sleepMs(clock()),
    });
    const state = this.#state = new FoldedState({ ...options, due: new DueIndex(clock()) });
    const book = this.book = new LaneBook({
      shard: number,
      addresses: options.addresses,
      topicIdOf: (topic) => state.subscriptions.topicIdOf(topic),
      partitionOf: options.partitionOf,
      cursors: options.state.cursors,
      watermarks: options.state.shard.cursors?.watermarks ?? options.ends,
      recipientOf: (id) => state.subscriptions.get(id)!,
    });
    const batch = this.#batch = new BatchComposer({ state, book, checkpointMs });
    const findings = new Findings(() => loop.wake());
    const mayAct = () => !loop.isStopped && isConfirmed();
    const owed = this.#effects = new OwedEffects({ effects, state, book, findings, mayAct, clock });
    const isOver = () => loop.isStopped;
    const life = this.#life = new LifeLines(options.life);
    const fold = this.#fold = new ShardFold({ state, book, batch, effects: owed, findings, life, isOver, clock });
    this.#folder = new EventFolder({ shard: number, events, operations, state, fold });
    this.#resealing = new Resealing({ state, secrets, findings, clock });
    const { subscribedOf, retentionMs } = options;
    if (subscribedOf !== undefined) {
      this.#unused = new UnusedTopics({ state, subscribedOf, findings, retentionMs, clock });
    }
  }

  /** The next `events` offset to fold. */
  get events(): number {
    return this.#folder.events;
  }
  /** Events that could not be applied: set aside, counted and shown. */
  get setAside(): number {
    return this.#folder.setAside;
  }
  /** All lanes of the shard are here. */
  get isRunning(): boolean {
    return this.#isAttached && !this.isOver;
  }
  /** The shard was released or dropped, or is being released or dropped. */
  get isOver(): boolean {
    return this.#loop.isStopped;
  }
  get subscriptions(): number {
    return this.#state.subscriptions.size;
  }

  // ── its life ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Begins to fold and write. Lanes start with `attach`. */
  start(): void {
    this.#loop.start(this.#options.onLost);
  }

  /** Takes events of this shard's partition, in order; resolves when there is room for more. */
  receive(records: readonly LogRecord[], next: number): Promise<void> | void {
    const hasRoom = this.#folder.receive(records, next);
    this.#loop.wake();
    if (!hasRoom) return this.foldedTo(next);
  }

  /** Resolves when everything before this `events` offset is folded and committed, or the shard is over. */
  async foldedTo(offset: number): Promise<void> {
    while (this.#writtenEvents < offset && !this.isOver) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /**
   * Lets lanes run, after everything up to the log's end was folded (A3.2). They join the tail as a group, in turns. Until the last
   * has joined, no checkpoint is made, as a watermark would pass lanes that have not.
   */
  async attach(delivery: Delivery, quiet?: QuietTopics): Promise<void> {
    if (this.isOver) return;
    this.#delivery = delivery;
    await this.#fold.attach(delivery, quiet);
    if (this.isOver) return;
    this.#isAttached = true;
    this.#batch.joined(delivery.tail);
    this.#effects.committed();
    // The loop went to sleep when there was nothing to checkpoint.
    this.#loop.wake();
  }

  /**
   * Lets go of the shard (A3.3): nothing new starts; attempts have `answersMs` to be answered; the last batch, which may take
   * `batchMs`, says where the lanes stand and that the shard is free. Never rejects.
   */
  async release({ answersMs, batchMs }: ReleaseTimeouts): Promise<void> {
    await this.#delivery?.drain(this.number, answersMs);
    this.#isReleasing = true;
    this.#loop.stop();
    const last = this.#loop.commitLast();
    await waitAtMost(batchMs, last);
    await this.#close();
    await last;
  }

  /** The shard is another process's, or may be: nothing more is written, its lanes vanish and move nothing. Never rejects. */
  async drop(): Promise<void> {
    const ended = this.#loop.abandon();
    await this.#close();
    await ended;
  }

  async #close(): Promise<void> {
    this.book.detach();
    this.#wakeWaiting();
    await this.#options.writer.close().catch((error: unknown) =>
      logger.warn("The writer of shard {shard} could not be closed: {error}", { shard: this.number, error })
    );
  }

  #wakeWaiting(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  // ── what lanes report, and the clock ───────────────────────────────────────────────────────────────────────────────

  moved(lane: Lane): void {
    const isFirst = !this.book.isDirty;
    this.book.moved(lane);
    // The loop sleeps until woken if there is nothing to checkpoint.
    if (isFirst) this.#loop.wake();
  }

  gone(lane: Lane): void {
    this.#fold.gone(lane);
  }

  leaseOver(lane: Lane): void {
    this.#fold.leaseOver(lane);
    this.#loop.wake();
  }

  parked(lane: Lane): void {
    this.#life.parked(this.#state.subscriptions.get(lane.id), lane.health);
  }

  recovered(lane: Lane, failingSince: number): void {
    this.#life.recovered(this.#state.subscriptions.get(lane.id), failingSince);
  }

  deadLetter(lane: Lane, letter: DeadLetter): void {
    this.#life.deadLetter(this.#state.subscriptions.get(lane.id), letter);
    this.#batch.putLetter(deadLetterRecord(lane, letter));
    this.book.gaveUp(lane);
    this.#loop.wake();
  }

  /** Writes a record that is not of this fold (a block) with the next batch. */
  put(record: ShardRecord): void {
    this.#batch.put(record);
    this.#loop.wake();
  }

  /** Once a second: leases, takeovers, records old enough to be forgotten, and secrets sealed to an older key. */
  sweep(): void {
    // Until the lanes are here, the position at which a lease ends is not known.
    if (!this.#isAttached) return;
    this.#effects.act();
    if (this.#fold.collectDue()) this.#loop.wake();
    if (!this.isOver) {
      this.#resealing.step();
      void this.#unused?.step();
    }
    if (this.#batch.untilCheckpoint(this.#options.clock()) <= 0) this.#loop.wake();
  }

  // ── the steps of its loop ──────────────────────────────────────────────────────────────────────────────────────────

  /** Synchronous: folds what is there, and makes the batch that says so. */
  #step(): ShardRecord[] {
    const [begun, turn] = [this.#options.clock(), performance.now()];
    this.#fold.foldFindings();
    this.#fold.foldDue();
    this.#folder.foldSlice(turn);
    const { events, operations } = this.#folder;
    const isMoved = events !== this.#writtenEvents;
    this.#life.composed();
    return this.#batch.compose({ events, operations, isMoved, isReleasing: this.#isReleasing, begun });
  }

  #committed(): void {
    this.#writtenEvents = this.#folder.events;
    this.#life.committed();
    this.#wakeWaiting();
  }

  #afterStep(): boolean {
    if (this.#delivery !== undefined) this.#effects.committed();
    return this.#folder.isBehind || this.#fold.hasDue;
  }
}
