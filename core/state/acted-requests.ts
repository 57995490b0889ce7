// Requests that act once (A3.8): a subscription remembers them by their ids, and signed ones by their signatures. Whatever stands beside a
// signature, its second copy changes nothing, so who has captured one can neither act by it nor fill this memory.
import type { AckEvent, ReplayEvent, ResumeEvent } from "./events.ts";
import type { SignedAcks, SubscriptionRecord } from "./records.ts";

/** Resumes and replays that are remembered (A3.8). The core answers 429 before there are more; one that slips in does not act. */
export const MOST_REQUESTS = 64;
/** Signed acks that are remembered one by one. */
export const MOST_ACKS = 64;

/** A timestamp may be this far from a core's clock, ms (WIRE §5). */
export const SIGNATURE_SKEW_MS = 300_000;
/** Cores' clocks may be this far apart, and their requests this late, ms. */
const MARGIN_MS = 120_000;
/** A signature is remembered for this long after its use, ms: its timestamp may have been as far ahead as it may be behind. */
export const SIGNATURE_KEPT_MS = 2 * SIGNATURE_SKEW_MS + MARGIN_MS;

type Acted = Pick<SubscriptionRecord, "requests" | "acks">;
export type ActedRequests = NonNullable<SubscriptionRecord["requests"]>;

/** The requests that the subscription remembers at `time`, ms since 1970. */
export function rememberedRequests({ requests = [] }: Acted, time: number): ActedRequests {
  return requests.filter(([, until]) => until > time);
}

/** The part of a request's id that names the request. The part after the dot says what it asked for. */
export function requestKeyOf(id: string): string {
  return id.split(".", 1)[0]!;
}

/** The requests remembered after a resume or replay; undefined if it does not act. */
export function withRequest(record: Acted, event: ResumeEvent | ReplayEvent): ActedRequests | undefined {
  const { id, time, keptMs } = event;
  const signature = event.type === "replay" ? event.signed?.id : undefined;
  const known = rememberedRequests(record, time);
  const isKnown = known.some(([other, , by]) =>
    requestKeyOf(other) === requestKeyOf(id) || (signature !== undefined && by === signature)
  );
  if (isKnown || known.length >= MOST_REQUESTS) return undefined;
  const until = time + keptMs;
  return [...known, signature === undefined ? [id, until] : [id, until, signature]];
}

/** Whether a signed ack acts: "no" if it has acted already, "unknown" if that is forgotten and the position has gone back since. */
export function mayAck(
  acks: SignedAcks | undefined,
  { id, at }: NonNullable<AckEvent["signed"]>,
): "yes" | "no" | "unknown" {
  if (acks === undefined) return "yes";
  if (acks.seen.some(([other]) => other === id)) return "no";
  return acks.barred !== undefined && at <= acks.barred ? "unknown" : "yes";
}

/**
 * The memory after a signed ack that acts. An ack moves the position forward only, so it does harm only if it acts again after the position
 * went back: until then it matters little what is forgotten.
 */
export function withAck(acks: SignedAcks | undefined, { time, signed }: AckEvent): SignedAcks | undefined {
  if (signed === undefined) return acks;
  const fresh = (acks?.seen ?? []).filter(([, at]) => at * 1_000 + SIGNATURE_SKEW_MS + MARGIN_MS > time);
  const seen = [...fresh, [signed.id, signed.at] as const].toSorted(([, one], [, other]) => one - other);
  const forgotten = seen.splice(0, Math.max(0, seen.length - MOST_ACKS)).at(-1)?.[1];
  const dropped = Math.max(acks?.dropped ?? -1, forgotten ?? -1);
  return { ...acks, seen, ...(dropped === -1 ? {} : { dropped }) };
}

/** The position may go back: signed acks that may have acted before, and are forgotten, do not act from here on. */
export function withoutForgottenAcks<T extends Acted>(record: T): T {
  const { acks } = record;
  return acks?.dropped === undefined ? record : { ...record, acks: { ...acks, barred: acks.dropped } };
}
