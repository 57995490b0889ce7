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

  /** Nothing more starts; what is in flight may still land. `ended` lanes forget its outcome, `expired` ones keep it. */
  remove(lane: Lane, how: "leaseOver" | "end"): void {
    const { memory, reading } = this.#options;
    lane.apply(how);
    if (how === "end") lane.epoch++;
    memory.drop(lane);
    reading.forget(lane);
    const lanes = this.#byTopic.get(lane.topicId);
    lanes?.delete(lane);
    if (lanes?.size === 0) this.#byTopic.delete(lane.topicId);
  }
}
