// The lanes of this process by topic, and how one leaves.
import type { Lane } from "../lane/lane.ts";
import type { LaneMemory } from "./lane-memory.ts";
import type { Reading } from "./reading.ts";

export interface LanesOptions {
  readonly memory: LaneMemory;
  readonly reading: Reading;
}

const NO_LANES: ReadonlySet<Lane> = new Set();

export class Lanes {
  readonly #options: LanesOptions;
  readonly #byTopic = new Map<string, Set<Lane>>();

  constructor(options: LanesOptions) {
    this.#options = options;
  }

  /** Those of a topic. */
  of(topicId: string): ReadonlySet<Lane> {
    return this.#byTopic.get(topicId) ?? NO_LANES;
  }

  *[Symbol.iterator](): Iterator<Lane> {
    for (const lanes of this.#byTopic.values()) yield* lanes;
  }

  add(lane: Lane): void {
    let lanes = this.#byTopic.get(lane.topicId);
    if (lanes === undefined) this.#byTopic.set(lane.topicId, lanes = new Set());
    lanes.add(lane);
  }

  /** The lease is over: nothing more starts; the outcomes of attempts in flight still count. */
  expire(lane: Lane): void {
    lane.expire();
    this.#remove(lane);
  }

  /** The subscription ended: nothing more starts, and the outcomes of attempts in flight move nothing. */
  end(lane: Lane): void {
    lane.end();
    this.#remove(lane);
  }

  #remove(lane: Lane): void {
    const { memory, reading } = this.#options;
    memory.drop(lane);
    reading.forget(lane);
    const lanes = this.#byTopic.get(lane.topicId);
    lanes?.delete(lane);
    if (lanes?.size === 0) this.#byTopic.delete(lane.topicId);
  }
}
