// Times as a requester writes them (WIRE §2, §5).
import { Refusal } from "./refusal.ts";

/** ISO-8601 with 0–9 fraction digits and `Z` or an offset. */
const ISO_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})$/;
/** A requester's clock may be this far ahead, ms; what it calls now is then our end. */
const CLOCK_SKEW_MS = 300_000;

/** Whether a text is written as a time; the time need not exist. */
export function isIsoTime(text: string): boolean {
  return ISO_TIME.test(text);
}

/** ms since 1970; NaN if the text is no time, or one that does not exist. Fractions below a millisecond are dropped. */
export function parseIsoTime(text: string): number {
  if (!isIsoTime(text)) return NaN;
  const normal = text.replace(",", ".").replace(/(\.\d{3})\d+/, "$1").replace(/([+-]\d{2})(\d{2})$/, "$1:$2");
  // Date.parse takes the 30th of February for the 2nd of March.
  const day = Number(text.slice(8, 10));
  const lastDay = new Date(Date.UTC(Number(text.slice(0, 4)), Number(text.slice(5, 7)), 0)).getUTCDate();
  return day > lastDay ? NaN : Date.parse(normal);
}

/**
 * The time that a parameter names, ms since 1970.
 * @throws {Refusal} "invalid_request" naming the parameter: no time, one that does not exist, or one in the future
 */
export function pastTime(parameter: string, text: string, now: number): number {
  const quoted = `${parameter} "${text.slice(0, 64)}"`;
  if (!isIsoTime(text)) throw new Refusal("invalid_request", `${quoted} must be an ISO-8601 time with Z or an offset`);
  const time = parseIsoTime(text);
  if (Number.isNaN(time)) throw new Refusal("invalid_request", `${quoted} is no time that exists`);
  if (time > now + CLOCK_SKEW_MS) throw new Refusal("invalid_request", `${quoted} is in the future`);
  return time;
}
