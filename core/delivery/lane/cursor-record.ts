// What the log keeps of a lane (A4.3): a record while the lane is not done up to its shard's watermark. It has the lane's position,
// what is done beyond it, its gaps (A4.5) and its health.
import type { Gap } from "../../log/log.ts";
import type { CursorRecord } from "../../state/records.ts";
import { encodeHealth, type Health } from "./health.ts";
import type { LaneState } from "./lane-transitions.ts";

/** The most gaps that are kept of a lane. */
export const MOST_GAPS = 256;

/** The parts of a lane that its record is made of. */
export interface RecordedLane {
  readonly life: number;
  readonly state: LaneState;
  readonly onTail: boolean;
  readonly backlog: { readonly beyond: readonly number[] };
  readonly gaps: readonly Gap[] | undefined;
  readonly health: Readonly<Health>;
  /** Everything before this offset is done. */
  position(tailNext: number): number;
}

/**
 * The record of a lane; undefined if the watermark says everything. `tailNext`: the offset that the tail offers next. The watermark
 * can be ahead of it only in a process that has just begun.
 */
export function recordOf(lane: RecordedLane, tailNext: number, watermark: number): CursorRecord | undefined {
  const { life, gaps, health: now } = lane;
  const position = lane.position(tailNext);
  const beyond = lane.backlog.beyond.filter((offset) => offset >= position);
  const health = encodeHealth(now, lane.state === "parked");
  const isQuiet = lane.onTail && position === watermark && beyond.length === 0;
  if (isQuiet && health === undefined && gaps === undefined && lane.state !== "expired") return undefined;
  return {
    life,
    position,
    ...(beyond.length === 0 ? {} : { beyond }),
    ...(gaps === undefined ? {} : { gaps }),
    ...(health === undefined ? {} : { health }),
  };
}

/** The gaps with one more; neighbouring gaps become one. */
export function withGap(gaps: readonly Gap[] = [], { from, to }: Gap): readonly Gap[] {
  const all = [...gaps];
  const last = all.at(-1);
  if (last !== undefined && from <= last.to) {
    all[all.length - 1] = { from: Math.min(last.from, from), to: Math.max(last.to, to) };
  } else all.push({ from, to });
  // The record stays small: what lies between the two oldest then counts as missed too.
  if (all.length > MOST_GAPS) all.splice(0, 2, { from: all[0]!.from, to: all[1]!.to });
  return all;
}
