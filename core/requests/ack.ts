// ack: a pull consumer's commit moves the position forward to a cursor (WIRE §5).
import type { AckOperation } from "../../shared/core-api.ts";
import type { Log } from "../log/log.ts";
import type { AckEvent } from "../state/events.ts";
import type { KnownSubscription } from "./admission.ts";
import { CURSOR, offsetOf, parseCursor } from "./named-position.ts";

/**
 * The event of an ack; `time` is ms since 1970.
 * @throws {Refusal} "invalid_request": no cursor of the topic, or one beyond its end
 */
export async function ackEvent(
  { id, topic, callback, cursor }: AckOperation,
  subscription: KnownSubscription,
  { log, time }: { readonly log: Pick<Log, "end" | "positionAt">; readonly time: number },
): Promise<AckEvent> {
  const next = await offsetOf(parseCursor(CURSOR, cursor, subscription.topic), subscription.topic, log);
  return { type: "ack", id, time, topic, callback, next };
}
