// How the lanes of this process get their messages (A4.1): on the tail they are offered each message of their topic; a lane that is
// behind reads up to the tail, from the tail's memory if that reaches back far enough, else from the log.
import type { ReadMessages } from "../../messages/read-messages.ts";
import type { Gap } from "../../log/log.ts";
import { CatchUp } from "./catch-up.ts";
import type { Lane } from "../lane/lane.ts";
import type { LaneMemory } from "./lane-memory.ts";
import type { Message } from "../../messages/message.ts";
import type { Tail } from "../../messages/tail.ts";

export interface ReadingOptions {
  readonly tail: Tail;
  readonly memory: LaneMemory;
  readonly read: ReadMessages;
  /** The lane's position may have changed. */
  readonly moved: (lane: Lane) => void;
  /** The lane may have something to send. */
  readonly ready: (lane: Lane) => void;
  /** The lane was offered a chunk from the log. */
  readonly arrived: (lane: Lane) => void;
  /** The lane is over. */
  readonly left: (lane: Lane) => void;
}

/**
 * Which topics have no message between a shard's watermarks and the tail. The shard's lanes join by it (A4.1), since the tail's memory
 * may not reach back so far.
 */
export interface QuietTopics {
  /** Per partition of `messages`: the offset up to which this is known. */
  readonly until: readonly number[];
  /** Whether a topic may have a message in a partition from the shard's watermark up to that offset. */
  mayHave(partition: number, topicId: string): boolean;
}

const NO_LANES: ReadonlySet<Lane> = new Set();

export class Reading {
  readonly #options: ReadingOptions;
  readonly #tail: Tail;
  readonly #memory: LaneMemory;
  readonly #catchUp: CatchUp;
  readonly #byTopic = new Map<string, Set<Lane>>();

  constructor(options: ReadingOptions) {
    const { tail, memory, read, moved, arrived } = options;
    this.#options = options;
    this.#tail = tail;
    this.#memory = memory;
    this.#catchUp = new CatchUp({
      read,
      mayReceive: (lane) => memory.mayReceive(lane),
      offer: (lane, message) => memory.give(lane, message),
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

  close(): Promise<void> {
    return this.#catchUp.close();
  }

  // ── which lanes there are ──────────────────────────────────────────────────────────────────────────────────────────

  add(lane: Lane): void {
    const lanes = this.#byTopic.get(lane.topicId);
    if (lanes === undefined) this.#byTopic.set(lane.topicId, new Set([lane]));
    else lanes.add(lane);
  }

  /** The lease is over: no attempt starts; the outcomes of attempts in flight still count. */
  expire(lane: Lane): void {
    lane.expire();
    this.#remove(lane);
  }

  /** The subscription ended: no attempt starts, and the outcomes of attempts in flight move nothing. */
  end(lane: Lane): void {
    lane.end();
    this.#remove(lane);
  }

  #remove(lane: Lane): void {
    this.#memory.drop(lane);
    this.#memory.forget(lane);
    this.#catchUp.forget(lane);
    this.#options.left(lane);
    const lanes = this.#byTopic.get(lane.topicId);
    lanes?.delete(lane);
    if (lanes?.size === 0) this.#byTopic.delete(lane.topicId);
  }

  // ── on the tail ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The tail's next message, for the lanes of its topic; each step offers it to one lane more. */
  *offer(message: Message): Iterable<void> {
    for (const lane of this.#byTopic.get(message.topicId) ?? NO_LANES) {
      yield lane.onTail ? this.#offerTo(lane, message) : undefined;
    }
  }

  #offerTo(lane: Lane, message: Message): void {
    if (this.#memory.mayBeOffered(lane, message)) this.#memory.give(lane, message);
    else {
      // The lane reads the log from here on, as soon as it has room.
      lane.leaveTail(message.offset);
      this.refill(lane);
    }
    this.#options.ready(lane);
    this.#options.moved(lane);
  }

  /** Retention removed records before the tail offered them (A4.5). */
  skipped(partition: number, gap: Gap): void {
    for (const lanes of this.#byTopic.values()) {
      for (const lane of lanes) {
        if (!lane.onTail || lane.partition !== partition || lane.readFrom >= gap.to) continue;
        lane.addGap({ from: Math.max(gap.from, lane.readFrom), to: gap.to });
        this.#options.moved(lane);
      }
    }
  }

  // ── up to the tail ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** Joins the tail at once if nothing of the topic stands between it and the lane's position, as memory and `quiet` say. */
  joinIfQuiet(lane: Lane, quiet: QuietTopics | undefined): boolean {
    const isQuiet = this.#isQuiet(lane, quiet);
    if (isQuiet) lane.joinTail();
    return isQuiet;
  }

  #isQuiet({ partition, topicId, readFrom, fresh }: Lane, quiet: QuietTopics | undefined): boolean {
    if (!fresh || this.#tail.has(partition, topicId, readFrom)) return false;
    const reach = this.#tail.reachesTo(partition);
    if (readFrom >= reach) return true;
    return quiet !== undefined && quiet.until[partition]! >= reach && !quiet.mayHave(partition, topicId);
  }

  /** Reads on if the lane has little in hand. */
  refill(lane: Lane): void {
    if (this.#memory.isLow(lane)) this.resume(lane);
  }

  /** Reads on where the lane stopped, or lets it wait for memory. */
  resume(lane: Lane): void {
    // The lane never left the tail: only its pause is over, or it was renewed.
    if (lane.onTail) return lane.joinTail();
    if (this.#catchUp.isWaiting(lane) || !this.#memory.mayRead(lane)) return;
    if (this.#memory.admit(lane)) this.#read(lane);
  }

  /** A lane that waited for memory reads on. */
  feed(lane: Lane): void {
    this.#read(lane);
    this.#options.ready(lane);
  }

  #read(lane: Lane): void {
    if (lane.onTail || this.#catchUp.isWaiting(lane) || !this.#memory.mayRead(lane)) return;
    const recent = this.#tail.recent(lane.partition, lane.readFrom);
    if (recent === undefined) return this.#catchUp.want(lane);
    for (const message of recent) {
      if (message.topicId !== lane.topicId || message.offset < lane.readFrom) continue;
      if (!this.#memory.mayReceive(lane)) {
        // The lane stops before this message and reads the rest when it has room.
        lane.readUpTo(message.offset);
        if (this.#memory.mayRead(lane)) this.#memory.admit(lane);
        return;
      }
      this.#memory.give(lane, message);
    }
    // One synchronous step: the lane has everything before the tail's next offset, and will be offered everything from there on.
    lane.joinTail();
    this.#catchUp.forget(lane);
    this.#options.moved(lane);
  }
}
