// The catch-up reader serves lanes that are behind in turn, one chunk each (A4.2). Every lane that is behind and has room joins if the
// chunk crosses its position, also if it has not asked: if a hundred lanes miss the same messages, one reads and all hold the same
// objects. A full lane leaves and asks again when it has room.
import { getLogger } from "@logtape/logtape";
import { pause } from "../../../shared/pause.ts";
import type { ReadMessages } from "../../messages/read-messages.ts";
import { type Gap, LogError } from "../../log/log.ts";
import { nextTurn, TURN_MS } from "../../../shared/turn.ts";
import type { Lane } from "../lane/lane.ts";
import type { Message } from "../../messages/message.ts";

const logger = getLogger(["tidings", "core", "catch-up"]);
const CHUNK_BYTES = 1024 * 1024;
/** If lanes of more topics wait, the reader reads whole chunks and sorts out their messages itself. */
const MOST_KEYS = 500;
const PAUSE_AFTER_ERROR_MS = 500;

export interface CatchUpOptions {
  readonly read: ReadMessages;
  /** Whether the lane may receive one more message now. */
  readonly mayReceive: (lane: Lane) => boolean;
  readonly offer: (lane: Lane, message: Message) => void;
  /** The lane was offered a chunk; it may want another. */
  readonly arrived: (lane: Lane) => void;
  readonly gap: (lane: Lane, gap: Gap) => void;
}

export class CatchUp {
  readonly #options: CatchUpOptions;
  /** Lanes that have asked, in that order. */
  readonly #waiting = new Set<Lane>();
  /** The waiting lanes, and lanes that were offered a chunk and have not reached the tail. */
  readonly #behind = new Set<Lane>();
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(options: CatchUpOptions) {
    this.#options = options;
  }

  /** The lane asks for messages from its `readFrom` on; `arrived` follows. To ask again meanwhile changes nothing. */
  want(lane: Lane): void {
    if (this.#closed) return;
    this.#waiting.add(lane);
    this.#behind.add(lane);
    this.#start();
  }

  #start(): void {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#waiting.size > 0) this.#start();
    });
  }

  /** The lane is at the tail, or ended: the reader leaves it out, and `arrived` does not follow. */
  forget(lane: Lane): void {
    this.#waiting.delete(lane);
    this.#behind.delete(lane);
  }

  /** Whether the lane has asked, and was offered no chunk since. */
  isWaiting(lane: Lane): boolean {
    return this.#waiting.has(lane);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#waiting.clear();
    this.#behind.clear();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#closed && this.#waiting.size > 0) {
      const [first] = this.#waiting;
      try {
        await this.#serve(first!);
        // The embedded log reads synchronously: attempts and answers have their turn between two chunks.
        await nextTurn();
      } catch (error) {
        if (this.#closed) return;
        if (error instanceof LogError && error.code === "closed") {
          this.#closed = true;
          this.#waiting.clear();
          return;
        }
        logger.warn("Cannot read the log to catch up: {error}", { error });
        this.#postpone(first!.partition);
        await pause(PAUSE_AFTER_ERROR_MS);
      }
    }
  }

  /** A partition that cannot be read lets the other partitions go first. */
  #postpone(partition: number): void {
    const waiting = [...this.#waiting];
    for (const lane of waiting) {
      if (lane.partition !== partition) continue;
      this.#waiting.delete(lane);
      this.#waiting.add(lane);
    }
  }

  /** Reads one chunk from the first lane's position; other lanes of its partition join. */
  async #serve(first: Lane): Promise<void> {
    // A lane that has no room when its turn comes asks again when it has.
    if (!this.#options.mayReceive(first)) {
      this.#waiting.delete(first);
      return this.#options.arrived(first);
    }
    const from = first.readFrom;
    const { partition } = first;
    const keys = new Set<string>();
    for (const lane of this.#waiting) if (lane.partition === partition) keys.add(lane.topicId);
    const chunk = await this.#options.read(partition, from, {
      maxBytes: CHUNK_BYTES,
      ...(keys.size <= MOST_KEYS ? { keys } : {}),
    });
    const byTopic = Map.groupBy(chunk.messages, ({ topicId }) => topicId);
    let turn = performance.now();
    // A copy: a lane that is fed and asks for more waits for the next chunk.
    const behind = [...this.#behind];
    for (const lane of behind) {
      // A lane waits, too, if this read did not ask for its topic.
      if (!this.#behind.has(lane) || lane.partition !== partition || !keys.has(lane.topicId)) continue;
      if (lane.readFrom < from || lane.readFrom > chunk.next) continue;
      if (!this.#waiting.has(lane) && (lane.readFrom === chunk.next || !this.#options.mayReceive(lane))) continue;
      this.#waiting.delete(lane);
      this.#feed(lane, byTopic.get(lane.topicId) ?? [], chunk.next, chunk.gap);
      if (performance.now() - turn < TURN_MS) continue;
      await nextTurn();
      turn = performance.now();
    }
  }

  #feed(lane: Lane, messages: readonly Message[], next: number, gap: Gap | undefined): void {
    // Retention overtook the lane: the gap is recorded (A4.5).
    if (gap !== undefined && lane.readFrom < gap.to) {
      this.#options.gap(lane, { from: lane.readFrom, to: gap.to });
      lane.readUpTo(gap.to);
    }
    for (const message of messages) {
      if (message.offset < lane.readFrom) continue;
      if (!this.#options.mayReceive(lane)) return this.#options.arrived(lane);
      this.#options.offer(lane, message);
    }
    lane.readUpTo(next);
    this.#options.arrived(lane);
  }
}
