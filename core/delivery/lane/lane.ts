// A lane: one subscription's delivery, and its cursor (the position in the log). It is a closed machine: the verbs below are the only
// way to change it, and lane-transitions.ts has the diagram of its states. A lane knows how far it has read, its backlog (backlog.ts)
// and its health (health.ts). The scheduler (reading/, sending/) decides when a lane reads and sends, and tells it what came of that.
// Over 300 lines: many verbs of a few lines each. All of a lane is one object, so that a million quiet ones take little memory.
import type { CursorRecord } from "../../state/records.ts";
import { type LaneEvent, type LaneState, nextState } from "./lane-transitions.ts";
import type { Message } from "../../messages/message.ts";
import type { Gap } from "../../log/log.ts";
import { Backlog, type BacklogView, EMPTY_BACKLOG, type Flight, type Repeat } from "./backlog.ts";
import {
  afterFailure,
  changed,
  decodeHealth,
  type Health,
  recovered,
  struck,
  succeeded,
  UNTRIED,
  WELL,
} from "./health.ts";
import { recordOf, withGap } from "./cursor-record.ts";
import type { Failure } from "./outcome.ts";
import type { Target } from "./target.ts";
import type { Standing } from "../../../shared/shares/standing.ts";

/** The terms of a subscription that a renewal may change. */
export interface LaneTerms {
  readonly target: Target;
  /** Attempts in flight at most. */
  readonly concurrency: number;
  /** When the lease is over, ms since 1970. */
  readonly expiresAt: number;
}

export interface LaneOptions extends LaneTerms {
  /** The subscription's id. */
  readonly id: string;
  readonly shard: number;
  readonly topicId: string;
  readonly partition: number;
  readonly life: number;
  /** Everything before this offset is done. */
  readonly position: number;
  /** Its life begins, or goes on after an expiry: it has yet to show that its subscriber answers. False: it was there before a restart. */
  readonly isNew: boolean;
}

export class Lane {
  readonly id: string;
  /** The partition of the subscription's id: its owner writes the lane's position. */
  readonly shard: number;
  readonly topicId: string;
  /** The partition of `messages` that the topic is in. */
  readonly partition: number;
  readonly life: number;
  #target: Target;
  #concurrency: number;
  #expiresAt: number;

  #state: LaneState = "catchingUp";
  #readFrom: number;
  #onTail = false;
  #renewals = 0;
  #fresh = true;
  #isWaiting = false;
  #backlog: Backlog = EMPTY_BACKLOG;
  #health: Health;
  #gaps: readonly Gap[] | undefined;

  constructor(options: LaneOptions) {
    this.id = options.id;
    this.shard = options.shard;
    this.topicId = options.topicId;
    this.partition = options.partition;
    this.life = options.life;
    this.#target = options.target;
    this.#concurrency = options.concurrency;
    this.#expiresAt = options.expiresAt;
    this.#readFrom = options.position;
    this.#health = options.isNew ? UNTRIED : WELL;
  }

  get target(): Target {
    return this.#target;
  }
  get expiresAt(): number {
    return this.#expiresAt;
  }
  get state(): LaneState {
    return this.#state;
  }
  /** The next offset to read, unless the tail offers it. Messages before it are not for this lane. */
  get readFrom(): number {
    return this.#readFrom;
  }
  /** The tail offers this lane every record from its `next` on. */
  get onTail(): boolean {
    return this.#onTail;
  }
  /** How often the lane was renewed or resumed while it ran. */
  get renewals(): number {
    return this.#renewals;
  }
  /** The lane had no record of its own: everything before its position is done, and nothing else is known of it. */
  get fresh(): boolean {
    return this.#fresh;
  }
  /** The lane waits for its turn to send. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }
  get health(): Readonly<Health> {
    return this.#health;
  }
  /** In whose places its attempts are. */
  get standing(): Standing {
    return this.#health.standing;
  }
  get gaps(): readonly Gap[] | undefined {
    return this.#gaps;
  }
  get backlog(): BacklogView {
    return this.#backlog;
  }
  get inFlight(): number {
    return this.#backlog.inFlight;
  }
  /** Messages are in hand. */
  get busy(): boolean {
    return this.#backlog.size > 0;
  }
  /** No attempt starts, unless an expired lane is renewed. */
  get isOver(): boolean {
    return this.#state === "ended" || this.#state === "expired";
  }

  // ── reading ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Receives a message that was read or offered. False: the lane has had it, or has it in hand. */
  receive(message: Message): boolean {
    const { offset } = message;
    if (offset < this.#readFrom) return false;
    this.#readFrom = offset + 1;
    // After a dropped queue the lane reads again from its position: it skips messages that are done or in hand.
    if (this.#backlog.knows(offset)) return false;
    this.#own().push(message);
    return true;
  }

  /** The lane has read everything before this offset. */
  readUpTo(offset: number): void {
    this.#readFrom = Math.max(this.#readFrom, offset);
  }

  /** The lane has read up to the tail's next offset: from there on the tail offers it every record. */
  joinTail(): void {
    this.#onTail = true;
    this.#apply("caughtUp");
  }

  /** The queue or the memory is full: the lane reads the log from the tail's next offset on. */
  leaveTail(tailNext: number): void {
    if (this.#onTail) this.readUpTo(tailNext);
    this.#onTail = false;
    this.#apply("overflow");
  }

  /** Lets go of everything that is not in flight: it is read again from the log. Returns the messages that were held. */
  drop(tailNext: number): Message[] {
    this.leaveTail(tailNext);
    const held = this.#backlog.drop();
    for (const { offset } of held) this.#readFrom = Math.min(this.#readFrom, offset);
    this.#disown();
    return held;
  }

  /** Notes what retention removed before the lane had it (A4.5); neighbouring gaps become one. */
  addGap(gap: Gap): void {
    this.#gaps = withGap(this.#gaps, gap);
  }

  // ── sending ────────────────────────────────────────────────────────────────────────────────────────────────────────

  startWaiting(): void {
    this.#isWaiting = true;
  }
  stopWaiting(): void {
    this.#isWaiting = false;
  }

  /** Whether order and concurrency allow one more attempt. */
  get hasRoom(): boolean {
    return this.#backlog.hasRoom(this.#concurrency, this.#unread);
  }

  /** Whether a failure still holds the lane back. A parked lane is probed with one message at a time. */
  isPausing(now: number): boolean {
    if (!this.#isFailing) return false;
    return this.#health.notBefore > now || (this.#state === "parked" && this.inFlight > 0);
  }

  /** Takes out the next message to send, which is in flight from now on; undefined if there is none in hand. */
  depart(now: number): Flight | undefined {
    const flight = this.#backlog.depart(now, this.#health.failed);
    if (flight === undefined) return undefined;
    // The pause is over, though no tick has noticed it: a success now ends the failing.
    if (this.#state === "backingOff") {
      this.#apply("due");
      if (this.#onTail) this.#apply("caughtUp");
    }
    this.#apply("record");
    return flight;
  }

  /** Whether the outcome of a flight still counts: not after the lane was ended or rewound, or the message acknowledged (A4.3). */
  isCurrent(flight: Flight): boolean {
    return this.#state !== "ended" && this.#backlog.has(flight);
  }

  /** The flight is over and its message was delivered. `isSlow`: the attempt took long. */
  delivered(flight: Flight, isSlow: boolean): void {
    this.done(flight);
    this.#health = succeeded(this.#health, isSlow, this.#backlog.repeating > 0);
    this.#proceed();
  }

  /** The flight is over and its message is given up: it becomes a dead letter. */
  gaveUp(flight: Flight, { reason }: Failure): void {
    this.#change("lastError", reason);
    this.#health = struck(this.#health);
    this.done(flight);
    this.#proceed();
  }

  /** The flight is over, and its message needs no other attempt. */
  done(flight: Flight): void {
    this.#own().done(flight, this.#unread);
    this.#disown();
    if (this.#health.failed?.offset === flight.message.offset) this.#change("failed", undefined);
  }

  /** The flight is over and its message is to be sent again; `park` or `backOff` follows. */
  failed(flight: Flight, failure: Failure, now: number): Repeat {
    const repeat = this.#own().repeat(flight, failure);
    this.#health = afterFailure(this.#health, repeat, failure.reason, now);
    return repeat;
  }

  backOff(): void {
    this.#apply("failed");
  }
  /** The lane has failed for PARK_AFTER; or it is parked, and its probe failed. */
  park(): void {
    this.#apply(this.#state === "parked" ? "failed" : "exhausted");
  }
  /** An attempt of the lane takes long: that is known before it is over. */
  slowDown(): void {
    if (this.standing === "proven") this.#change("standing", "slow");
  }

  /** No attempt starts before this time, ms since 1970. */
  pauseUntil(time: number): void {
    this.#change("notBefore", time);
  }
  /** Ends the pause of a lane that fails, if it is over. */
  endPause(now: number): boolean {
    if (!this.#isFailing || this.#health.notBefore > now) return false;
    this.#apply("due");
    return true;
  }

  // ── what its subscription says ─────────────────────────────────────────────────────────────────────────────────────

  /** The subscription was verified again: its new terms hold at once, and the next attempt is due. An expired lane goes on. */
  renew({ target, concurrency, expiresAt }: LaneTerms): void {
    this.#target = target;
    this.#concurrency = concurrency;
    this.#expiresAt = expiresAt;
    this.#hasten();
  }

  /** The subscriber asks for attempts again: the failures are forgotten, and the next attempt is due. */
  resume(): void {
    this.#health = recovered(this.#health);
    this.#hasten();
  }

  /** The lane reads again from this offset, whatever was done or is in flight. Returns the messages that were held. */
  rewind(from: number): Message[] {
    const held = this.#backlog.drop();
    this.#backlog = EMPTY_BACKLOG;
    this.#change("failed", undefined);
    this.#onTail = false;
    this.#readFrom = from;
    return held;
  }

  /** Everything before this offset is done. Returns the messages that were held; flights before it no longer count. */
  advance(next: number): Message[] {
    const freed = this.#backlog.advance(next);
    this.#disown();
    this.readUpTo(next);
    const { failed } = this.#health;
    if (failed !== undefined && failed.offset < next) this.#change("failed", undefined);
    return freed;
  }

  /** The lease is over: no attempt starts; the outcomes of attempts in flight still count. */
  expire(): void {
    this.#apply("leaseOver");
  }
  /** The subscription ended: no attempt starts, and the outcomes of attempts in flight move nothing. */
  end(): void {
    this.#apply("end");
  }

  // ── its position, and its record ───────────────────────────────────────────────────────────────────────────────────

  /** Everything before this offset is done. `tailNext`: the offset that the tail offers next. */
  position(tailNext: number): number {
    const read = this.#onTail ? Math.max(tailNext, this.#readFrom) : this.#readFrom;
    return Math.min(read, this.#backlog.first);
  }

  /** The lane's record; undefined if the watermark says everything. See `recordOf`. */
  record(tailNext: number, watermark = tailNext): CursorRecord | undefined {
    return recordOf(this, tailNext, watermark);
  }

  /** Goes on where a record of the same life left off. */
  restore({ position, beyond, gaps, health }: CursorRecord): void {
    this.#fresh = false;
    this.#readFrom = position;
    if (beyond !== undefined && beyond.length > 0) this.#own().restore(beyond);
    this.#gaps = gaps;
    if (health === undefined) return;
    this.#health = decodeHealth(health);
    if (health.parked === true) this.park();
  }

  // ── its parts ──────────────────────────────────────────────────────────────────────────────────────────────────────

  get #isFailing(): boolean {
    return this.#state === "backingOff" || this.#state === "parked";
  }

  #apply(event: LaneEvent): void {
    this.#state = nextState(this.#state, event);
  }

  /** Goes on after a message that was delivered or given up. */
  #proceed(): void {
    const isParked = this.#state === "parked";
    // While another message of this lane pauses, the lane is failing (concurrency above 1).
    if (isParked || (this.#state !== "backingOff" && this.#backlog.repeating === 0)) {
      if (this.#health.failures > 0) this.#health = recovered(this.#health);
      this.#change("notBefore", 0);
    }
    if (isParked || !this.busy) this.#apply("delivered");
  }

  #hasten(): void {
    if (this.#state !== "expired") this.#renewals++;
    this.#apply("renewed");
    this.#change("notBefore", 0);
  }

  #change<Name extends keyof Health>(name: Name, value: Health[Name]): void {
    this.#health = changed(this.#health, name, value);
  }

  /** The lane's own backlog, to be written to. */
  #own(): Backlog {
    if (this.#backlog === EMPTY_BACKLOG) this.#backlog = new Backlog();
    return this.#backlog;
  }
  #disown(): void {
    if (this.#backlog.isEmpty) this.#backlog = EMPTY_BACKLOG;
  }

  /** The offset from which on the lane is still to read the log; Infinity on the tail. */
  get #unread(): number {
    return this.#onTail ? Infinity : this.#readFrom;
  }
}
