// W3C trace context: the one header that ties a delivery to the publish it came from (WIRE §3).

import { hexOf } from "./encoding.ts";
import { randomBytes } from "./random.ts";

const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-|$)/;

/** A valid `traceparent` in version 00's form, or null. */
export function parseTraceparent(header: string | null): string | null {
  if (header === null) return null;
  const match = TRACEPARENT.exec(header);
  if (match === null) return null;
  // Version 00 ends after the flags; of a later version only the parts of 00 are read.
  if (header.startsWith("00-") && match[4] !== "") return null;
  return `00-${match[1]}-${match[2]}-${match[3]}`;
}

/** The start of a new, unsampled trace. */
export function createTraceparent(): string {
  const hex = hexOf(randomBytes(24));
  // An id of zeros only is not valid; one in 2⁶⁴ would be such.
  return parseTraceparent(`00-${hex.slice(0, 32)}-${hex.slice(32)}-00`) ?? createTraceparent();
}
