// What all lanes hold together is bounded (§6.7): who holds how much, who waits for some, and who lets go when all is taken.
import type { Lane } from "../lane/lane.ts";
import { type Message, sizeOf } from "../../messages/message.ts";

export interface LaneMemoryOptions {
  /** Bound of all that lanes hold, bytes. */
  readonly most: number;
  /** What the tail offers next of a partition. */
  readonly tailNext: (partition: number) => number;
}

export class LaneMemory {
  readonly #options: LaneMemoryOptions;
  /** Lanes that hold more than what is in flight, the longest first. */
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
  get isFull(): boolean {
    return this.#bytes >= this.#options.most;
  }
  /** Somebody waits already, or would have to. */
  get isShort(): boolean {
    return this.#starved.size > 0 || this.isFull;
  }

  take(lane: Lane, message: Message): void {
    if (!lane.take(message)) return;
    if (message.holders++ === 0) this.#bytes += sizeOf(message);
    this.#holding.add(lane);
  }

  /** A lane has this message no more. */
  release(message: Message): void {
    if (--message.holders === 0) this.#bytes -= sizeOf(message);
  }

  /** A message in flight is held again, to be repeated. */
  keeps(lane: Lane): void {
    this.#holding.add(lane);
  }

  /** A lane let go of something: it counts no more if only what is in flight is left. */
  settle(lane: Lane): void {
    if (!lane.backlog.hasNext) this.#holding.delete(lane);
  }

  /** The lane lets go of all that is not in flight; it is read again from the log. */
  drop(lane: Lane): void {
    this.free(lane, lane.drop(this.#options.tailNext(lane.partition)));
  }

  /** The lane has let go of these. */
  free(lane: Lane, messages: readonly Message[]): void {
    for (const message of messages) this.release(message);
    this.settle(lane);
  }

  /** The lane waits for memory to read on. */
  wait(lane: Lane): void {
    this.#starved.add(lane);
  }
  /** The lane does not wait any more. */
  forget(lane: Lane): void {
    this.#starved.delete(lane);
  }
  /** Whose turn it is to read, now that there is room; undefined if nobody waits or there is none. */
  next(): Lane | undefined {
    if (this.#starved.size === 0 || this.isFull) return undefined;
    const [lane] = this.#starved;
    this.#starved.delete(lane!);
    return lane;
  }

  /** Where all is taken while others wait, lanes that have held some for longest let go of it. Returns them. */
  reclaim(): Lane[] {
    const dropped: Lane[] = [];
    if (this.#starved.size === 0 || !this.isFull) return dropped;
    const enough = this.#options.most * 7 / 8;
    for (const lane of this.#holding) {
      if (this.#bytes <= enough) break;
      this.drop(lane);
      dropped.push(lane);
    }
    return dropped;
  }
}
