// Tests wait for a condition, never for a time that should be enough.

export interface EventuallyOptions {
  /** Default 10,000 ms: far longer than expected, so that a loaded machine fails no test. */
  readonly deadlineMs?: number;
  /** Between two looks. Default 10 ms. */
  readonly everyMs?: number;
  /** What has been seen so far, for the error. */
  readonly seen?: () => string;
}

type Truthy<T> = Exclude<T, false | null | undefined | 0 | "">;

/** Resolves to the first truthy value that `probe` yields. @throws {Error} after the deadline; it says what was awaited and seen */
export async function eventually<T>(
  what: string,
  probe: () => T | Promise<T>,
  options: EventuallyOptions = {},
): Promise<Truthy<T>> {
  const deadlineMs = options.deadlineMs ?? 10_000;
  const until = performance.now() + deadlineMs;
  for (;;) {
    const found = await probe();
    if (found) return found as Truthy<T>;
    if (performance.now() > until) {
      const seen = options.seen === undefined ? "" : `; seen: ${options.seen()}`;
      throw new Error(`Waited ${deadlineMs} ms for ${what} in vain${seen}`);
    }
    await pause(options.everyMs ?? 10);
  }
}

/** Watches for `forMs` that something does not happen. @throws {Error} as soon as `probe` yields something truthy */
export async function never<T>(what: string, probe: () => T | Promise<T>, forMs: number): Promise<void> {
  const until = performance.now() + forMs;
  while (performance.now() < until) {
    const found = await probe();
    if (found) throw new Error(`This must not happen: ${what} (${JSON.stringify(found)})`);
    await pause(10);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
