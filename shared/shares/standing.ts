// What a claim is judged by (ARCHITECTURE §4 "Fair shares"): who asks, which host it is about, and how that has gone so far.

/**
 * How well a claim's work has gone. `proven`: it ended well and fast last time. `slow`: well, but slowly. `new`: it has not ended well yet,
 * or failed once since it did. `failing`: it failed more often than that.
 */
export type Standing = "proven" | "slow" | "new" | "failing";

/** In the order in which free places are given. */
export const STANDINGS = ["proven", "slow", "new", "failing"] as const satisfies readonly Standing[];

export interface Claim {
  /** A client or an address (shared/shares/requester.ts). */
  readonly requester: string;
  /** The host that the work is about (`hostOf`); "" where it is about none. */
  readonly host: string;
  readonly standing: Standing;
}
