// How a lane that is behind comes up to the tail (A4.1): from the tail's memory if that reaches back to where the lane stands,
// else from the log, and never more than it has room for.
import type { ReadMessages } from "../../messages/read-messages.ts";
import type { Gap } from "../../log/log.ts";
import { CatchUp } from "./catch-up.ts";
import type { Lane } from "../lane/lane.ts";
import type { LaneMemory } from "./lane-memory.ts";
import type { Tail } from "../../messages/tail.ts";

export interface ReadingOptions {
  readonly tail: Tail;
  readonly memory: LaneMemory;
  readonly read: ReadMessages;
  /** Wall clock, ms. */
  readonly clock: () => number;
  /** The lane's position may have changed. */
  readonly moved: (lane: Lane) => void;
  /** A chunk from the log was offered to a lane. */
  readonly arrived: (lane: Lane) => void;
}

/** What is known of a stretch of the log that the tail's memory does not reach back to, when a shard's lanes join (A4.1). */
export interface Quiet {
  /** Per partition of `messages`: told up to here. */
  readonly until: readonly number[];
  /** Whether a topic may have a message in a partition between the shard's watermark and there. */
  mayHave(partition: number, topicId: string): boolean;
}

const MOST_QUEUED = 1_024;
const REFILL_BELOW = 64;

export class Reading {
  readonly #options: ReadingOptions;
  readonly #tail: Tail;
  readonly #memory: LaneMemory;
  readonly #catchUp: CatchUp;

  constructor(options: ReadingOptions) {
    const { tail, memory, read, moved, arrived } = options;
    this.#options = options;
    this.#tail = tail;
    this.#memory = memory;
    this.#catchUp = new CatchUp({
      read,
      mayTake: (lane) => this.#mayTake(lane),
      offer: (lane, message) => memory.take(lane, message),
      arrived: (lane) => {
        moved(lane);
        arrived(lane);
      },
      gap: (lane, gap: Gap) => {
        lane.addGap(gap);
        moved(lane);
      },
    });
  }

  /** Whether nothing of its topic stands between its position and the tail, as memory and `quiet` say. */
  hasNothing({ partition, topicId, readFrom, fresh }: Lane, quiet: Quiet | undefined): boolean {
    if (!fresh || this.#tail.has(partition, topicId, readFrom)) return false;
    const reach = this.#tail.reachesTo(partition);
    if (readFrom >= reach) return true;
    return quiet !== undefined && quiet.until[partition]! >= reach && !quiet.mayHave(partition, topicId);
  }

  /** Whether a lane on the tail has room in its queue. */
  hasRoom(lane: Lane): boolean {
    return lane.backlog.queued < MOST_QUEUED;
  }

  /** Whether a lane has so little in hand that it is to read on. */
  isLow(lane: Lane): boolean {
    return lane.backlog.queued < REFILL_BELOW;
  }

  /** Goes on reading where the lane stopped, or waits for the memory to do so. */
  resume(lane: Lane): void {
    if (lane.onTail) return lane.joinTail();
    if (this.#catchUp.isWaiting(lane) || !this.#mayRead(lane)) return;
    if (this.#memory.isShort) this.#memory.wait(lane);
    else this.#read(lane);
  }

  /** A lane that waited for memory, and has read on now; undefined if there is none, or no memory. */
  feed(): Lane | undefined {
    const lane = this.#memory.next();
    if (lane !== undefined) this.#read(lane);
    return lane;
  }

  /** The lane reads no more. */
  forget(lane: Lane): void {
    this.#memory.forget(lane);
    this.#catchUp.forget(lane);
  }

  close(): Promise<void> {
    return this.#catchUp.close();
  }

  /** Whether a lane that is behind may take one more message now. */
  #mayTake(lane: Lane): boolean {
    return this.#mayRead(lane) && !this.#memory.isFull;
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
        return !lane.busy && lane.health.notBefore <= this.#options.clock();
      default:
        return this.hasRoom(lane);
    }
  }

  #read(lane: Lane): void {
    if (lane.onTail || this.#catchUp.isWaiting(lane) || !this.#mayRead(lane)) return;
    const recent = this.#tail.recent(lane.partition, lane.readFrom);
    if (recent === undefined) return this.#catchUp.want(lane);
    for (const message of recent) {
      if (message.topicId !== lane.topicId || message.offset < lane.readFrom) continue;
      if (!this.#mayTake(lane)) {
        // Stops before this one: what is left is read when there is room.
        lane.readUpTo(message.offset);
        if (this.#mayRead(lane)) this.#memory.wait(lane);
        return;
      }
      this.#memory.take(lane, message);
    }
    // One synchronous step: all before the tail's next offset is in hand or done, and all from it on will be offered.
    lane.joinTail();
    this.#catchUp.forget(lane);
    this.#options.moved(lane);
  }
}
