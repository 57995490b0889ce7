// The keys of the hub itself as JSON Web Keys (RFC 7517): those that secrets are sealed to, and those that edges sign with.
import { calculateJwkThumbprint, exportJWK, generateKeyPair } from "jose";
import * as v from "valibot";

const KID = v.pipe(v.string(), v.regex(/^[A-Za-z0-9._~-]{1,64}$/));
/** 32 bytes as base64url. */
const BYTES_32 = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{43}$/));

const SEALING_KEY = v.object({ kty: v.literal("OKP"), crv: v.literal("X25519"), kid: KID, x: BYTES_32 });
const CORE_KEY = v.object({ ...SEALING_KEY.entries, d: BYTES_32 });
const EDGE_PUBLIC_KEY = v.object({ kty: v.literal("OKP"), crv: v.literal("Ed25519"), kid: KID, x: BYTES_32 });
const EDGE_KEY = v.object({ ...EDGE_PUBLIC_KEY.entries, d: BYTES_32 });

/** The public half of a core's key: what an edge seals to. */
export type SealingKey = v.InferOutput<typeof SEALING_KEY>;
/** A core's private key (X25519). */
export type CoreKey = v.InferOutput<typeof CORE_KEY>;
/** An edge as cores know it. */
export type EdgePublicKey = v.InferOutput<typeof EDGE_PUBLIC_KEY>;
/** An edge's private key (Ed25519). */
export type EdgeKey = v.InferOutput<typeof EDGE_KEY>;

/** Keys of a wrong form. The message is to follow the name of their source, and repeats nothing of them. */
export class KeyError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "KeyError";
  }
}

/** A JWKS of X25519 private keys: the first key seals, every key opens. @throws {KeyError} */
export function parseCoreKeys(text: string): readonly CoreKey[] {
  return parseSet(text, CORE_KEY, "X25519 private keys with kid, x and d");
}

/** The public JWKS of a core, which an edge may seal to; the first key is the newest. @throws {KeyError} */
export function parseSealingKeys(jwks: unknown): readonly SealingKey[] {
  return keysOf(jwks, SEALING_KEY, "X25519 keys with kid and x");
}

/** A JWKS of the Ed25519 keys of edges; private halves are dropped. @throws {KeyError} */
export function parseEdgeKeys(text: string): readonly EdgePublicKey[] {
  return parseSet(text, EDGE_PUBLIC_KEY, "Ed25519 keys with kid and x");
}

/** One Ed25519 private key, as a JWK. @throws {KeyError} */
export function parseEdgeKey(text: string): EdgeKey {
  const result = v.safeParse(EDGE_KEY, parseJson(text));
  if (result.success) return result.output;
  throw new KeyError("is not an Ed25519 private key as a JWK with kid, x and d");
}

export function publicHalf({ kty, crv, kid, x }: CoreKey): SealingKey {
  return { kty, crv, kid, x };
}

/** A new key for secrets to be sealed to. */
export async function makeCoreKey(): Promise<CoreKey> {
  const { privateKey } = await generateKeyPair("ECDH-ES", { crv: "X25519", extractable: true });
  const jwk = await exportJWK(privateKey);
  // Part of every sealed secret, so it is short.
  return v.parse(CORE_KEY, { ...jwk, kid: (await calculateJwkThumbprint(jwk)).slice(0, 8) });
}

/** A new key for an edge to sign with. */
export async function makeEdgeKey(): Promise<EdgeKey> {
  const { privateKey } = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
  const jwk = await exportJWK(privateKey);
  return v.parse(EDGE_KEY, { ...jwk, kid: await calculateJwkThumbprint(jwk) });
}

function parseSet<T extends { readonly kid: string }>(
  text: string,
  key: v.GenericSchema<unknown, T>,
  what: string,
): readonly T[] {
  return keysOf(parseJson(text), key, what);
}

function keysOf<T extends { readonly kid: string }>(
  jwks: unknown,
  key: v.GenericSchema<unknown, T>,
  what: string,
): readonly T[] {
  const result = v.safeParse(v.object({ keys: v.pipe(v.array(key), v.minLength(1), v.maxLength(100)) }), jwks);
  if (!result.success) throw new KeyError(`is not a JWKS of ${what}`);
  const { keys } = result.output;
  if (new Set(keys.map(({ kid }) => kid)).size < keys.length) throw new KeyError("has two keys with the same kid");
  return keys;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The engine's own message would quote the text.
    throw new KeyError("is not JSON");
  }
}
