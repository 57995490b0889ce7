// Retry-After (RFC 9110 §10.2.3): the time at which whoever answered wants to be asked again.

/** A longer pause in `Retry-After` counts as this one. */
const MOST_SECONDS = 1e9;

/** The time that Retry-After asks for, by seconds or an HTTP date, in ms since 1970; undefined if it is neither. */
export function parseRetryAfter(text: string, now: number): number | undefined {
  const trimmed = text.trim();
  if (/^\d+$/.test(trimmed)) return now + Math.min(Number(trimmed), MOST_SECONDS) * 1_000;
  // RFC 9110 §5.6.7: a date has one of three forms, all in GMT; one of them does not name it.
  if (trimmed.length > 40 || !/^[A-Za-z]{3,9},? /.test(trimmed)) return undefined;
  const date = Date.parse(trimmed.endsWith("GMT") ? trimmed : `${trimmed} GMT`);
  return Number.isNaN(date) ? undefined : date;
}
