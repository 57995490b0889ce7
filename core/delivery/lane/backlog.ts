// A lane's backlog: the messages that the lane has read and that are not done. Each is queued, in flight, or waits to be sent again.
// With concurrency above 1, messages are also done out of order: the backlog notes their offsets.
import type { Message } from "../../messages/message.ts";
import type { Failure } from "./outcome.ts";

/** What came of a message's attempts so far. */
export interface Tries {
  /** Attempts that are over. */
  readonly attempts: number;
  /** The attempts that the subscriber refused for what the message is. */
  readonly refusals: number;
  /** The attempts that were answered with a status of 500 to 599. */
  readonly answered5xx: number;
  /** The attempts that were answered 500. */
  readonly answered500: number;
  /** When the first attempt began, ms since 1970. */
  readonly firstAt: number;
}

/** A message that was sent before, and how often. */
export interface Repeat extends Tries {
  readonly message: Message;
}

/** A message in flight. Each departure has an object of its own: a message that is read again is another flight. */
export type Flight = Repeat;

/** What is known of a message's earlier attempts; the message itself may have been dropped since. */
export interface Tried extends Tries {
  readonly offset: number;
  /** The message's id. */
  readonly id: string;
}

/** The tries after one more, which failed. */
export function afterTry(tries: Tries, { kind, status }: Failure): Tries {
  return {
    attempts: tries.attempts + 1,
    refusals: tries.refusals + (kind === "refused" ? 1 : 0),
    answered5xx: tries.answered5xx + (status >= 500 && status <= 599 ? 1 : 0),
    answered500: tries.answered500 + (status === 500 ? 1 : 0),
    firstAt: tries.firstAt,
  };
}

/** The most offsets that are done beyond the contiguous prefix; the lane then waits for the prefix (A4.3). */
export const MOST_BEYOND = 256;

/** Departed messages leave empty places at the front of the queue; the queue is cut when it has more than these. */
const MOST_EMPTY = 64;

const NO_MESSAGES: (Message | undefined)[] = [];
const NO_FLIGHTS: Flight[] = [];
const NO_REPEATS: Repeat[] = [];
const NO_OFFSETS: number[] = [];

/** What others see of a lane's backlog. */
export type BacklogView = Pick<Backlog, "queued" | "size" | "hasNext" | "beyond">;

export class Backlog {
  /** The first `#head` places are empty, so that departed messages do not stay in memory. */
  #queue: (Message | undefined)[] = NO_MESSAGES;
  #head = 0;
  #flights: Flight[] = NO_FLIGHTS;
  /** Messages that wait to be sent again, in the order of the log. */
  #repeats: Repeat[] = NO_REPEATS;
  /** Offsets that are done beyond the contiguous prefix. */
  #beyond: number[] = NO_OFFSETS;

  get queued(): number {
    return this.#queue.length - this.#head;
  }
  get inFlight(): number {
    return this.#flights.length;
  }
  /** Messages that wait to be sent again. */
  get repeating(): number {
    return this.#repeats.length;
  }
  /** Messages that are not done. */
  get size(): number {
    return this.queued + this.#flights.length + this.#repeats.length;
  }
  /** A message is not in flight, and so may be sent. */
  get hasNext(): boolean {
    return this.#queue.length > this.#head || this.#repeats.length > 0;
  }
  get isEmpty(): boolean {
    return this.size === 0 && this.#beyond.length === 0;
  }
  get beyond(): readonly number[] {
    return this.#beyond;
  }

  /** The offset of the first message that is not done; Infinity if there is none. */
  get first(): number {
    let first = Math.min(this.#headOffset, this.#repeatOffset);
    for (const flight of this.#flights) first = Math.min(first, flight.message.offset);
    return first;
  }

  /** Whether the message at this offset is done, in flight or waits to be sent again. Does not look into the queue. */
  knows(offset: number): boolean {
    const isIt = (one: Repeat) => one.message.offset === offset;
    return this.#beyond.includes(offset) || this.#flights.some(isIt) || this.#repeats.some(isIt);
  }

  push(message: Message): void {
    if (this.#queue === NO_MESSAGES) this.#queue = [message];
    else this.#queue.push(message);
  }

  /**
   * Whether one more message may depart, as far as order and concurrency go. `unread`: the lane is still to read the log from this
   * offset on; Infinity on the tail.
   */
  hasRoom(concurrency: number, unread: number): boolean {
    if (this.#flights.length >= concurrency) return false;
    if (this.#beyond.length + this.#flights.length < MOST_BEYOND) return true;
    // No more offsets may be done beyond the prefix: only the message that the prefix waits for may go.
    const next = Math.min(this.#headOffset, this.#repeatOffset);
    return next < Infinity && next <= Math.min(unread, this.first);
  }

  /** Takes out the next message to send, which is in flight from now on; undefined if there is none. */
  depart(now: number, tried: Tried | undefined): Flight | undefined {
    let flight: Flight;
    // In the order of the log: a message may have failed before an earlier one was read again.
    if (this.#repeatOffset < this.#headOffset) {
      flight = this.#repeats[0]!;
      this.#repeats = sharedIfEmpty(this.#repeats.slice(1), NO_REPEATS);
    } else {
      const message = this.#queue[this.#head];
      if (message === undefined) return undefined;
      this.#shift();
      const known = tried?.offset === message.offset ? tried : undefined;
      flight = { message, ...triesOf(known ?? { ...UNTRIED, firstAt: now }) };
    }
    if (this.#flights === NO_FLIGHTS) this.#flights = [flight];
    else this.#flights.push(flight);
    return flight;
  }

  #shift(): void {
    this.#queue[this.#head++] = undefined;
    if (this.#head === this.#queue.length) {
      this.#queue = NO_MESSAGES;
      this.#head = 0;
    } else if (this.#head > MOST_EMPTY && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
  }

  has(flight: Flight): boolean {
    return this.#flights.includes(flight);
  }

  /** The flight is over and its message is done. `unread`: as in `hasRoom`. */
  done(flight: Flight, unread: number): void {
    this.#land(flight);
    const prefixEnd = Math.min(unread, this.first);
    const { offset } = flight.message;
    // A lane that reads the log may stand right before this message: the message is done, but will be read again.
    if (offset >= prefixEnd) {
      if (this.#beyond === NO_OFFSETS) this.#beyond = [offset];
      else this.#beyond.push(offset);
    } else if (this.#beyond.length > 0) {
      this.#beyond = sharedIfEmpty(this.#beyond.filter((beyond) => beyond >= prefixEnd), NO_OFFSETS);
    }
  }

  /** The flight is over and its message is to be sent again. */
  repeat(flight: Flight, failure: Failure): Repeat {
    this.#land(flight);
    const repeat = { message: flight.message, ...afterTry(flight, failure) };
    this.#repeats = [...this.#repeats, repeat].sort((one, other) => one.message.offset - other.message.offset);
    return repeat;
  }

  /** Drops everything before an offset. Returns the messages that were held; those in flight are not among them. */
  advance(next: number): Message[] {
    const isOver = ({ offset }: Message) => offset < next;
    const queued = this.#queuedMessages();
    const freed = [...this.#repeats.map(({ message }) => message), ...queued].filter(isOver);
    this.#queue = sharedIfEmpty(queued.filter((message) => !isOver(message)), NO_MESSAGES);
    this.#head = 0;
    this.#repeats = sharedIfEmpty(this.#repeats.filter(({ message }) => !isOver(message)), NO_REPEATS);
    this.#flights = sharedIfEmpty(this.#flights.filter(({ message }) => !isOver(message)), NO_FLIGHTS);
    this.#beyond = sharedIfEmpty(this.#beyond.filter((offset) => offset >= next), NO_OFFSETS);
    return freed;
  }

  /** Drops everything that is not in flight. Returns the messages that were held. */
  drop(): Message[] {
    const held = [...this.#repeats.map(({ message }) => message), ...this.#queuedMessages()];
    this.#repeats = NO_REPEATS;
    this.#queue = NO_MESSAGES;
    this.#head = 0;
    return held;
  }

  /** Takes over the offsets that a record says are done. */
  restore(beyond: readonly number[]): void {
    this.#beyond = sharedIfEmpty([...beyond], NO_OFFSETS);
  }

  get #headOffset(): number {
    return this.#queue[this.#head]?.offset ?? Infinity;
  }
  get #repeatOffset(): number {
    return this.#repeats.length === 0 ? Infinity : this.#repeats[0]!.message.offset;
  }

  #queuedMessages(): Message[] {
    // From `#head` on no place is empty.
    return this.#queue.slice(this.#head) as Message[];
  }

  #land(flight: Flight): void {
    const index = this.#flights.indexOf(flight);
    if (index < 0) return;
    if (this.#flights.length === 1) this.#flights = NO_FLIGHTS;
    else this.#flights.splice(index, 1);
  }
}

/** Shared by all lanes that have nothing in hand, so that a million quiet ones hold no backlog; it is never written to. */
export const EMPTY_BACKLOG = new Backlog();

const UNTRIED = { attempts: 0, refusals: 0, answered5xx: 0, answered500: 0 };

/** The tries alone, of an object that has more. */
export function triesOf({ attempts, refusals, answered5xx, answered500, firstAt }: Tries): Tries {
  return { attempts, refusals, answered5xx, answered500, firstAt };
}

/** The list, or the shared empty one in its place. */
function sharedIfEmpty<T>(list: T[], none: T[]): T[] {
  return list.length === 0 ? none : list;
}
