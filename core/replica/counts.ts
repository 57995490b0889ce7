// What of the state is counted, and whose it is: a row's `counted` names it, and triggers of the replica's file keep the sums, in
// the transaction that writes the row.
import { createHash } from "node:crypto";
import type { ClientIdentity } from "../../shared/core-api.ts";
import { isLive } from "../state/fold-subscription.ts";
import type { SubscriptionRecord, TopicRecord } from "../state/records.ts";
import { clientKeyOf } from "../state/ids.ts";

/** `subscriptions`: live, or a subscribe waits to be verified; `pending`: those of which one waits; `topics`: that live. */
export type Counted = "subscriptions" | "pending" | "topics";

/** The name of a client's sum. */
export function countNameOf(counted: Counted, client: ClientIdentity): string {
  return `${counted} ${createHash("sha256").update(clientKeyOf(client)).digest("base64url")}`;
}

/** The sums that a subscription is part of, as JSON; null: none. A pair is each client's who has it or is asking for it. */
export function countedOfSubscription({ phase, client, pending }: SubscriptionRecord): string | null {
  const names = new Set<string>();
  if (isLive(phase) && client !== undefined) names.add(countNameOf("subscriptions", client));
  for (const intent of pending) {
    if (intent.mode !== "subscribe" || intent.client === undefined) continue;
    names.add(countNameOf("subscriptions", intent.client)).add(countNameOf("pending", intent.client));
  }
  return names.size === 0 ? null : JSON.stringify([...names]);
}

export function countedOfTopic({ client, endedAt }: TopicRecord): string | null {
  return client === undefined || endedAt !== undefined ? null : JSON.stringify([countNameOf("topics", client)]);
}
