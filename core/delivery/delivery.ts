// The scheduler of all lanes of this process: one tail reader hands each message to the lanes of its topic, attempts start
// as limits allow, outcomes move the lanes (ARCHITECTURE §4). Everything here happens in synchronous steps; what must be
// durable (ends, dead letters, positions) is told to the shard's owner, who writes it.
import { SecretError } from "../keys/secrets.ts";
import type { Signers } from "../keys/signers.ts";
import type { BlockIndex, Repeats } from "../blocks/block-index.ts";
import { createReadMessages } from "../blocks/read-messages.ts";
import type { Batch, Follower, Log } from "../log/log.ts";
import { CatchUp } from "./catch-up.ts";
import type { Flight, Lane } from "./lane.ts";
import { Limits } from "./limits.ts";
import { type Message, sizeOf, toMessage } from "./message.ts";
import { backoffMs, failureOf, type Outcome, outcomeOf, type RetryPolicy } from "./outcome.ts";
import type { RecentIds } from "./recent-ids.ts";
import { Ring } from "./ring.ts";
import { attemptHeaders, type SignatureAlgorithm } from "./target.ts";
import { DeadlineList, type Timed, TimerWheel } from "./timers.ts";
import type { Post, Transport } from "./transport.ts";

export interface DeliverySettings {
  readonly userAgent: string;
  readonly signature: SignatureAlgorithm;
  readonly retry: RetryPolicy;
  readonly parkAfterMs: number;
  readonly probeIntervalMs: number;
  readonly deadLetterAttempts: number;
  /** Bound of all that lanes hold, bytes. */
  readonly laneMemoryBytes: number;
}

/** What the owner of a lane's shard hears. Called in the middle of a step: note it, do not act. */
export interface LaneOwner {
  /** The lane's position or health may have changed. */
  moved(lane: Lane): void;
  /** Answered 410. */
  gone(lane: Lane): void;
  /** Found over its lease when an attempt was to start. */
  leaseOver(lane: Lane): void;
  /** Given up: the position moves past it in the same batch that writes this. */
  deadLetter(lane: Lane, letter: DeadLetter): void;
}

export interface DeadLetter {
  readonly id: string;
  readonly partition: number;
  readonly offset: number;
  readonly reason: string;
  readonly status: number;
  readonly attempts: number;
  /** ms since 1970. */
  readonly firstAt: number;
  readonly lastAt: number;
}

export interface DeliveryDependencies {
  readonly log: Log;
  readonly transport: Transport;
  readonly recentIds: RecentIds;
  readonly blocks: BlockIndex;
  readonly signers: Signers;
  readonly settings: DeliverySettings;
  /** Wall clock, ms. */
  readonly now: () => number;
  readonly random: () => number;
  /** A3.4: whether this process is sure to have its shards still. Asked in the same tick as each send. */
  readonly isConfirmed?: () => boolean;
}

/** What is known of a stretch of the log that the tail's memory does not reach back to, when a shard's lanes join (A4.1). */
export interface Quiet {
  /** Per partition of `messages`: told up to here. */
  readonly until: readonly number[];
  /** Whether a topic may have a message in a partition between the shard's watermark and there. */
  mayHave(partition: number, topicId: string): boolean;
}

const TICK_MS = 20;
const MOST_QUEUED = 1_024;
const REFILL_BELOW = 64;
/** An attempt that takes longer makes its lane a suspect, while it lasts already. */
const SLOW_MS = 1_000;
/** The tail lets others run after this long. */
const TURN_MS = 20;
/** A clock that goes back by more than this was set back. */
const CLOCK_STEP_MS = 1_000;

/** Counts since start, for metrics and the bench. */
export interface DeliveryCounts {
  delivered: number;
  retried: number;
  gone: number;
  deadLettered: number;
  /** Dead letters that were sent again and taken. */
  replayed: number;
  /** Seconds from append to 2xx, summed. */
  delaySum: number;
}

export class Delivery {
  readonly counts: DeliveryCounts = { delivered: 0, retried: 0, gone: 0, deadLettered: 0, replayed: 0, delaySum: 0 };
  readonly #dependencies: DeliveryDependencies;
  readonly #settings: DeliverySettings;
  readonly #owner: LaneOwner;
  readonly #byTopic = new Map<string, Set<Lane>>();
  readonly #limits = new Limits();
  readonly #isConfirmed: () => boolean;
  /** Shards that are being released: nothing of theirs starts. */
  readonly #leaving = new Set<number>();
  /** Attempts under way, by shard. */
  readonly #attempting = new Map<number, number>();
  readonly #wheel: TimerWheel<Lane>;
  readonly #catchUp: CatchUp;
  readonly #tailNext: number[];
  readonly #ring: Ring;
  readonly #slowing = new DeadlineList<LanePost>(SLOW_MS);
  /** Lanes that hold more than what is in flight, the longest first. */
  readonly #holding = new Set<Lane>();
  /** Lanes that want to read and wait for memory, in the order in which they asked. */
  readonly #starved = new Set<Lane>();
  #lastTick: number;
  #ready: Lane[] = [];
  #readyHead = 0;
  #heldBytes = 0;
  #pumping = false;
  #stopped = false;
  #follower: Follower | undefined;
  #ticker: NodeJS.Timeout | undefined;
  #landed: (() => void)[] = [];
  readonly #watching = new Map<string, Set<(message: Message) => void>>();
  readonly #passing = new Set<
    { partition: number; offset: number; done: (passed: boolean) => void; timer: NodeJS.Timeout }
  >();

  /** `from`: per partition of `messages`, the offset from which on the tail offers to lanes. */
  constructor(dependencies: DeliveryDependencies, owner: LaneOwner, from: readonly number[]) {
    this.#dependencies = dependencies;
    this.#settings = dependencies.settings;
    this.#owner = owner;
    this.#isConfirmed = dependencies.isConfirmed ?? (() => true);
    this.#tailNext = [...from];
    this.#ring = new Ring(from);
    this.#lastTick = dependencies.now();
    this.#wheel = new TimerWheel(TICK_MS, this.#lastTick);
    this.#catchUp = new CatchUp({
      read: createReadMessages({ ...dependencies, index: dependencies.blocks }),
      mayTake: (lane) => this.#mayTake(lane),
      offer: (lane, message) => this.#takeIn(lane, message),
      arrived: (lane) => this.#arrived(lane),
      gap: (lane, gap) => {
        lane.addGap(gap);
        this.#owner.moved(lane);
      },
    });
  }

  /** Begins to follow the log; lanes may be added before and after. */
  start(): void {
    const { log, blocks } = this.#dependencies;
    this.#follower = log.follow({ messages: this.#tailNext }, (batch) => {
      const repeats = blocks.pass(batch);
      // What must be looked up is looked up before the step; the follower waits for it, so the order stays.
      return repeats instanceof Promise
        ? repeats.then((found) => this.#onTail(batch, found))
        : this.#onTail(batch, repeats);
    });
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
  }

  /** The partitions of `messages`. */
  get partitions(): number[] {
    return this.#tailNext.map((_, partition) => partition);
  }

  /** The next offset of a partition that the tail will offer. */
  tailNext(partition: number): number {
    return this.#tailNext[partition]!;
  }
  /** Resolves when the tail has passed this offset of a partition; false if that did not happen within `timeoutMs`. */
  passed(partition: number, offset: number, timeoutMs: number): Promise<boolean> {
    if (this.#tailNext[partition]! >= offset) return Promise.resolve(true);
    return new Promise((resolve) => {
      const wait = {
        partition,
        offset,
        done: (passed: boolean) => resolve(passed),
        timer: setTimeout(() => {
          this.#passing.delete(wait);
          resolve(false);
        }, timeoutMs),
      };
      this.#passing.add(wait);
    });
  }
  /** Calls back for each message of a topic that the tail offers, in the middle of its step: note it, do not act. Returns the end of it. */
  watch(topicId: string, heard: (message: Message) => void): () => void {
    let watchers = this.#watching.get(topicId);
    if (watchers === undefined) this.#watching.set(topicId, watchers = new Set());
    watchers.add(heard);
    return () => {
      watchers.delete(heard);
      if (watchers.size === 0 && this.#watching.get(topicId) === watchers) this.#watching.delete(topicId);
    };
  }
  /** The messages of a partition from an offset on that the tail has offered; undefined if memory does not reach back to it. */
  recent(partition: number, from: number): readonly Message[] | undefined {
    return this.#ring.since(partition, from);
  }
  get inFlight(): number {
    return this.#limits.inFlight;
  }
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /**
   * A lane begins, or goes on after a restart or an expiry, from its position. Of one of a shard just taken `quiet` may say that
   * there is nothing for it: a million of those join the tail without a look at the log.
   */
  add(lane: Lane, quiet?: Quiet): void {
    let lanes = this.#byTopic.get(lane.topicId);
    if (lanes === undefined) this.#byTopic.set(lane.topicId, lanes = new Set());
    lanes.add(lane);
    if (lane.state !== "parked" && this.#hasNothing(lane, quiet)) {
      lane.notBefore = 0;
      lane.onTail = true;
      lane.apply("caughtUp");
      return;
    }
    if (lane.state === "parked") {
      // After a restart the probes do not all come at once.
      this.#pause(lane, this.#dependencies.now() + this.#dependencies.random() * this.#settings.probeIntervalMs);
    } else {
      lane.notBefore = 0;
      this.#resume(lane);
    }
    this.#pump();
  }

  /** Whether nothing of its topic stands between its position and the tail, as memory and `quiet` say. */
  #hasNothing({ partition, topicId, readFrom, fresh }: Lane, quiet: Quiet | undefined): boolean {
    if (!fresh || this.#ring.has(partition, topicId, readFrom)) return false;
    const reach = this.#ring.reachesTo(partition);
    if (readFrom >= reach) return true;
    return quiet !== undefined && quiet.until[partition]! >= reach && !quiet.mayHave(partition, topicId);
  }

  /** Renewed: what waits is tried at once, under the new secret. */
  renewed(lane: Lane): void {
    lane.apply("renewed");
    lane.renewals++;
    lane.notBefore = 0;
    this.#resume(lane);
    this.#pump();
  }

  /** The subscriber has everything before this offset: it is not sent any more (WIRE §5, ack). */
  advance(lane: Lane, next: number): void {
    this.#release(lane.advance(next));
    if (lane.held === lane.inFlight) this.#holding.delete(lane);
    this.#goOn(lane);
    this.#pump();
  }

  /** Push again, at once, from this offset or from where the lane stands (WIRE §5, resume). */
  rewind(lane: Lane, from: number | undefined): void {
    if (from !== undefined) {
      this.#drop(lane);
      lane.rewind(from);
    }
    if (lane.state === "expired") return;
    lane.recovered();
    this.renewed(lane);
  }

  /** Nothing more starts; what is in flight may still land. `ended` lanes forget its outcome, `expired` ones keep it. */
  remove(lane: Lane, how: "leaseOver" | "end"): void {
    lane.apply(how);
    if (how === "end") lane.epoch++;
    this.#drop(lane);
    this.#starved.delete(lane);
    this.#catchUp.forget(lane);
    const lanes = this.#byTopic.get(lane.topicId);
    lanes?.delete(lane);
    if (lanes?.size === 0) this.#byTopic.delete(lane.topicId);
  }

  /** From now on nothing of this shard starts (A3.3). Resolves when none of its attempts is under way, or at the deadline. */
  async hold(shard: number, deadlineMs: number): Promise<void> {
    this.#leaving.add(shard);
    await this.#until(() => !this.#attempting.has(shard), deadlineMs);
  }

  /** The lanes of a shard that is not here any more: whatever comes of their attempts moves nothing. */
  forget(shard: number, lanes: Iterable<Lane>): void {
    for (const lane of lanes) this.remove(lane, "end");
    this.#leaving.delete(shard);
  }

  /** Looks whenever an attempt has landed. */
  async #until(test: () => boolean, deadlineMs: number): Promise<void> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      for (const look of this.#landed.splice(0)) look();
    }, deadlineMs);
    while (!late && !test()) await new Promise<void>((resolve) => this.#landed.push(resolve));
    clearTimeout(timer);
  }

  #departs(shard: number): void {
    this.#attempting.set(shard, (this.#attempting.get(shard) ?? 0) + 1);
  }

  #lands(shard: number): void {
    const left = this.#attempting.get(shard)! - 1;
    if (left > 0) this.#attempting.set(shard, left);
    else this.#attempting.delete(shard);
    if (this.#landed.length > 0) { for (const look of this.#landed.splice(0)) look(); }
  }

  /** Starts nothing new; resolves when nothing is in flight, or at the deadline. */
  async stop(deadlineMs: number): Promise<void> {
    this.#stopped = true;
    await this.#follower?.close();
    clearInterval(this.#ticker);
    await this.#catchUp.close();
    for (const wait of this.#passing) {
      clearTimeout(wait.timer);
      wait.done(false);
    }
    this.#passing.clear();
    await this.#until(() => this.#limits.inFlight === 0, deadlineMs);
  }

  // ── what comes in ──────────────────────────────────────────────────────────────────────────────────────────────────

  async #onTail(batch: Batch, repeats: Repeats): Promise<void> {
    const { partition } = batch;
    if (batch.gap !== undefined) {
      // Retention passed the watermark while nobody followed (A4.5).
      const gap = { from: batch.gap.from, to: batch.gap.to };
      this.#ring.skipTo(partition, gap.to);
      for (const lanes of this.#byTopic.values()) {
        for (const lane of lanes) {
          if (!lane.onTail || lane.partition !== partition || lane.readFrom >= gap.to) continue;
          lane.addGap({ from: Math.max(gap.from, lane.readFrom), to: gap.to });
          this.#owner.moved(lane);
        }
      }
    }
    let turn = performance.now();
    for (const record of batch.records) {
      const message = toMessage(record);
      const repeat = message.keyed ? repeats.has(record.offset) : this.#dependencies.recentIds.seen(message);
      if (!repeat) this.#offerAll(message);
      if (performance.now() - turn < TURN_MS) continue;
      // Many lanes: attempts, answers and heartbeats go on in between. Up to here the step is whole.
      this.#tailNext[partition] = record.offset + 1;
      this.#pump();
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#stopped) return;
      turn = performance.now();
    }
    this.#tailNext[partition] = batch.next;
    for (const wait of this.#passing) {
      if (wait.partition !== partition || wait.offset > batch.next) continue;
      this.#passing.delete(wait);
      clearTimeout(wait.timer);
      wait.done(true);
    }
    this.#pump();
  }

  #offerAll(message: Message): void {
    this.#ring.add(message);
    const watchers = this.#watching.get(message.topicId);
    if (watchers !== undefined) { for (const heard of watchers) heard(message); }
    const lanes = this.#byTopic.get(message.topicId);
    if (lanes === undefined) return;
    for (const lane of lanes) if (lane.onTail) this.#offer(lane, message);
  }

  /** From the tail. A lane over its bound, or that there is no memory for, leaves it and reads the log later. */
  #offer(lane: Lane, message: Message): void {
    // What another lane holds already takes no more memory.
    if (lane.queued < MOST_QUEUED && (message.holders > 0 || !this.#memoryFull)) {
      this.#takeIn(lane, message);
      this.#makeReady(lane);
    } else {
      lane.leaveTail(message.offset);
      lane.apply("overflow");
      this.#goOn(lane);
    }
    this.#owner.moved(lane);
  }

  #takeIn(lane: Lane, message: Message): void {
    if (!lane.take(message)) return;
    if (message.holders++ === 0) this.#heldBytes += sizeOf(message);
    this.#holding.add(lane);
  }

  #release(messages: readonly Message[]): void {
    for (const message of messages) {
      if (--message.holders === 0) this.#heldBytes -= sizeOf(message);
    }
  }

  /** Lets go of all that is not in flight. */
  #drop(lane: Lane): void {
    this.#release(lane.drop(this.tailNext(lane.partition)));
    this.#holding.delete(lane);
  }

  // ── memory (§6.7) ──────────────────────────────────────────────────────────────────────────────────────────────────

  get #memoryFull(): boolean {
    return this.#heldBytes >= this.#settings.laneMemoryBytes;
  }

  /** Lanes that wait for memory get what others do not use. Where all is taken, those that have held some for longest let go. */
  #shareMemory(): void {
    if (this.#starved.size === 0) return;
    if (this.#memoryFull) {
      const enough = this.#settings.laneMemoryBytes * 7 / 8;
      for (const lane of this.#holding) {
        if (this.#heldBytes <= enough) break;
        this.#drop(lane);
        lane.apply("overflow");
        // Behind those that wait already.
        this.#goOn(lane);
      }
    }
    this.#feedStarved();
  }

  #feedStarved(): void {
    while (this.#starved.size > 0 && !this.#memoryFull) {
      const [lane] = this.#starved;
      this.#starved.delete(lane!);
      this.#read(lane!);
    }
  }

  // ── reading up to the tail (A4.1) ──────────────────────────────────────────────────────────────────────────────────

  /** Whether a lane that is behind may take one more message now. */
  #mayTake(lane: Lane): boolean {
    return this.#mayRead(lane) && !this.#memoryFull;
  }

  #mayRead(lane: Lane): boolean {
    switch (lane.state) {
      case "ended":
      case "expired":
        return false;
      case "backingOff":
        // What it read now it would only hold.
        return false;
      case "parked":
        // It holds the one message it is probed with.
        return lane.held === 0 && lane.notBefore <= this.#dependencies.now();
      default:
        return lane.queued < MOST_QUEUED;
    }
  }

  /** What comes next for a lane: reading on if it has little in hand, else an attempt. */
  #goOn(lane: Lane): void {
    if (lane.queued < REFILL_BELOW) this.#resume(lane);
    else this.#makeReady(lane);
  }

  /** Goes on reading where the lane stopped, or waits for the memory to do so. */
  #resume(lane: Lane): void {
    if (lane.onTail) lane.apply("caughtUp");
    else if (!lane.wantsReading && this.#mayRead(lane)) {
      if (this.#memoryFull || this.#starved.size > 0) this.#starved.add(lane);
      else this.#read(lane);
    }
    this.#makeReady(lane);
  }

  /** From memory if the ring reaches back, else from the log. */
  #read(lane: Lane): void {
    if (lane.onTail || lane.wantsReading || !this.#mayRead(lane)) return;
    const recent = this.#ring.since(lane.partition, lane.readFrom);
    if (recent === undefined) return this.#catchUp.want(lane);
    for (const message of recent) {
      if (message.topicId !== lane.topicId || message.offset < lane.readFrom) continue;
      if (!this.#mayTake(lane)) {
        // Stops before this one: what is left is read when there is room.
        lane.readFrom = message.offset;
        if (this.#mayRead(lane)) this.#starved.add(lane);
        return this.#makeReady(lane);
      }
      this.#takeIn(lane, message);
    }
    // One synchronous step: all before the tail's next offset is in hand or done, and all from it on will be offered.
    lane.onTail = true;
    lane.apply("caughtUp");
    this.#owner.moved(lane);
    this.#makeReady(lane);
  }

  /** A chunk from the log was offered to a lane. */
  #arrived(lane: Lane): void {
    this.#owner.moved(lane);
    this.#goOn(lane);
    this.#pump();
  }

  // ── attempts ───────────────────────────────────────────────────────────────────────────────────────────────────────

  #makeReady(lane: Lane): void {
    if (lane.waiting || !this.#mayStart(lane)) return;
    lane.waiting = true;
    this.#ready.push(lane);
  }

  #mayStart(lane: Lane): boolean {
    if (lane.state === "ended" || lane.state === "expired" || !lane.hasRoom) return false;
    if (this.#leaving.has(lane.shard)) return false;
    if (!lane.repeating && lane.queued === 0) return false;
    const now = this.#dependencies.now();
    if (now >= lane.expiresAt) {
      // §5.3.1: nothing is sent after the lease, even if the sweep has not come by yet.
      this.remove(lane, "leaseOver");
      this.#owner.leaseOver(lane);
      return false;
    }
    const paused = lane.state === "backingOff" || lane.state === "parked";
    return !paused || (lane.notBefore <= now && (lane.state !== "parked" || lane.inFlight === 0));
  }

  #pump(): void {
    if (this.#pumping || this.#stopped) return;
    this.#pumping = true;
    try {
      this.#startAttempts();
    } finally {
      this.#pumping = false;
    }
  }

  #startAttempts(): void {
    // In doubt they stay where they are: the next tick looks again.
    while (this.#readyHead < this.#ready.length && !this.#limits.full && this.#isConfirmed()) {
      const lane = this.#ready[this.#readyHead++]!;
      if (this.#readyHead > 1_024 && this.#readyHead * 2 > this.#ready.length) {
        this.#ready = this.#ready.slice(this.#readyHead);
        this.#readyHead = 0;
      }
      if (!this.#mayStart(lane)) lane.waiting = false;
      // Kept by the limits until a place is free.
      else if (!this.#limits.enter(lane)) continue;
      else {
        lane.waiting = false;
        this.#attempt(lane);
      }
      // Also one that has nothing in hand any more: it may have let go of it while it waited.
      this.#goOn(lane);
    }
  }

  #attempt(lane: Lane): void {
    const now = this.#dependencies.now();
    // The pause is over, though no tick has said so yet: a success now is to end the failing.
    if (lane.state === "backingOff") {
      lane.apply("due");
      if (lane.onTail) lane.apply("caughtUp");
    }
    const flight = lane.depart(now)!;
    lane.apply("record");
    const headers = this.#headersOf(lane, flight.message, now);
    const post = new LanePost(this, lane, flight, headers instanceof SecretError ? [] : headers, now);
    if (!post.isSuspect) this.#slowing.add(post, now);
    this.#departs(lane.shard);
    // Never unsigned: it fails like any attempt, and is tried again when the key may be there.
    if (headers instanceof SecretError) queueMicrotask(() => post.failed(headers.message));
    else this.#dependencies.transport.post(post);
  }

  /** Opens the lane's secret if it is not open yet. */
  #headersOf({ target }: Lane, message: Message, now: number): string[] | SecretError {
    const { userAgent, signature: algorithm } = this.#settings;
    try {
      const { signer } = target;
      const signing = signer === undefined ? undefined : this.#dependencies.signers.of(signer);
      return attemptHeaders(target, message, { userAgent, algorithm, signing, now });
    } catch (error) {
      if (error instanceof SecretError) return error;
      throw error;
    }
  }

  /**
   * One attempt with a message beside the lane, which neither waits for it nor moves by it. It takes a place of those that are
   * kept for suspects, so that replays are not felt by the healthy. The outcome "gone" has ended the lane.
   * @returns undefined if the lane fails, or if no place is free: try again later
   */
  beside(lane: Lane, message: Message): Promise<Outcome> | undefined {
    const { now, transport } = this.#dependencies;
    const { target } = lane;
    // Also between two attempts of a lane that fails: what is replayed would only be one failure more.
    const fails = lane.failures > 0 || lane.notBefore > now();
    const mayGo = !this.#stopped && !this.#leaving.has(lane.shard) && this.#isConfirmed();
    if (!mayGo || fails || now() >= lane.expiresAt || !this.#limits.enterBeside(target.url.origin)) {
      return undefined;
    }
    const headers = this.#headersOf(lane, message, now());
    this.#departs(lane.shard);
    return new Promise((resolve) => {
      const settle = (outcome: Outcome) => {
        this.#settleBeside(lane, target.url.origin, outcome);
        resolve(outcome);
      };
      if (headers instanceof SecretError) return queueMicrotask(() => settle(failureOf(headers.message)));
      transport.post({
        url: target.url,
        body: message.body,
        headers,
        mayGo: () => this.mayGo(lane),
        answered: (status, retryAfter) => settle(outcomeOf(status, retryAfter, now())),
        failed: (reason) => settle(failureOf(reason)),
      });
    });
  }

  #settleBeside(lane: Lane, origin: string, outcome: Outcome): void {
    if (outcome.kind === "retry" && outcome.notBefore !== undefined) this.#limits.ease(origin);
    if (outcome.kind === "delivered") this.counts.replayed++;
    if (outcome.kind === "gone" && lane.state !== "ended") {
      this.counts.gone++;
      this.remove(lane, "end");
      this.#owner.gone(lane);
    }
    this.#again(this.#limits.leave(origin, true));
    this.#lands(lane.shard);
    this.#pump();
  }

  /** Whether a request may be written now, however long it has waited for its connection (A3.4). */
  mayGo(lane: Lane): boolean {
    return lane.state !== "ended" && this.#isConfirmed();
  }

  /** An attempt was answered. For LanePost only. */
  answered(post: LanePost, status: number, retryAfter: string | undefined): void {
    this.settle(post, outcomeOf(status, retryAfter, this.#dependencies.now()));
  }

  /** An attempt is over. For LanePost only. */
  settle(post: LanePost, outcome: Outcome): void {
    const { lane, flight } = post;
    const { message } = flight;
    const now = this.#dependencies.now();
    this.#slowing.remove(post);
    // Before its place is another's.
    if (outcome.kind === "retry" && outcome.notBefore !== undefined) this.#limits.ease(post.url.origin);
    this.#again(this.#limits.leave(post.url.origin, post.isSuspect));
    if (!lane.holds(flight)) {
      // Begun before a resume or an end, or acknowledged meanwhile: its outcome moves nothing (A4.3).
      this.#release([message]);
    } else if (outcome.kind === "retry" || outcome.kind === "refused") this.#onFailure(post, outcome, now);
    else {
      lane.done(flight);
      this.#release([message]);
      if (outcome.kind === "gone") {
        this.counts.gone++;
        // §7: at once, not when it is folded: the next message is not for it any more.
        this.remove(lane, "end");
        this.#owner.gone(lane);
      } else this.#onDelivered(post, now);
    }
    this.#owner.moved(lane);
    // After the lane has moved: whoever waits for it writes where it stands.
    this.#lands(lane.shard);
    if (lane.held === lane.inFlight) this.#holding.delete(lane);
    if (this.#stopped) return;
    this.#goOn(lane);
    this.#feedStarved();
    this.#pump();
  }

  #onDelivered(post: LanePost, now: number): void {
    const { lane, flight } = post;
    this.counts.delivered++;
    this.counts.delaySum += (now - flight.message.publishedAt) / 1_000;
    this.#limits.trust(post.url.origin);
    lane.suspect = lane.repeating || now - post.startedAt > SLOW_MS;
    this.#onDone(lane);
  }

  /** A message is done, delivered or given up. */
  #onDone(lane: Lane): void {
    // While another message of this lane pauses, the lane is failing (concurrency above 1).
    if (lane.state === "parked" || (lane.state !== "backingOff" && !lane.repeating)) {
      if (lane.failures > 0) lane.recovered();
      lane.notBefore = 0;
    }
    if (lane.state === "parked" || !lane.busy) lane.apply("delivered");
  }

  #onFailure(post: LanePost, outcome: Outcome & { kind: "retry" | "refused" }, now: number): void {
    const { lane, flight } = post;
    const settings = this.#settings;
    const refusals = flight.refusals + (outcome.kind === "refused" ? 1 : 0);
    lane.lastError = outcome.reason;
    lane.suspect = true;
    if (outcome.kind === "refused" && refusals >= settings.deadLetterAttempts) {
      const { message, firstAt } = flight;
      lane.done(flight);
      this.#release([message]);
      this.counts.deadLettered++;
      const { id, partition, offset } = message;
      const { reason, status } = outcome;
      const attempts = flight.attempts + 1;
      this.#owner.deadLetter(lane, { id, partition, offset, reason, status, attempts, firstAt, lastAt: now });
      this.#onDone(lane);
      return;
    }
    this.counts.retried++;
    const repeat = lane.failed(flight, outcome.kind === "refused");
    lane.failures++;
    if (lane.failingSince === 0) lane.failingSince = now;
    const asked = outcome.kind === "retry" ? Math.min(outcome.notBefore ?? 0, now + settings.retry.maxMs) : 0;
    if (lane.state === "ended" || lane.state === "expired") return this.#drop(lane);
    this.#holding.add(lane);
    // What was tried before a renewal says nothing about how it is now: the next attempt is due at once (WIRE §4).
    const outdated = post.renewals !== lane.renewals;
    if (lane.state === "parked" || now - lane.failingSince >= settings.parkAfterMs) {
      lane.apply(lane.state === "parked" ? "failed" : "exhausted");
      // Parked, it holds nothing: the next probe reads its message again.
      this.#drop(lane);
      this.#pause(lane, outdated ? now : Math.max(asked, now + settings.probeIntervalMs));
      return;
    }
    lane.apply("failed");
    const pause = backoffMs(settings.retry, repeat.attempts - 1, this.#dependencies.random());
    this.#pause(lane, outdated ? now : Math.max(asked, now + pause));
  }

  #pause(lane: Lane, until: number): void {
    lane.notBefore = Math.max(lane.notBefore, until);
    this.#wheel.add(lane, lane.notBefore);
  }

  #onDue(lane: Lane): void {
    if (lane.notBefore > this.#dependencies.now()) return;
    if (lane.state !== "backingOff" && lane.state !== "parked") return;
    lane.apply("due");
    this.#resume(lane);
  }

  #tick(): void {
    const now = this.#dependencies.now();
    this.#followClock(now);
    for (const post of this.#slowing.due(now)) {
      post.isSuspect = post.lane.suspect = true;
      this.#limits.slow(post.url.origin);
    }
    for (const lane of this.#wheel.due(now)) this.#onDue(lane);
    this.#again(this.#limits.wake());
    this.#shareMemory();
    this.#pump();
  }

  /** Where the clock was set back, pauses are as long as they were meant. */
  #followClock(now: number): void {
    const back = this.#lastTick - now;
    this.#lastTick = now;
    if (back < CLOCK_STEP_MS) return;
    const pausing = new Set(this.#wheel.clear());
    this.#wheel.due(now);
    for (const lane of pausing) {
      lane.notBefore -= back;
      this.#wheel.add(lane, lane.notBefore);
    }
  }

  #again(lanes: readonly Lane[]): void {
    for (const lane of lanes) {
      lane.waiting = false;
      this.#goOn(lane);
    }
  }
}

/** One attempt, as the transport sees it. */
class LanePost implements Post, Timed {
  deadline = 0;
  previous: Timed | undefined;
  next: Timed | undefined;
  /** As the limits count it. */
  isSuspect: boolean;
  readonly lane: Lane;
  readonly flight: Flight;
  readonly headers: string[];
  readonly startedAt: number;
  readonly renewals: number;
  readonly url: Post["url"];
  readonly #delivery: Delivery;

  constructor(delivery: Delivery, lane: Lane, flight: Flight, headers: string[], startedAt: number) {
    this.#delivery = delivery;
    this.lane = lane;
    this.flight = flight;
    this.headers = headers;
    this.startedAt = startedAt;
    this.renewals = lane.renewals;
    this.isSuspect = lane.suspect;
    this.url = lane.target.url;
  }
  get body(): Buffer {
    return this.flight.message.body;
  }
  mayGo(): boolean {
    return this.#delivery.mayGo(this.lane);
  }
  answered(status: number, retryAfter: string | undefined): void {
    this.#delivery.answered(this, status, retryAfter);
  }
  failed(reason: string): void {
    this.#delivery.settle(this, failureOf(reason));
  }
}
