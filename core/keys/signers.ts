// What lanes sign with: each opens its secret at its first signed attempt and keeps it, never one per attempt; and only so many
// are open at once, so that a million quiet subscriptions hold none.
import { encodedKeyOf } from "../../shared/standard-webhooks.ts";
import type { Secrets } from "./secrets.ts";

/** The keys of both signatures of a delivery (WIRE §3), as text: a native key object costs 1 KiB, and saves nothing at an attempt. */
export interface Signing {
  /** X-Hub-Signature's key: the secret's bytes, UTF-8. */
  readonly hub: string;
  /** Standard Webhooks' key: the secret's bytes, or the base64 rest after `whsec_` (shared/standard-webhooks.ts). */
  readonly standard: string;
  readonly encoding: "utf8" | "base64";
}

/** Where a subscription's secret is kept, sealed, and open once it was used. */
export interface Signer {
  readonly sealed: string;
  readonly subscriptionId: string;
  signing: Signing | undefined;
}

export interface Signers {
  /** @throws {SecretError} */
  of(signer: Signer): Signing;
}

/** About 16 MB of keys: those of a topic with 100,000 subscribers have room, and opening one takes longer than a delivery. */
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
        // Any one, not the oldest: of a message for more lanes than this, the oldest would always be the one that is next.
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
