// A sealed hub.secret or hub.verify_token (ARCHITECTURE §5): a compact JWE (RFC 7516), ECDH-ES to a core's public key. A sealer cannot open it.
import { CompactEncrypt, importJWK } from "jose";
import { base64UrlOf } from "./encoding.ts";
import { identityOf } from "./identity.ts";
import type { SealingKey } from "./jwks.ts";

/** The one algorithm and the one content encryption. */
export const SEALING = { alg: "ECDH-ES", enc: "A256GCM" } as const;
/** Compact JWE without an encrypted key; the longest secret makes about 500 characters. */
export const SEALED_SECRET = /^[A-Za-z0-9_-]{80,512}\.\.[A-Za-z0-9_-]{16}\.[A-Za-z0-9_-]{1,268}\.[A-Za-z0-9_-]{22}$/;
/** The same with room for a verify token, which has at most 2,048 bytes. */
export const SEALED_TOKEN = /^[A-Za-z0-9_-]{80,512}\.\.[A-Za-z0-9_-]{16}\.[A-Za-z0-9_-]{1,2731}\.[A-Za-z0-9_-]{22}$/;

/** Seals to one key. */
export interface Sealer {
  readonly kid: string;
  /** `subject` is `sealingSubject`'s; the secret opens for no other. */
  seal(secret: string, subject: string): Promise<string>;
}

export async function createSealer(key: SealingKey): Promise<Sealer> {
  const publicKey = await importJWK(key, SEALING.alg);
  const encoder = new TextEncoder();
  return {
    kid: key.kid,
    seal: (secret, subject) =>
      new CompactEncrypt(encoder.encode(secret))
        .setProtectedHeader({ ...SEALING, kid: key.kid, sub: subject })
        .encrypt(publicKey),
  };
}

/** What a secret is bound to: 132 bits of the subscription's id, so that it is of no use in another subscription. */
export function sealingSubject(subscriptionId: string): string {
  return subscriptionId.slice(0, 22);
}

/** The subscription's id by WebCrypto: base64url(SHA-256(topic NUL callback)), as core/state/ids.ts makes it. */
export async function subscriptionIdByWebCrypto(topic: string, callback: string): Promise<string> {
  const bytes = new TextEncoder().encode(`${identityOf(topic)}\0${identityOf(callback)}`);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return base64UrlOf(digest);
}
