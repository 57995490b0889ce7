// A delivery in one line for a terminal. Text from outside may hold anything, so only its printable characters reach the
// terminal.

import { hexOf } from "../shared/encoding.ts";
import type { Delivery } from "./listener.ts";

const PREVIEW_CHARACTERS = 60;
const PREVIEW_BYTES = 20;

/** Time, message id, content type, size, signatures, and how the body begins. */
export function describeDelivery(delivery: Delivery, at: Date): string {
  const { headers, body, checked } = delivery;
  const signatures = checked.good
    ? checked.webhook === "good" && checked.hub === "good" ? "both signatures good" : "signature good"
    : `NOT TRUSTED: X-Hub-Signature ${checked.hub}, webhook-signature ${checked.webhook}`;
  return [
    at.toTimeString().slice(0, 8),
    printable(headers.get("webhook-id") ?? "no id"),
    printable(headers.get("content-type") ?? "no type"),
    `${body.length} B`,
    signatures,
    preview(body),
  ].join("  ");
}

/** The beginning of a body: as text if it is UTF-8, else in hexadecimal. */
export function preview(body: Uint8Array): string {
  if (body.length === 0) return "(empty)";
  // Four bytes a character at most; a character cut in two at the end is not the body's fault.
  const whole = body.length <= PREVIEW_CHARACTERS * 4;
  const start = body.subarray(0, PREVIEW_CHARACTERS * 4);
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(start, { stream: !whole });
    const characters = Array.from(printable(text));
    return characters.length <= PREVIEW_CHARACTERS && whole
      ? characters.join("")
      : `${characters.slice(0, PREVIEW_CHARACTERS).join("")}…`;
  } catch {
    const hex = hexOf(body.subarray(0, PREVIEW_BYTES)).replace(/..(?=.)/g, "$& ");
    return body.length > PREVIEW_BYTES ? `${hex} …` : hex;
  }
}

/** The text with everything that a terminal would obey, or that would hide what follows, as a middle dot. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu, "·");
}

/** A lease for people. */
export function describeLease(seconds: number): string {
  for (const [unit, size] of [["days", 86_400], ["hours", 3_600], ["minutes", 60]] as const) {
    if (seconds >= 2 * size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${seconds} seconds`;
}
