// What lanes sign with: each opens its secret at its first signed attempt and keeps it, never one per attempt; and only so many
// are open at once, so that a million quiet subscriptions hold none.
import { createSecretKey, type KeyObject } from "node:crypto";
import type { Secrets } from "./secrets.ts";

/** The keys of both signatures of a delivery (WIRE §3). */
export interface Signing {
  /** X-Hub-Signature's key: the secret's bytes. */
  readonly hub: KeyObject;
  /** Standard Webhooks' key: the secret's bytes, or the base64 rest after `whsec_`. */
  readonly standard: KeyObject;
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

/** About 64 MB of keys. */
const MOST_OPEN = 65_536;

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
  const bytes = Buffer.from(secret, "utf8");
  const encoded = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(secret)?.[1];
  const decoded = Buffer.from(encoded ?? "", "base64");
  // One that decodes to nothing would be a key that everyone has.
  return { hub: createSecretKey(bytes), standard: createSecretKey(decoded.length === 0 ? bytes : decoded) };
}
