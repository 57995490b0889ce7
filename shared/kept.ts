// What many ask for and what costs something to find: it is found once at a time, and told again for a while.

import { Flights, type FlightsOptions } from "./flights.ts";

export interface KeptOptions {
  /** Monotonic ms. */
  readonly now: () => number;
  /** How long it is told again, ms. Default 1 s. */
  readonly keptMs?: number;
  /** How those who ask share the finding. */
  readonly flights?: FlightsOptions | undefined;
}

/** Yields what `find` found at most `keptMs` ago. If `find` rejects, whoever waits for it is told so, and the next one tries again. */
export function createKept<T>(
  find: () => Promise<T>,
  { now, keptMs = 1_000, flights }: KeptOptions,
): () => Promise<T> {
  const finding = new Flights<T>(flights);
  let kept: { readonly value: T; readonly until: number } | undefined;
  return async () => {
    if (kept !== undefined && now() < kept.until) return kept.value;
    return await finding.join("", async () => {
      const value = await find();
      kept = { value, until: now() + keptMs };
      return value;
    });
  };
}
