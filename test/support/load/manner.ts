// How subscribers under load answer deliveries: over HTTP in chaos, scenarios and benches, in virtual time in the simulation.

/**
 * `slow` answers just in time; `hanging` never answers; `cutting` ends the connection; `deaf` takes the message, but its answer is
 * lost; `down`: nothing listens.
 */
export type Manner = "well" | "slow" | "failing" | "refusing" | "gone" | "hanging" | "cutting" | "deaf" | "down";

/** Answers after which the hub gives a message up, if they come often enough (§6.2). */
const REFUSALS: readonly number[] = [400, 413, 415, 422];
/** Answers after which the hub tries again. */
export const FAILURES: readonly number[] = [500, 503, 429, 404, 401];

export function isDelivered(status: number | undefined): boolean {
  return status !== undefined && status >= 200 && status < 300;
}

export function isRefused(status: number | undefined): boolean {
  return status !== undefined && REFUSALS.includes(status);
}
