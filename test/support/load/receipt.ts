// What a subscriber reads from one delivery, whether it came over HTTP or in the simulation.
import { decodeCursor } from "../../../core/messages/cursor-text.ts";
import { topicIdOf } from "../../../core/state/ids.ts";
import { hubSignature, type Signed, webhookSignature } from "../signatures.ts";

export interface Receipt {
  readonly id: string;
  /** The message's place in the log, by its cursor; NaN if the cursor is not one of this topic. */
  readonly partition: number;
  readonly offset: number;
  /** The newest of the subscriber's secrets that both signatures were made with; undefined if there is none. */
  readonly signedWith: string | undefined;
}

/** `secrets` are all that the subscriber ever gave for this topic, the newest last. */
export function readReceipt(topic: string, secrets: readonly string[], delivery: Signed): Receipt {
  const { headers, body } = delivery;
  const signedWith = secrets.findLast((secret) =>
    headers["x-hub-signature"] === hubSignature(secret, body) &&
    headers["webhook-signature"] === webhookSignature(secret, delivery)
  );
  return { id: String(headers["webhook-id"]), ...placeOf(topic, String(headers["x-hub-cursor"])), signedWith };
}

function placeOf(topic: string, cursor: string): { readonly partition: number; readonly offset: number } {
  try {
    return decodeCursor(topicIdOf(topic), cursor);
  } catch {
    return { partition: NaN, offset: NaN };
  }
}
