// Which intents of a pair wait for their result (WIRE §2). The owner of the subscription has places of its own, for which no stranger
// competes. The others share theirs as all shares go (ARCHITECTURE §4): a requester may have as many as are still free. Above that, its
// newest intent takes the place of the one before, and its oldest stays: the callback may be answering that one.
import { NOBODY, requesterOf } from "../../shared/shares/requester.ts";
import type { PendingIntent } from "./records.ts";

/** Places of the owner of the subscription, and of one stranger alone. */
export const MOST_PENDING = 4;
/** Places of all strangers together. */
export const MOST_OF_STRANGERS = 8;

type Asked = Pick<PendingIntent, "mode" | "client" | "requester" | "isOwn">;

/** `room`: it waits, too; `replaces`: it takes the place of this one; `full`: there is no place for it. */
export type Place =
  | { readonly kind: "room" }
  | { readonly kind: "replaces"; readonly intent: PendingIntent }
  | { readonly kind: "full" };

export function placeFor(pending: readonly PendingIntent[], asked: Asked): Place {
  const requester = requesterOf(asked);
  const isOwn = asked.isOwn === true;
  const group = pending.filter((intent) => (intent.isOwn === true) === isOwn);
  const mine = isOwn ? group : group.filter((intent) => requesterOf(intent) === requester);
  const free = (isOwn ? 2 * MOST_PENDING : MOST_OF_STRANGERS) - group.length;
  if (free > 0 && (mine.length === 0 || mine.length + 1 <= free)) return { kind: "room" };
  // Where nobody can tell who asks, two intents may be of two requesters.
  if (requester === NOBODY && !isOwn) return { kind: "full" };
  const newer = mine.slice(1);
  const intent = newer.findLast(({ mode }) => mode === asked.mode) ?? newer.at(-1);
  return intent === undefined ? { kind: "full" } : { kind: "replaces", intent };
}

/** The intents that wait with this one, in log order. One that slips in where no place is left cancels the oldest that is not the owner's. */
export function withPending(pending: readonly PendingIntent[], intent: PendingIntent): readonly PendingIntent[] {
  const place = placeFor(pending, intent);
  if (place.kind === "room") return [...pending, intent];
  if (place.kind === "replaces") {
    const { intent: replaced } = place;
    return [...pending.filter((other) => other !== replaced), inPlaceOf(replaced, intent, pending)];
  }
  const oldest = pending.find(({ isOwn }) => isOwn !== true);
  return [...pending.filter((other) => other !== oldest), intent];
}

/**
 * The subscriber may have said yes to the replaced one, and counts on everything since (§6.1). So a new life may begin where it would
 * have, unless an unsubscribe is between them.
 */
function inPlaceOf(replaced: PendingIntent, intent: PendingIntent, pending: readonly PendingIntent[]): PendingIntent {
  if (replaced.mode !== "subscribe" || intent.mode !== "subscribe") return intent;
  const isParted = pending.some(({ mode, offset }) => mode === "unsubscribe" && offset > replaced.offset);
  return isParted ? intent : { ...intent, end: Math.min(intent.end, replaced.end) };
}
