// Who may ask about which subscription (WIRE §5, §6). The same check stands before status, missed messages, dead letters, and all
// that moves a position.
import type { Caller, TextSigner } from "../../shared/core-api.ts";
import type { SubscriptionPhase, SubscriptionRecord } from "../state/records.ts";
import { isLive } from "../state/fold-subscription.ts";
import { isSameClient, subscriptionIdOf } from "../state/ids.ts";
import { SecretError, type Secrets } from "../keys/secrets.ts";
import type { Log } from "../log/log.ts";
import type { Replica } from "../replica/replica.ts";
import { waitForAccepted } from "./accepted.ts";
import { Refusal } from "./refusal.ts";
import { wrongSignature, wrongTextSignature } from "./subscriber-signature.ts";
import type { Topic, Topics } from "./topics.ts";

/** A subscription that was verified at least once: it is live, or has ended and is remembered. */
export interface KnownSubscription {
  readonly id: string;
  readonly topic: Topic;
  readonly record: SubscriptionRecord & { readonly phase: Exclude<SubscriptionPhase, "pending"> };
}

export interface AdmissionOptions {
  readonly log: Log;
  readonly replica: Replica;
  readonly topics: Topics;
  readonly secrets: Pick<Secrets, "forSignature">;
  /** Wall clock, ms. */
  readonly clock: () => number;
}

/**
 * Finds the subscription, if the caller may ask about it.
 * @throws {Refusal} "unauthorized"; "not_found" for an unknown pair and for one that was never verified; "unavailable"
 */
export type Admit = (topic: string, callback: string, caller: Caller | TextSigner) => Promise<KnownSubscription>;

export function createAdmit({ log, replica, topics, secrets, clock }: AdmissionOptions): Admit {
  return async (name, callback, caller) => {
    const topic = topics.identify(name);
    const id = subscriptionIdOf(name, callback);
    const shard = log.partitionOf("events", id);
    // A3.11: this request sees what was accepted before it.
    await waitForAccepted({ log, replica }, "subscriptions", shard);
    const record = await replica.subscription(id);
    if (caller.kind === "signature" || caller.kind === "text") {
      // WIRE §5: an unknown pair, a pair without a secret and a wrong signature get the same answer.
      const secret = secretOf(id, record);
      const wrong = caller.kind === "text"
        ? wrongTextSignature(caller, secret)
        : wrongSignature(caller, secret, clock());
      if (wrong !== undefined) throw new Refusal("unauthorized", wrong);
    }
    // WIRE §6: a token is good for the subscriptions of its client; for those of others the answer is that of an unknown pair.
    const isTheirs = caller.kind !== "client" || (record !== undefined && isSameClient(record.client, caller));
    if (record === undefined || record.phase === "pending" || !isTheirs) {
      throw new Refusal("not_found", `There is no subscription of callback "${callback}" to topic "${name}"`);
    }
    return { id, topic, record: { ...record, phase: record.phase } };
  };

  function secretOf(id: string, record: SubscriptionRecord | undefined): string | undefined {
    try {
      return secrets.forSignature(record?.secret, id);
    } catch (error) {
      if (!(error instanceof SecretError)) throw error;
      throw new Refusal("unavailable", "The hub cannot check this signature for now; try again later");
    }
  }
}

/** WIRE §5: a subscription that has ended still has a status, and nothing else. @throws {Refusal} "gone" */
export function refuseEnded({ record: { phase } }: KnownSubscription): void {
  if (isLive(phase)) return;
  throw new Refusal("gone", `The subscription has ended (${phase}); subscribe again to begin a new one`);
}
