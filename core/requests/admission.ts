// Who may ask about which subscription (WIRE §5, §6). The same check stands before status, missed messages, dead letters, and all
// that moves a position.
import type { Caller, TextSigner } from "../../shared/core-api.ts";
import { type FailedVerification, isLive, type SubscriptionPhase, type SubscriptionRecord } from "../state/records.ts";
import { failuresOf, MOST_FAILURES } from "../state/failed-verifications.ts";
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

/** A pair without a live subscription. The last subscribe was not verified, less than a day ago. */
export interface FailedPair {
  readonly record: SubscriptionRecord;
  readonly failed: FailedVerification;
}

/** @throws {Refusal} "unauthorized"; "not_found" for an unknown pair and for one that was never verified; "unavailable" */
export type Admit = (topic: string, callback: string, caller: Caller | TextSigner) => Promise<KnownSubscription>;

/** As `Admit`, but a caller without a subscription may learn what came of its own subscribe. */
export type AdmitToStatus = (...asked: Parameters<Admit>) => Promise<KnownSubscription | FailedPair>;

/** What says whose a subscription or a subscribe is. */
type Owner = Pick<SubscriptionRecord, "client" | "secret">;

export function createAdmit(options: AdmissionOptions): Admit {
  const find = createFind(options);
  return async (name, callback, caller) => {
    const { subscription, refusal } = await find(name, callback, caller);
    if (subscription === undefined) throw refusal;
    return subscription;
  };
}

export function createAdmitToStatus(options: AdmissionOptions): AdmitToStatus {
  const find = createFind(options);
  return async (name, callback, caller) => {
    const { subscription, failed, refusal } = await find(name, callback, caller);
    if (subscription !== undefined) return subscription;
    if (failed === undefined) throw refusal;
    return failed;
  };
}

/** What the caller may ask about, and what it hears if that is nothing. */
interface Found {
  readonly subscription?: KnownSubscription;
  readonly failed?: FailedPair;
  readonly refusal: Refusal;
}

function createFind({ log, replica, topics, secrets, clock }: AdmissionOptions) {
  return async (name: string, callback: string, caller: Caller | TextSigner): Promise<Found> => {
    const topic = topics.identify(name);
    const id = subscriptionIdOf(name, callback);
    const shard = log.partitionOf("events", id);
    // A3.11: this request sees what was accepted before it.
    await waitForAccepted({ log, replica }, "subscriptions", shard);
    const record = await replica.subscription(id);
    const failures = record === undefined ? [] : failuresOf(record, clock());
    // WIRE §5: as many are checked for every pair, so the time of the answer does not tell what there is.
    const ofRecord = check(id, record, caller);
    const ofFailures = Array.from({ length: MOST_FAILURES }, (_, index) => check(id, failures[index]?.by, caller));
    const failed = failures.find(({ by }, index) => by !== undefined && ofFailures[index] === undefined);
    const refusal = ofRecord instanceof Refusal
      ? ofRecord
      : new Refusal("not_found", `There is no subscription of callback "${callback}" to topic "${name}"`);
    return {
      refusal,
      ...(ofRecord === undefined && record !== undefined && record.phase !== "pending"
        ? { subscription: { id, topic, record: { ...record, phase: record.phase } } }
        : {}),
      ...(record !== undefined && failed !== undefined ? { failed: { record, failed } } : {}),
    };
  };

  /** Why the caller may not ask about what this owner has; undefined if it may. */
  function check(id: string, owner: Owner | undefined, caller: Caller | TextSigner): "unknown" | Refusal | undefined {
    switch (caller.kind) {
      case "anyone":
      case "operator":
        return undefined;
      case "client":
        // WIRE §6: a token is good for what its client made; for the rest the answer is that of an unknown pair.
        return owner !== undefined && isSameClient(owner.client, caller) ? undefined : "unknown";
      case "signature":
      case "text": {
        // WIRE §5: an unknown pair, a pair without a secret and a wrong signature get the same answer.
        const secret = secretOf(id, owner?.secret);
        const wrong = caller.kind === "text"
          ? wrongTextSignature(caller, secret)
          : wrongSignature(caller, secret, clock());
        return wrong === undefined ? undefined : new Refusal("unauthorized", wrong);
      }
    }
  }

  function secretOf(id: string, sealed: string | undefined): string | undefined {
    try {
      return secrets.forSignature(sealed, id);
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
