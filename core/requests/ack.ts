// ack: a pull consumer's commit moves the position forward to a cursor (WIRE §5).
import type { AckOperation } from "../../shared/core-api.ts";
import type { Log } from "../log/log.ts";
import { mayAck } from "../state/acted-requests.ts";
import type { AckEvent } from "../state/events.ts";
import type { KnownSubscription } from "./admission.ts";
import { Refusal } from "./refusal.ts";
import { signedBy } from "./remembered-requests.ts";
import { CURSOR, offsetOf, parseCursor } from "./named-position.ts";

/**
 * The event of an ack; undefined if its signature has acted already. `time` is ms since 1970.
 * @throws {Refusal} "invalid_request": no cursor of the topic, or one beyond its end; "unauthorized": its signature may have acted already
 */
export async function ackEvent(
  { id, topic, callback, caller, cursor }: AckOperation,
  subscription: KnownSubscription,
  { log, time }: { readonly log: Pick<Log, "end" | "positionAt">; readonly time: number },
): Promise<AckEvent | undefined> {
  const signed = signedBy(caller);
  if (signed !== undefined) {
    const verdict = mayAck(subscription.record.acks, signed);
    if (verdict === "no") return undefined;
    if (verdict === "unknown") throw new Refusal("unauthorized", FORGOTTEN);
  }
  const next = await offsetOf(parseCursor(CURSOR, cursor, subscription.topic), subscription.topic, log);
  return { type: "ack", id, time, topic, callback, next, ...(signed === undefined ? {} : { signed }) };
}

const FORGOTTEN =
  "X-Subscriber-Timestamp is not after those of acks from before the position went back; sign the request anew";
