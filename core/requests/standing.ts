// Where a live subscription stands: its lane says it if it runs here, else its last checkpoint (A4.3).
import type { Tried } from "../delivery/lane/backlog.ts";
import { decodeHealth, WELL } from "../delivery/lane/health.ts";
import type { Ownership } from "../shards/ownership.ts";
import type { Tail } from "../messages/tail.ts";
import type { CursorRecord } from "../state/records.ts";
import type { Log } from "../log/log.ts";
import type { Replica } from "../replica/replica.ts";
import type { KnownSubscription } from "./admission.ts";

export interface Standing {
  /** Everything before this offset of the topic's partition is done. */
  readonly position: number;
  /** Offsets beyond it that are done too. */
  readonly beyond: readonly number[];
  readonly parked: boolean;
  /** "": nothing failed since the last success. */
  readonly lastError: string;
  /** The message that failed last and is not done. */
  readonly failed: Tried | undefined;
  readonly gaps: CursorRecord["gaps"];
}

export interface StandingOptions {
  readonly log: Pick<Log, "partitionOf">;
  readonly replica: Pick<Replica, "watermark" | "cursor">;
  readonly ownership: Pick<Ownership, "shardOf">;
  readonly tail: Pick<Tail, "next">;
}

/** The standing of a subscription that is active or expired. */
export type StandingOf = (subscription: KnownSubscription) => Promise<Standing>;

export function createStandingOf({ log, replica, ownership, tail }: StandingOptions): StandingOf {
  return async ({ id, topic, record }) => {
    const lane = ownership.shardOf(id)?.book.lane(id);
    if (lane !== undefined && lane.life === record.life) {
      return {
        position: lane.position(tail.next(topic.partition)),
        beyond: lane.backlog.beyond,
        parked: lane.state === "parked",
        lastError: lane.health.lastError,
        failed: lane.health.failed,
        gaps: lane.gaps,
      };
    }
    // The watermark is read before the record: a later watermark might already rely on a record that was written in between.
    const watermark = replica.watermark(log.partitionOf("subscriptions", id), topic.partition) ?? 0;
    const kept = await replica.cursor(id);
    const { position = Math.max(watermark, record.start), beyond = [], health: recorded } = kept?.life === record.life
      ? kept
      : {};
    const health = recorded === undefined ? WELL : decodeHealth(recorded);
    return {
      position,
      beyond,
      parked: recorded?.parked === true,
      lastError: health.lastError,
      failed: health.failed,
      gaps: kept?.gaps,
    };
  };
}
