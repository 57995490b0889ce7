// Opens a sealed secret in one synchronous step: what a lane decides before an attempt must still be true when the attempt starts,
// so nothing may come in between (A3.4, §6.5). jose seals secrets, but opens them only asynchronously. The steps are those of
// RFC 7518 §4.6 (ECDH-ES, Concat KDF) and §5.3 (A256GCM), for the one form of shared/sealed-secret.ts.
import { createDecipheriv, createHash, createPublicKey, diffieHellman, type KeyObject } from "node:crypto";
import { SEALED_TOKEN, SEALING } from "../../shared/sealed-secret.ts";

/** What a sealed secret says of itself, before it is opened. */
export interface SealedHeader {
  readonly kid: string;
  readonly sub: string;
  readonly epk: { readonly kty: "OKP"; readonly crv: "X25519"; readonly x: string };
}

/** Reads the protected header; undefined if the text is not a secret that our edges sealed. */
export function sealedHeaderOf(sealed: string): SealedHeader | undefined {
  // The pattern of a secret is narrower; operations were checked against theirs.
  if (!SEALED_TOKEN.test(sealed)) return undefined;
  try {
    const header: unknown = JSON.parse(Buffer.from(sealed.slice(0, sealed.indexOf(".")), "base64url").toString());
    return isHeader(header) ? header : undefined;
  } catch {
    return undefined;
  }
}

function isHeader(value: unknown): value is SealedHeader {
  if (typeof value !== "object" || value === null) return false;
  const { alg, enc, kid, sub, epk, ...more } = value as Record<string, unknown>;
  if (alg !== SEALING.alg || enc !== SEALING.enc || typeof kid !== "string" || typeof sub !== "string") return false;
  // Other members (crit, zip, apu) would change what the rest means.
  if (Object.keys(more).length > 0 || typeof epk !== "object" || epk === null) return false;
  const { kty, crv, x } = epk as Record<string, unknown>;
  return kty === "OKP" && crv === "X25519" && typeof x === "string";
}

const ALGORITHM = Buffer.from(SEALING.enc);
/** Concat KDF's OtherInfo: the algorithm, no party information, the key's length in bits. */
const OTHER_INFORMATION = Buffer.concat([uint32(ALGORITHM.length), ALGORITHM, uint32(0), uint32(0), uint32(256)]);

/** Opens a sealed secret. @throws {Error} if it was not sealed to this key, or was altered */
export function openSealed(sealed: string, { epk }: SealedHeader, privateKey: KeyObject): string {
  const [header, , iv, ciphertext, tag] = sealed.split(".") as [string, string, string, string, string];
  const shared = diffieHellman({ privateKey, publicKey: createPublicKey({ key: { ...epk }, format: "jwk" }) });
  const key = createHash("sha256").update(uint32(1)).update(shared).update(OTHER_INFORMATION).digest();
  const decipher = createDecipheriv("aes-256-gcm", key, Buffer.from(iv, "base64url"), { authTagLength: 16 });
  decipher.setAAD(Buffer.from(header));
  decipher.setAuthTag(Buffer.from(tag, "base64url"));
  return Buffer.concat([decipher.update(Buffer.from(ciphertext, "base64url")), decipher.final()]).toString();
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
