// A lane: one subscription's place in its topic's log, and what it holds of it. The scheduler moves it, this file keeps its
// books: what was read, what is in flight, what waits to be repeated, and from where on nothing is done yet.
import type { CursorRecord, LaneHealth } from "../../state/records.ts";
import { type LaneEvent, type LaneState, nextState } from "./lane-state.ts";
import type { Message } from "../../messages/message.ts";
import type { Target } from "./target.ts";
import {
  createTrouble,
  type Failed,
  isNone,
  NO_OFFSETS,
  NO_REPEATS,
  NONE,
  type Repeat,
  type Trouble,
} from "./trouble.ts";

export interface Flight extends Repeat {
  /** The lane's epoch when it began: an outcome from before a resume or an end moves nothing (A4.3). */
  readonly epoch: number;
}

/** Offsets done beyond the contiguous prefix; with more the lane waits for the prefix (A4.3). */
export const MOST_BEYOND = 256;

/** Kept of a lane's gaps. */
export const MOST_GAPS = 256;

const NO_MESSAGES: (Message | undefined)[] = [];
const NO_FLIGHTS: Flight[] = [];

export class Lane {
  readonly id: string;
  /** The partition of its subscription's id: who writes its position. */
  readonly shard: number;
  readonly topicId: string;
  /** Of `messages`. */
  readonly partition: number;
  readonly life: number;
  target: Target;
  concurrency: number;
  expiresAt: number;

  state: LaneState = "catchingUp";
  /** The next offset to read, unless the tail offers it. Offers before it are not for this lane. */
  readFrom: number;
  /** The tail offers this lane every record from its `next` on. */
  onTail = false;
  epoch = 0;
  /** How often it was renewed or resumed while it ran. */
  renewals = 0;
  /** It has no record of its own: everything before its position is done, and nothing else is known of it. */
  fresh = true;
  /** In one of the scheduler's queues. */
  waiting = false;
  wantsReading = false;

  /** Its first `#head` places are empty: what departed is not held here. */
  #queue: (Message | undefined)[] = NO_MESSAGES;
  #head = 0;
  #flights: Flight[] = NO_FLIGHTS;
  #trouble: Trouble = NONE;

  constructor(
    { id, shard, topicId, partition, life, target, concurrency, expiresAt, position }: {
      id: string;
      shard: number;
      topicId: string;
      partition: number;
      life: number;
      target: Target;
      concurrency: number;
      expiresAt: number;
      position: number;
    },
  ) {
    this.id = id;
    this.shard = shard;
    this.topicId = topicId;
    this.partition = partition;
    this.life = life;
    this.target = target;
    this.concurrency = concurrency;
    this.expiresAt = expiresAt;
    this.readFrom = position;
  }

  get failures(): number {
    return this.#trouble.failures;
  }
  set failures(value: number) {
    this.#set("failures", value);
  }
  get failingSince(): number {
    return this.#trouble.failingSince;
  }
  set failingSince(value: number) {
    this.#set("failingSince", value);
  }
  get lastError(): string {
    return this.#trouble.lastError;
  }
  set lastError(value: string) {
    this.#set("lastError", value);
  }
  /** No attempt before this time, ms, while backing off or parked. */
  get notBefore(): number {
    return this.#trouble.notBefore;
  }
  set notBefore(value: number) {
    this.#set("notBefore", value);
  }
  /** The last attempt failed or was slow: the lane shares a bounded part of the limits with its like. */
  get suspect(): boolean {
    return this.#trouble.suspect;
  }
  set suspect(value: boolean) {
    this.#set("suspect", value);
  }
  get gaps(): readonly { readonly from: number; readonly to: number }[] | undefined {
    return this.#trouble.gaps;
  }

  get #repeats(): Repeat[] {
    return this.#trouble.repeats;
  }
  set #repeats(value: Repeat[]) {
    this.#set("repeats", value.length === 0 ? NO_REPEATS : value);
  }
  get #beyond(): number[] {
    return this.#trouble.beyond;
  }
  set #beyond(value: number[]) {
    this.#set("beyond", value.length === 0 ? NO_OFFSETS : value);
  }
  get #failed(): Failed | undefined {
    return this.#trouble.failed;
  }
  set #failed(value: Failed | undefined) {
    this.#set("failed", value);
  }

  #set<Name extends keyof Trouble>(name: Name, value: Trouble[Name]): void {
    if (this.#trouble[name] === value) return;
    if (this.#trouble === NONE) this.#trouble = createTrouble();
    this.#trouble[name] = value;
    if (value === NONE[name] && isNone(this.#trouble)) this.#trouble = NONE;
  }

  apply(event: LaneEvent): void {
    this.state = nextState(this.state, event);
  }

  get queued(): number {
    return this.#queue.length - this.#head;
  }
  get inFlight(): number {
    return this.#flights.length;
  }
  get repeating(): boolean {
    return this.#repeats.length > 0;
  }
  /** Anything read and not done. */
  get busy(): boolean {
    return this.queued > 0 || this.#flights.length > 0 || this.#repeats.length > 0;
  }

  /** Takes a message that was read; false if this lane has had it, or has it in hand. */
  take(message: Message): boolean {
    const { offset } = message;
    if (offset < this.readFrom) return false;
    this.readFrom = offset + 1;
    // After a dropped queue the log is read again from the prefix on: not what is done, in flight or in hand beyond it.
    const isIt = (one: Repeat) => one.message.offset === offset;
    if (this.#beyond.includes(offset) || this.#flights.some(isIt) || this.#repeats.some(isIt)) return false;
    if (this.#queue === NO_MESSAGES) this.#queue = [];
    this.#queue.push(message);
    return true;
  }

  /** The next message to send, now in flight; undefined if there is none in hand. */
  depart(now: number): Flight | undefined {
    let repeat: Repeat;
    // In the order of the log, also where what follows a dropped message failed before that was read again.
    if (this.#repeats.length > 0 && this.#repeats[0]!.message.offset < this.#headOffset) {
      repeat = this.#repeats[0]!;
      this.#repeats = this.#repeats.slice(1);
    } else {
      const message = this.#queue[this.#head];
      if (message === undefined) return undefined;
      this.#queue[this.#head++] = undefined;
      if (this.#head === this.#queue.length) {
        this.#queue = NO_MESSAGES;
        this.#head = 0;
      } else if (this.#head > 64 && this.#head * 2 > this.#queue.length) {
        this.#queue = this.#queue.slice(this.#head);
        this.#head = 0;
      }
      const known = this.#failed?.offset === message.offset ? this.#failed : undefined;
      repeat = {
        message,
        attempts: known?.attempts ?? 0,
        refusals: known?.refusals ?? 0,
        firstAt: known?.firstAt ?? now,
      };
    }
    const { message, attempts, refusals, firstAt } = repeat;
    const flight: Flight = { message, attempts, refusals, firstAt, epoch: this.epoch };
    if (this.#flights === NO_FLIGHTS) this.#flights = [];
    this.#flights.push(flight);
    return flight;
  }

  /** The flight is over and its message done: delivered, or given up. */
  done(flight: Flight): void {
    this.#land(flight);
    if (this.#failed?.offset === flight.message.offset) this.#failed = undefined;
    const first = this.#firstOutstanding();
    // A lane that reads the log may stand right before it: then it is done, but will be read again.
    if (flight.message.offset >= first) {
      if (this.#beyond === NO_OFFSETS) this.#beyond = [flight.message.offset];
      else this.#beyond.push(flight.message.offset);
    } else if (this.#beyond.length > 0) {
      this.#beyond = this.#beyond.filter((offset) => offset >= first);
    }
  }

  /** The flight is over and its message is to be sent again. */
  failed(flight: Flight, refused: boolean): Repeat {
    this.#land(flight);
    const { message, firstAt } = flight;
    const repeat = {
      message,
      firstAt,
      attempts: flight.attempts + 1,
      refusals: flight.refusals + (refused ? 1 : 0),
    };
    this.#repeats = [...this.#repeats, repeat].sort((one, other) => one.message.offset - other.message.offset);
    this.#failed = { offset: message.offset, attempts: repeat.attempts, refusals: repeat.refusals, firstAt };
    return repeat;
  }

  /** Room for one more attempt, as far as order and concurrency go. */
  get hasRoom(): boolean {
    if (this.#flights.length >= this.concurrency) return false;
    if (this.#beyond.length + this.#flights.length < MOST_BEYOND) return true;
    // Full beyond the prefix: only what the prefix waits for may go.
    const next = Math.min(this.#headOffset, this.#repeats[0]?.message.offset ?? Infinity);
    return next < Infinity && next <= this.#firstOutstanding();
  }

  /** Everything before this offset is done, whatever is in hand of it. Returns what was held; flights before it count no more. */
  advance(next: number): Message[] {
    const queued: Message[] = [];
    for (let index = this.#head; index < this.#queue.length; index++) queued.push(this.#queue[index]!);
    const before = (offset: number) => offset < next;
    const freed = [...this.#repeats.map(({ message }) => message), ...queued].filter(({ offset }) => before(offset));
    this.#queue = queued.filter(({ offset }) => !before(offset));
    this.#head = 0;
    this.#repeats = this.#repeats.filter(({ message }) => !before(message.offset));
    this.#flights = this.#flights.filter(({ message }) => !before(message.offset));
    this.#beyond = this.#beyond.filter((offset) => !before(offset));
    this.readFrom = Math.max(this.readFrom, next);
    if (this.#failed !== undefined && before(this.#failed.offset)) this.#failed = undefined;
    return freed;
  }

  /** After a drop: reads again from this offset, whatever was done or is in flight. */
  rewind(from: number): void {
    this.epoch++;
    this.#flights = NO_FLIGHTS;
    this.#beyond = NO_OFFSETS;
    this.#failed = undefined;
    this.readFrom = from;
  }

  /** Whether an attempt still counts: not begun before a rewind or an end, not acknowledged meanwhile (A4.3). */
  holds(flight: Flight): boolean {
    return flight.epoch === this.epoch && this.#flights.includes(flight);
  }

  /** Leaves the tail, which offers `tailNext` next: from here on the lane reads the log. */
  leaveTail(tailNext: number): void {
    if (this.onTail) this.readFrom = Math.max(this.readFrom, tailNext);
    this.onTail = false;
  }

  /** Lets go of all that is not in flight; it is read again from the log. Returns what was held. */
  drop(tailNext: number): Message[] {
    this.leaveTail(tailNext);
    const held = this.#repeats.map((repeat) => repeat.message);
    for (let index = this.#head; index < this.#queue.length; index++) held.push(this.#queue[index]!);
    for (const { offset } of held) this.readFrom = Math.min(this.readFrom, offset);
    this.#repeats = NO_REPEATS;
    this.#queue = NO_MESSAGES;
    this.#head = 0;
    return held;
  }

  /** Notes what retention took before the lane had it (A4.5); neighbouring gaps are one. */
  addGap(gap: { from: number; to: number }): void {
    const gaps = [...this.gaps ?? []];
    const last = gaps.at(-1);
    if (last !== undefined && gap.from <= last.to) {
      gaps[gaps.length - 1] = { from: Math.min(last.from, gap.from), to: Math.max(last.to, gap.to) };
    } else gaps.push(gap);
    // The record stays small: what lies between the two oldest is then told as missed.
    if (gaps.length > MOST_GAPS) gaps.splice(0, 2, { from: gaps[0]!.from, to: gaps[1]!.to });
    this.#set("gaps", gaps);
  }

  /** Everything before this offset is done. `tailNext` is what the tail will offer next. */
  position(tailNext: number): number {
    return Math.min(this.#firstOutstanding(), this.onTail ? Math.max(tailNext, this.readFrom) : this.readFrom);
  }

  get #headOffset(): number {
    return this.#queue[this.#head]?.offset ?? Infinity;
  }

  #firstOutstanding(): number {
    let first = Math.min(this.onTail ? Infinity : this.readFrom, this.#headOffset);
    if (this.#repeats.length > 0) first = Math.min(first, this.#repeats[0]!.message.offset);
    for (const flight of this.#flights) first = Math.min(first, flight.message.offset);
    return first;
  }

  /** The oldest message in hand that is not done. */
  oldest(): Message | undefined {
    let oldest: Message | undefined = this.#queue[this.#head];
    for (const { message } of this.#repeats) {
      if (oldest === undefined || message.offset < oldest.offset) oldest = message;
    }
    for (const { message } of this.#flights) {
      if (oldest === undefined || message.offset < oldest.offset) oldest = message;
    }
    return oldest;
  }

  /** Messages in hand. */
  get held(): number {
    return this.queued + this.#flights.length + this.#repeats.length;
  }

  /**
   * The record of a lane that is not done up to the watermark; undefined if the watermark says all there is to say (A4.3).
   * Only a process that has just begun may have a watermark that is ahead of its tail.
   */
  record(tailNext: number, watermark = tailNext): CursorRecord | undefined {
    const position = this.position(tailNext);
    const beyond = this.#beyond.filter((offset) => offset >= position);
    const health = this.#health();
    const quiet = this.onTail && position === watermark && beyond.length === 0;
    if (quiet && health === undefined && this.gaps === undefined && this.state !== "expired") return undefined;
    return {
      life: this.life,
      position,
      ...(beyond.length === 0 ? {} : { beyond }),
      ...(this.gaps === undefined ? {} : { gaps: this.gaps }),
      ...(health === undefined ? {} : { health }),
    };
  }

  #health(): LaneHealth | undefined {
    if (this.failures === 0) return undefined;
    const failed = this.#failed ?? { offset: -1, attempts: 0, refusals: 0, firstAt: 0 };
    const { failingSince, failures, lastError } = this;
    return { ...(this.state === "parked" ? { parked: true } : {}), failingSince, failures, lastError, ...failed };
  }

  /** Takes up where a record of the same life left off. */
  restore(record: CursorRecord): void {
    this.fresh = false;
    this.readFrom = record.position;
    this.#beyond = record.beyond === undefined ? NO_OFFSETS : [...record.beyond];
    if (record.gaps !== undefined) this.#set("gaps", record.gaps);
    const health = record.health;
    if (health === undefined) return;
    this.failures = health.failures;
    this.failingSince = health.failingSince;
    this.lastError = health.lastError;
    this.suspect = true;
    const { offset, attempts, refusals, firstAt } = health;
    if (offset >= 0) this.#failed = { offset, attempts, refusals, firstAt };
    if (health.parked === true) this.apply("exhausted");
  }

  /** A success: what failed before is forgotten. */
  recovered(): void {
    this.failures = 0;
    this.failingSince = 0;
    this.lastError = "";
    this.suspect = false;
  }

  #land(flight: Flight): void {
    const index = this.#flights.indexOf(flight);
    if (index < 0) return;
    if (this.#flights.length === 1) this.#flights = NO_FLIGHTS;
    else this.#flights.splice(index, 1);
  }
}
