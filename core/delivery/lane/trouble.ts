// What only a lane has that fails, has gaps, or delivers several messages at once: most have none of it, and a million of those
// share one (ARCHITECTURE §4).
import type { LaneHealth } from "../../state/records.ts";
import type { Message } from "../../messages/message.ts";

/** A message that failed and waits to be sent again. */
export interface Repeat {
  readonly message: Message;
  /** Attempts so far, and those of them that were refused for what the message is. */
  readonly attempts: number;
  readonly refusals: number;
  /** When the first attempt began, ms. */
  readonly firstAt: number;
}

/** What is known of the message that failed last, if the queue was dropped since. */
export type Failed = Omit<LaneHealth, "parked" | "failingSince" | "failures" | "lastError">;

export interface Trouble {
  /** Attempts in a row that failed, and since when, ms. */
  failures: number;
  failingSince: number;
  lastError: string;
  notBefore: number;
  suspect: boolean;
  gaps: readonly { readonly from: number; readonly to: number }[] | undefined;
  repeats: Repeat[];
  /** Offsets that are done beyond the contiguous prefix (concurrency above 1). */
  beyond: number[];
  failed: Failed | undefined;
}

export const NO_REPEATS: Repeat[] = [];
export const NO_OFFSETS: number[] = [];

export const createTrouble = (): Trouble => ({
  failures: 0,
  failingSince: 0,
  lastError: "",
  notBefore: 0,
  suspect: false,
  gaps: undefined,
  repeats: NO_REPEATS,
  beyond: NO_OFFSETS,
  failed: undefined,
});
/** What a lane has that is well; never written to. */
export const NONE: Trouble = Object.freeze(createTrouble());

/** Whether a lane with this is well again. */
export function isNone(trouble: Trouble): boolean {
  return trouble.failures === 0 && trouble.failingSince === 0 && trouble.lastError === "" && trouble.notBefore === 0 &&
    !trouble.suspect && trouble.gaps === undefined && trouble.repeats === NO_REPEATS && trouble.beyond === NO_OFFSETS &&
    trouble.failed === undefined;
}
