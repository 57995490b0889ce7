// A trouble with something that the hub asks: logged when it begins, each minute while it lasts, and when it ends. Something that
// fails and works by turns is not logged more often.

import { type LineLog, literal } from "./log-text.ts";

export interface Outage {
  /** It failed. The error's message follows `what`. */
  failed(error: unknown): void;
  /** It works. */
  over(): void;
}

export interface OutageOptions {
  /** The line's beginning, for example "The keys of issuer https://a cannot be fetched". */
  readonly what: string;
  /** The line of its end, for example "The keys of issuer https://a were fetched". */
  readonly end: string;
  readonly logger: LineLog;
  /** Monotonic ms. */
  readonly now: () => number;
}

const SAID_EVERY_MS = 60_000;

export function createOutage({ what, end, logger, now }: OutageOptions): Outage {
  let begunAt: number | undefined;
  let saidAt = -Infinity;
  /** Whether this outage was logged at all. */
  let said = false;
  const seconds = (from: number) => Math.round((now() - from) / 1_000);

  return {
    failed(error) {
      begunAt ??= now();
      if (now() - saidAt < SAID_EVERY_MS) return;
      saidAt = now();
      const message = error instanceof Error ? error.message : String(error);
      const lasting = said ? `, for ${seconds(begunAt)} s now` : "";
      logger.warn(literal(`${what}${lasting}: ${message}`), { seconds: seconds(begunAt) });
      said = true;
    },
    over() {
      if (begunAt !== undefined && said) {
        logger.info(literal(`${end} again, after ${seconds(begunAt)} s`), { seconds: seconds(begunAt) });
      }
      begunAt = undefined;
      said = false;
    },
  };
}
