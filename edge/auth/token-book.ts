// What came of tokens: counted by outcome and reason, and each reason of refusal logged at most once a minute, so that a flood of
// one reason neither fills the log nor hides another.

import type { Metrics } from "../../shared/metrics.ts";
import { type LineLog, literal } from "./log-text.ts";
import { type RefusalReason, TokenRefusal } from "./token-refusal.ts";

export interface TokenBook {
  /** Counts what came of a token that was not refused. */
  count(outcome: "verified" | "remembered" | "unavailable"): void;
  /** Counts and logs a refusal of a token; any other error is none. */
  refused(error: unknown): void;
}

export interface TokenBookOptions {
  readonly metrics: Metrics;
  readonly logger: Pick<LineLog, "warn">;
  /** Monotonic ms. */
  readonly now: () => number;
}

const WARN_EVERY_MS = 60_000;

export function createTokenBook({ metrics, logger, now }: TokenBookOptions): TokenBook {
  const outcomes = metrics.counter("tidings_tokens_total", "Access tokens by what came of them, and why", [
    "outcome",
    "reason",
  ]);
  /** When each reason was logged, and how many refusals were not since. */
  const warned = new Map<RefusalReason, { at: number; silent: number }>();

  function warn({ reason, message, seen, expected }: TokenRefusal): void {
    const last = warned.get(reason);
    if (last !== undefined && now() - last.at < WARN_EVERY_MS) {
      last.silent++;
      return;
    }
    warned.set(reason, { at: now(), silent: 0 });
    const silent = last?.silent ?? 0;
    const parts = [
      `A request was refused for its token, reason ${reason}: ${message}`,
      ...(seen === undefined ? [] : [`It names iss ${seen.iss}, aud ${seen.aud}, azp ${seen.azp}.`]),
      ...(expected === undefined ? [] : [`Expected: ${expected}.`]),
      ...(silent === 0 ? [] : [`${silent} refusals for this reason were not logged since the last such line.`]),
    ];
    logger.warn(literal(parts.join(" ")), { reason, ...seen, ...(expected === undefined ? {} : { expected }), silent });
  }

  return {
    count: (outcome) => outcomes.inc({ outcome }),
    refused: (error) => {
      if (!(error instanceof TokenRefusal)) return;
      outcomes.inc({ outcome: "refused", reason: error.reason });
      warn(error);
    },
  };
}
