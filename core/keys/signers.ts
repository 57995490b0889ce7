// The keys that lanes sign with. A lane's secret is opened at its first signed attempt and stays open for the next ones; the number of open
// secrets is bounded, so that a million quiet subscriptions cost no memory for them.
import { encodedKeyOf } from "../../shared/standard-webhooks.ts";
import type { Secrets } from "./secrets.ts";

/** The keys of both signatures of a delivery (WIRE §3) as text: a native key object costs 1 KiB, and makes no attempt faster. */
export interface Signing {
  /** X-Hub-Signature's key: the secret's bytes, UTF-8. */
  readonly hub: string;
  /** Standard Webhooks' key: the secret's bytes, or the base64 rest after `whsec_` (shared/standard-webhooks.ts). */
  readonly standard: string;
  readonly encoding: "utf8" | "base64";
}

/** A subscription's sealed secret, and the keys that it holds while it is open. */
export interface Signer {
  readonly sealed: string;
  readonly subscriptionId: string;
  signing: Signing | undefined;
}

export interface Signers {
  /** The keys of a signer; opens its secret if it is not open. @throws {SecretError} */
  of(signer: Signer): Signing;
}

/** About 16 MB of keys: enough for a topic with 100,000 subscribers. Opening a secret takes longer than a delivery. */
const MOST_OPEN = 131_072;

export function createSigners(
  { secrets, random, most = MOST_OPEN }: { secrets: Pick<Secrets, "open">; random: () => number; most?: number },
): Signers {
  const open: Signer[] = [];
  return {
    of(signer) {
      if (signer.signing !== undefined) return signer.signing;
      const signing = createSigning(secrets.open(signer.sealed, signer.subscriptionId));
      signer.signing = signing;
      if (open.length < most) open.push(signer);
      else {
        // A random one is closed, not the oldest: if more lanes than this take turns, the oldest is always the one that is next.
        const at = Math.floor(random() * most);
        open[at]!.signing = undefined;
        open[at] = signer;
      }
      return signing;
    },
  };
}

function createSigning(secret: string): Signing {
  const encoded = encodedKeyOf(secret);
  return encoded === undefined
    ? { hub: secret, standard: secret, encoding: "utf8" }
    : { hub: secret, standard: encoded, encoding: "base64" };
}
