// The catch-up reader serves lanes that are behind in turn, one chunk each (A4.2), requester by requester (ARCHITECTURE §4 "Fair shares"):
// ten thousand lanes of one are not felt by the lanes of another. Every lane that is behind and has room joins if the
// chunk crosses its position, also if it has not asked: if a hundred lanes miss the same messages, one reads and all hold the same
// objects. A full lane leaves and asks again when it has room.
import { getLogger } from "@logtape/logtape";
import { pause } from "../../../shared/pause.ts";
import type { Place } from "../../../shared/shares/accounts.ts";
import { FairShares } from "../../../shared/shares/fair-shares.ts";
import type { Claim } from "../../../shared/shares/standing.ts";
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
/** How often it looks whether the pause of a partition is over, if no other lane waits. */
const LOOK_MS = 50;

/** A lane that may have the next chunk. */
interface Turn {
  readonly lane: Lane;
  readonly place: Place;
}

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
  /** Lanes that have asked, and as whose. */
  readonly #waiting = new Map<Lane, Claim>();
  /** Whose turn it is. Lanes of a partition that could not be read have turns of their own, as failing ones. */
  readonly #turns: FairShares<Lane>;
  #turn: Turn | undefined;
  #failingTurn: Turn | undefined;
  /** The turn under way. */
  #served: Turn | undefined;
  /** Partitions that could not be read, and when; monotonic ms. */
  readonly #failed = new Map<number, number>();
  /** The waiting lanes, and lanes that were offered a chunk and have not reached the tail. */
  readonly #behind = new Set<Lane>();
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(options: CatchUpOptions) {
    this.#options = options;
    this.#turns = new FairShares<Lane>({
      most: 2,
      of: { proven: 1, slow: 0, new: 0, failing: 1 },
      isWoken: true,
      onTurn: (lane, place) => {
        this.#give({ lane, place });
        return true;
      },
    });
  }

  /** The lane asks for messages from its `readFrom` on; `arrived` follows. To ask again meanwhile changes nothing. */
  want(lane: Lane): void {
    if (this.#closed) return;
    this.#behind.add(lane);
    if (!this.#waiting.has(lane)) this.#enter(lane);
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
    this.#leave(lane);
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
      const turn = this.#next();
      if (turn === undefined) {
        await pause(LOOK_MS);
        continue;
      }
      const { lane } = turn;
      const claim = this.#waiting.get(lane);
      this.#served = turn;
      try {
        await this.#serve(lane);
        this.#failed.delete(lane.partition);
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
        this.#postpone(lane.partition);
      } finally {
        this.#served = undefined;
        // It waits again if it was not served.
        if (claim !== undefined && this.#waiting.get(lane) === claim) this.#enter(lane);
        this.#end(turn);
      }
    }
  }

  /** A partition that cannot be read lets the other partitions go first. */
  #postpone(partition: number): void {
    this.#failed.set(partition, performance.now());
    // A lane that leaves and enters again comes last: a walk over the map itself would not end.
    for (const lane of Array.from(this.#waiting.keys())) {
      if (lane.partition !== partition || this.#turn?.lane === lane || this.#failingTurn?.lane === lane) continue;
      this.#leave(lane);
      this.#enter(lane);
    }
  }

  /** Whose turn it is: a lane of a partition that could not be read, after a pause; else another. */
  #next(): Turn | undefined {
    this.#turns.wake();
    const failing = this.#failingTurn;
    if (failing !== undefined) {
      const failedAt = this.#failed.get(failing.lane.partition);
      if (failedAt === undefined || performance.now() - failedAt >= PAUSE_AFTER_ERROR_MS) return failing;
    }
    return this.#turn;
  }

  #give(turn: Turn): void {
    if (turn.place.standing === "failing") this.#failingTurn = turn;
    else this.#turn = turn;
  }

  #end(turn: Turn): void {
    if (this.#turn === turn) this.#turn = undefined;
    if (this.#failingTurn === turn) this.#failingTurn = undefined;
    this.#turns.leave(turn.place);
  }

  #enter(lane: Lane): void {
    const standing = this.#failed.has(lane.partition) ? "failing" : "proven";
    const claim: Claim = { requester: lane.target.requester, host: "", standing };
    this.#waiting.set(lane, claim);
    const place = this.#turns.enter(claim, lane);
    if (place !== undefined) this.#give({ lane, place });
  }

  /** The lane no longer waits. */
  #leave(lane: Lane): void {
    const claim = this.#waiting.get(lane);
    if (claim === undefined) return;
    this.#waiting.delete(lane);
    this.#turns.forget(claim, lane);
    // While it is served, its turn ends with that.
    for (const turn of [this.#turn, this.#failingTurn]) {
      if (turn?.lane === lane && turn !== this.#served) this.#end(turn);
    }
  }

  /** Reads one chunk from the first lane's position; other lanes of its partition join. */
  async #serve(first: Lane): Promise<void> {
    // A lane that has no room when its turn comes asks again when it has.
    if (!this.#options.mayReceive(first)) {
      this.#leave(first);
      return this.#options.arrived(first);
    }
    const from = first.readFrom;
    const { partition } = first;
    const keys = new Set<string>();
    for (const lane of this.#waiting.keys()) if (lane.partition === partition) keys.add(lane.topicId);
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
      this.#leave(lane);
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
