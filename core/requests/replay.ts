// replay: dead letters are to be sent again, once for each Idempotency-Key (WIRE §5, A3.8). core/effects/replay-letter.ts sends
// them.
import { clientKeyOf, formerClientOf } from "../../shared/client-key.ts";
import type { ClientIdentity, ReplayOperation } from "../../shared/core-api.ts";
import type { Log } from "../log/log.ts";
import type { Replica } from "../replica/replica.ts";
import type { ReplayEvent } from "../state/events.ts";
import { rememberedRequests, requestKeyOf } from "../state/acted-requests.ts";
import { KEYS_KEPT_MS } from "../state/ids.ts";
import { findDeadLetters } from "./accepted.ts";
import type { KnownSubscription } from "./admission.ts";
import { clientOf } from "./caller.ts";
import { Refusal } from "./refusal.ts";
import { refuseTooMany, requestHash, signedBy } from "./remembered-requests.ts";

export interface ReplayParts {
  readonly log: Pick<Log, "end" | "partitionOf">;
  readonly replica: Pick<Replica, "deadLetters">;
  /** ms since 1970. */
  readonly time: number;
}

/**
 * The event of a replay; undefined if a replay with this key, or by this signature, has acted already.
 * @throws {Refusal} "conflict" if the key was used for another letter; "too_many"; "not_found"; "unavailable"
 */
export async function replayEvent(
  { topic, callback, caller, key, letter }: ReplayOperation,
  subscription: KnownSubscription,
  parts: ReplayParts,
): Promise<ReplayEvent | undefined> {
  const { time } = parts;
  const remembered = rememberedRequests(subscription.record, time);
  const signed = signedBy(caller);
  // What is signed acts once, under whatever key (WIRE §5).
  if (signed !== undefined && remembered.some(([, , by]) => by === signed.id)) return undefined;
  const client = clientOf(caller);
  const nameFor = (whose: ClientIdentity | undefined) =>
    `replay_${requestHash(`${clientKeyOf(whose)}\n${subscription.id}\n${key}`)}`;
  const name = nameFor(client);
  const wanted = requestHash(letter ?? "").slice(0, 8);
  const id = `${name}.${wanted}`;
  // A key of a client as it was recorded before claims were counts, too.
  const names = new Set([name, nameFor(formerClientOf(client) ?? client)]);
  const before = remembered.map(([other]) => other).find((other) => names.has(requestKeyOf(other)));
  if (before?.endsWith(`.${wanted}`)) return undefined;
  if (before !== undefined) {
    throw new Refusal("conflict", "This Idempotency-Key was used with another id; use a new one for another request");
  }
  refuseTooMany(remembered);
  const letters = await lettersOf(letter, subscription, parts);
  const by = signed === undefined ? {} : { signed };
  return { type: "replay", id, time, topic, callback, keptMs: KEYS_KEPT_MS, ...letters, ...by };
}

/** Where the letters stand: the one of this message id, or all that there are now. */
async function lettersOf(
  letter: string | undefined,
  { id: subscriptionId, record: { life } }: KnownSubscription,
  { log, replica }: ReplayParts,
): Promise<{ from: number; end: number }> {
  if (letter === undefined) {
    return { from: 0, end: await log.end("dead-letters", log.partitionOf("dead-letters", subscriptionId)) };
  }
  const query = { subscriptionId, life, from: 0, afterMessage: -1, messageId: letter, limit: 1 };
  const [found] = await findDeadLetters(replica, query);
  if (found === undefined) {
    throw new Refusal("not_found", `id "${letter}" is not the id of a dead letter of this subscription`);
  }
  return { from: found.place, end: found.place + 1 };
}
