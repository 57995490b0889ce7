// The secrets and verify tokens of subscriptions: only this room opens them (ARCHITECTURE §5).
import { createPrivateKey, type KeyObject, timingSafeEqual } from "node:crypto";
import { getLogger } from "@logtape/logtape";
import { type CoreKey, publicHalf, type SealingKey } from "../../shared/jwks.ts";
import { randomToken } from "../../shared/random.ts";
import { createSealer, type Sealer, sealingSubject } from "../../shared/sealed-secret.ts";
import { openSealed, sealedHeaderOf } from "./open-sealed.ts";

const logger = getLogger(["tidings", "core", "keys"]);

/** A secret that cannot be opened here. The message says why, and nothing of the secret. */
export class SecretError extends Error {
  readonly code: "unknown_key" | "not_sealed" | "other_subscription" | "damaged";
  constructor(code: SecretError["code"], message: string) {
    super(message);
    this.name = "SecretError";
    this.code = code;
  }
}

export interface Secrets {
  /** The public keys of this core. Edges seal to the first one. */
  readonly sealingKeys: readonly SealingKey[];
  readonly counts: { opened: number; unopened: number; resealed: number };
  /** Opens a sealed secret; a failure is counted and logged. @throws {SecretError} */
  open(sealed: string, subscriptionId: string): string;
  /**
   * Opens the secret that a subscriber's signature is checked with; undefined if there is none. Both take equally long (WIRE §5).
   * @throws {SecretError}
   */
  forSignature(sealed: string | undefined, subscriptionId: string): string | undefined;
  /** Whether two sealed secrets of a subscription hold the same secret; false if one cannot be opened. */
  isSame(one: string | undefined, other: string | undefined, subscriptionId: string): boolean;
  /**
   * Whether a sealed secret is that of the subscription; false if it has none. What cannot be opened is no one's. Both answers take equally
   * long.
   */
  isHeldBy(asked: string, known: string | undefined, subscriptionId: string): boolean;
  /** Checks the header of a sealed secret without opening it. @throws {SecretError} if this core could not open it */
  examine(sealed: string, subscriptionId: string): void;
  /** Whether a secret is sealed to the key that edges seal to now, or cannot be resealed to it. */
  isCurrent(sealed: string): boolean;
  /** Seals a text to the first key, for a subscription. */
  seal(text: string, subscriptionId: string): Promise<string>;
  /** Seals a secret to the first key. @throws {SecretError} if it cannot be opened */
  reseal(sealed: string, subscriptionId: string): Promise<string>;
}

const DECOY = "there is no such subscription";
/** Each error text is logged once, and at most this many are. */
const MOST_LOGGED = 100;

/** Edges seal to the first key; the others open older secrets. @throws {Error} if a key is not valid */
export async function createSecrets(keys: readonly CoreKey[]): Promise<Secrets> {
  const privateKeys = new Map<string, KeyObject>();
  for (const { kid, ...jwk } of keys) privateKeys.set(kid, createPrivateKey({ key: jwk, format: "jwk" }));
  const sealingKeys = keys.map(publicHalf);
  const sealer: Sealer = await createSealer(sealingKeys[0]!);
  // WIRE §5: the time that an answer takes must not show whether a pair is known.
  const decoy = await sealer.seal(randomToken(24), sealingSubject(DECOY));
  const counts = { opened: 0, unopened: 0, resealed: 0 };
  const logged = new Set<string>();

  function examine(sealed: string, subscriptionId: string) {
    const header = sealedHeaderOf(sealed);
    if (header === undefined) throw new SecretError("not_sealed", "the secret is not sealed as this hub seals");
    const key = privateKeys.get(header.kid);
    if (key === undefined) {
      throw new SecretError(
        "unknown_key",
        `the secret is sealed to key "${header.kid}", which this core does not have`,
      );
    }
    if (header.sub !== sealingSubject(subscriptionId)) {
      throw new SecretError("other_subscription", "the secret was sealed for another subscription");
    }
    return { header, key };
  }

  function open(sealed: string, subscriptionId: string): string {
    try {
      const { header, key } = examine(sealed, subscriptionId);
      const secret = opened(sealed, header, key);
      counts.opened++;
      return secret;
    } catch (error) {
      counts.unopened++;
      const { message } = error as SecretError;
      if (logged.size < MOST_LOGGED && !logged.has(message)) {
        logged.add(message);
        logger.error("The secret of subscription {subscriptionId} cannot be opened: {message}", {
          subscriptionId,
          message,
        });
      }
      throw error;
    }
  }

  return {
    sealingKeys,
    counts,
    open,
    forSignature(sealed, subscriptionId) {
      if (sealed !== undefined) return open(sealed, subscriptionId);
      open(decoy, DECOY);
      return undefined;
    },
    isSame(one, other, subscriptionId) {
      // The same secret, sealed again, is another text.
      if (one === other) return true;
      if (one === undefined || other === undefined) return false;
      try {
        return sameText(open(one, subscriptionId), open(other, subscriptionId));
      } catch {
        return false;
      }
    },
    isHeldBy(asked, known, subscriptionId) {
      try {
        const secret = open(asked, subscriptionId);
        return known === undefined ? (open(decoy, DECOY), false) : sameText(secret, open(known, subscriptionId));
      } catch {
        return false;
      }
    },
    examine: (sealed, subscriptionId) => void examine(sealed, subscriptionId),
    isCurrent: (sealed) => {
      const kid = sealedHeaderOf(sealed)?.kid;
      return kid === undefined || kid === sealer.kid || !privateKeys.has(kid);
    },
    seal: (text, subscriptionId) => sealer.seal(text, sealingSubject(subscriptionId)),
    async reseal(sealed, subscriptionId) {
      const fresh = await sealer.seal(open(sealed, subscriptionId), sealingSubject(subscriptionId));
      counts.resealed++;
      return fresh;
    },
  };
}

function sameText(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}

function opened(...sealed: Parameters<typeof openSealed>): string {
  try {
    return openSealed(...sealed);
  } catch {
    throw new SecretError("damaged", "the secret was altered, or not sealed to the key that it names");
  }
}
