// One clock for several processes of a machine: ms since 1970 with microseconds.

/** Ms since 1970. The clocks of two processes differ by microseconds: the adjustments of the system's clock between their starts. */
export function clock(): number {
  return performance.timeOrigin + performance.now();
}

const STAMP_LENGTH = 20;

/** A body of exactly `bytes` JSON characters that begins with the time. */
export function stampedBody(bytes: number): string {
  const stamp = clock().toFixed(3).padStart(STAMP_LENGTH, "0");
  return `{"at":"${stamp}","pad":"${"x".repeat(Math.max(0, bytes - STAMP_LENGTH - 18))}"}`;
}

/** The time in a stamped body. */
export function stampOf(body: string): number {
  return Number(body.slice(7, 7 + STAMP_LENGTH));
}

/** The value below which a share (0 to 1) of the sorted values lies. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  return quantile(values.toSorted((a, b) => a - b), 0.5);
}
