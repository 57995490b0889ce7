// What lanes tell the owner of their shard, who writes what must be durable: positions, ends, dead letters.
import type { DeadLetter } from "../../state/records.ts";
import type { Lane } from "./lane.ts";

/** Called in the middle of a step: note it, do not act. */
export interface LaneOwner {
  /** The lane's position or health may have changed. */
  moved(lane: Lane): void;
  /** Answered 410. */
  gone(lane: Lane): void;
  /** Found over its lease when an attempt was to start. */
  leaseOver(lane: Lane): void;
  /** Given up: the position moves past it in the same batch that writes this. */
  deadLetter(lane: Lane, letter: DeadLetter): void;
}
