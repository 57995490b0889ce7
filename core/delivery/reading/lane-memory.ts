// May this lane read on? What lanes hold is bounded (§6.7): each lane by its state and the length of its queue, all together by bytes.
// Lanes that find the memory full wait here, and the lanes that have held messages for longest let go of them.
import type { Lane } from "../lane/lane.ts";
import { type Message, sizeOf } from "../../messages/message.ts";

export interface LaneMemoryOptions {
  /** The most bytes that all lanes hold together. */
  readonly most: number;
  /** The offset that the tail offers next in a partition. */
  readonly tailNext: (partition: number) => number;
  /** Wall clock, ms. */
  readonly clock: () => number;
}

/** The most messages in a lane's queue. */
const MOST_QUEUED = 1_024;
/** A lane with fewer messages in its queue reads on. */
const REFILL_BELOW = 64;
/** Lanes let go until no more than this part of the bound is taken. */
const ENOUGH_FREED = 7 / 8;

export class LaneMemory {
  readonly #options: LaneMemoryOptions;
  /** Lanes that hold messages which are not in flight; those that have held some for longest come first. */
  readonly #holding = new Set<Lane>();
  /** Lanes that want to read and wait for memory, in the order in which they asked. */
  readonly #starved = new Set<Lane>();
  #bytes = 0;

  constructor(options: LaneMemoryOptions) {
    this.#options = options;
  }

  get bytes(): number {
    return this.#bytes;
  }
  get #isFull(): boolean {
    return this.#bytes >= this.#options.most;
  }
  /** Whether a lane that wants memory has to wait. */
  get isShort(): boolean {
    return this.#starved.size > 0 || this.#isFull;
  }

  /** Whether the lane has so little in its queue that it is to read on. */
  isLow(lane: Lane): boolean {
    return lane.backlog.queued < REFILL_BELOW;
  }

  /** Whether a lane that is behind may read on, if there is memory. */
  mayRead(lane: Lane): boolean {
    switch (lane.state) {
      case "ended":
      case "expired":
        return false;
      case "backingOff":
        // A lane that backs off would only hold what it reads.
        return false;
      case "parked":
        // A parked lane holds only the message that it is probed with.
        return !lane.busy && lane.health.notBefore <= this.#options.clock();
      default:
        return lane.backlog.queued < MOST_QUEUED;
    }
  }

  /** Whether a lane that is behind may receive one more message now. */
  mayReceive(lane: Lane): boolean {
    return this.mayRead(lane) && !this.#isFull;
  }

  /** Whether a lane on the tail may receive this message. A message that another lane holds takes no more memory. */
  mayBeOffered(lane: Lane, message: Message): boolean {
    return lane.backlog.queued < MOST_QUEUED && (message.holders > 0 || !this.#isFull);
  }

  /** Gives the lane a message that was read or offered; it may have it already. */
  give(lane: Lane, message: Message): void {
    if (!lane.receive(message)) return;
    if (message.holders++ === 0) this.#bytes += sizeOf(message);
    this.#holding.add(lane);
  }

  /** A lane no longer holds this message. */
  release(message: Message): void {
    if (--message.holders === 0) this.#bytes -= sizeOf(message);
  }

  /** A message in flight is held again: it is to be sent again. */
  keeps(lane: Lane): void {
    this.#holding.add(lane);
  }

  /** The lane let go of something: it no longer counts if only what is in flight is left. */
  settle(lane: Lane): void {
    if (!lane.backlog.hasNext) this.#holding.delete(lane);
  }

  /** The lane has let go of these messages. */
  free(lane: Lane, messages: readonly Message[]): void {
    for (const message of messages) this.release(message);
    this.settle(lane);
  }

  /** The lane lets go of everything that is not in flight; it is read again from the log. */
  drop(lane: Lane): void {
    this.free(lane, lane.drop(this.#options.tailNext(lane.partition)));
  }

  /** The lane waits for memory to read on. */
  wait(lane: Lane): void {
    this.#starved.add(lane);
  }
  /** The lane no longer waits. */
  forget(lane: Lane): void {
    this.#starved.delete(lane);
  }
  /** The lane that has waited longest, if there is memory for it; it no longer waits. */
  next(): Lane | undefined {
    if (this.#starved.size === 0 || this.#isFull) return undefined;
    const [lane] = this.#starved;
    this.#starved.delete(lane!);
    return lane;
  }

  /** If the memory is full and others wait, the lanes that have held some for longest let go of it. Returns them. */
  reclaim(): Lane[] {
    const dropped: Lane[] = [];
    if (this.#starved.size === 0 || !this.#isFull) return dropped;
    const enough = this.#options.most * ENOUGH_FREED;
    for (const lane of this.#holding) {
      if (this.#bytes <= enough) break;
      this.drop(lane);
      dropped.push(lane);
    }
    return dropped;
  }
}
