// Access tokens as strangers send them (WIRE §6): valid, stale, made by somebody else, or not tokens at all. A test's own issuer
// signs them, so the valid ones are real.

import { exportSPKI, SignJWT } from "jose";
import type { JWTPayload } from "jose";
import type { Random } from "../support/load/random.ts";
import { createSigningKey } from "../support/servers/issuer.ts";
import type { Issuer } from "../support/servers/issuer.ts";
import type { Credential } from "./drafts.ts";
import { STRANGE_TEXT } from "./strange.ts";

export interface SentToken {
  readonly credential: Credential;
  /** The headers that carry it. */
  readonly headers: readonly (readonly [string, string])[];
}

export type PickToken = (random: Random) => SentToken;

const ALL = "websub:publish websub:subscribe";
const BROKEN = [
  "Bearer",
  "Bearer ",
  "Bearer x",
  "Basic YWRtaW46YWRtaW4=",
  "Bearer a.b.c.d.e",
  "Bearer eyJhbGciOiJSUzI1NiJ9.e30.",
  "eyJhbGciOiJSUzI1NiJ9.e30.AAAA",
  "Bearer eyJhbGciOiJSUzI1NiJ9.bm8ganNvbg.AAAA",
  `Bearer ${"x".repeat(8_000)}`,
];

/** Makes the tokens. Each is used a few times, because signatures are expensive. The issuer gets more keys, and introspects. */
export async function makeTokens(issuer: Issuer): Promise<PickToken> {
  const rsa = issuer.keys[0]!;
  const elliptic = await issuer.addKey("ES256");
  const edwards = await issuer.addKey("EdDSA");
  const stranger = await createSigningKey(rsa.alg);
  const now = Math.floor(Date.now() / 1_000);
  const by = (key: typeof rsa, claims: JWTPayload = {}, header = {}) =>
    issuer.token({ sub: "alice", scope: ALL, exp: now + 86_400, ...claims }, { key, header });

  for (
    const [token, claims] of [["opaque-alice", { sub: "alice", scope: ALL }], ["opaque-bob", { sub: "bob" }]] as const
  ) {
    issuer.opaque.set(token, { ...claims, aud: "hub", exp: now + 86_400 });
  }
  const right = await by(rsa);
  const valid = [
    right,
    ...await Promise.all([
      by(elliptic),
      by(edwards),
      by(rsa, { sub: "bob" }),
      by(rsa, { sub: "carol", scope: "", realm_access: { roles: ["websub:operate"] } }),
      by(rsa, { sub: "dora", scope: "websub:publish:t websub:subscribe:part*" }),
      by(rsa, { sub: "erna", scope: "openid" }),
      by(rsa, { sub: "~owner\n", preferred_username: "__proto__", roles: { toString: 1 } }),
    ]),
    "opaque-alice",
    "opaque-bob",
  ];
  const stale = [
    ...await Promise.all([
      by(rsa, { exp: now - 3_600 }),
      by(rsa, { exp: now - 1 }),
      by(elliptic, { exp: 0 }),
      by(edwards, { nbf: now + 86_000 }),
      // Signed with a key that the issuer no longer has.
      by(await createSigningKey("ES256")),
    ]),
    "opaque-and-no-more",
  ];
  const spki = new TextEncoder().encode(await exportSPKI(rsa.publicKey));
  const byHmac = (secret: Uint8Array) =>
    new SignJWT({ iss: issuer.url, aud: "hub", sub: "alice", scope: ALL, exp: now + 86_400 })
      .setProtectedHeader({ alg: "HS256", kid: rsa.kid }).sign(secret);
  const [header = "", payload = "", signature = ""] = right.split(".");
  const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const forged = [
    ...await Promise.all([
      by(stranger, {}, { kid: rsa.kid }),
      by(stranger, {}, { kid: rsa.kid, jwk: stranger.jwk }),
      by(stranger, {}, { jku: `${issuer.url}/keys` }),
      by(elliptic, {}, { kid: edwards.kid }),
      by(rsa, { iss: "https://elsewhere.example" }),
      by(rsa, { iss: undefined } as unknown as JWTPayload),
      by(rsa, { aud: "another-hub" }),
      byHmac(spki),
      byHmac(new TextEncoder().encode(JSON.stringify(rsa.jwk))),
    ]),
    `${encoded({ alg: "none" })}.${payload}.`,
    `${encoded({ alg: "none", kid: rsa.kid })}.${payload}.${signature}`,
    `${encoded({ alg: "PS256", kid: rsa.kid })}.${payload}.${signature}`,
    `${header}.${encoded({ iss: issuer.url, aud: "hub", sub: "root", scope: ALL, exp: now + 99_999 })}.${signature}`,
    `${header}.${payload}.${signature.slice(0, 100)}`,
  ];

  /** Changes a letter, but not the last one, whose lowest bits mean nothing. */
  const spoilt = (random: Random) => {
    const token = random.pick(valid.slice(0, -2));
    const at = random.integer(0, token.length - 3);
    const letter = token[at] === "A" ? "B" : "A";
    return token[at] === "." ? `${token}A` : token.slice(0, at) + letter + token.slice(at + 1);
  };

  const fromAnotherSite = (): [string, string][] => [
    ["Cookie", `Authorization=${right}`],
    ["Origin", "https://evil.example"],
  ];

  return (random) => {
    const credential = random.pick(
      [
        "none",
        "valid",
        "valid",
        "valid",
        "valid",
        "stale",
        "forged",
        "broken",
      ] as const,
    );
    switch (credential) {
      case "none":
        return { credential, headers: [] };
      case "valid":
        return { credential, headers: placed(random, random.pick(valid)) };
      case "stale":
        return { credential, headers: placed(random, random.pick(stale)) };
      case "forged":
        return { credential, headers: placed(random, random.chance(0.5) ? random.pick(forged) : spoilt(random)) };
      case "broken":
        return { credential, headers: random.pick([...misplaced, fromAnotherSite])(random) };
    }
  };
}

/** Puts a token in one of its three places. */
function placed(random: Random, token: string): [string, string][] {
  const isJwt = token.split(".").length === 3;
  if (!isJwt || random.chance(0.7)) return [["Authorization", `Bearer ${token}`]];
  if (random.chance(0.5)) return [["Authorization", token]];
  return [["Cookie", `Authorization=${token}`]];
}

/** Texts that are not tokens, or tokens in a wrong place. */
const misplaced: readonly ((random: Random) => [string, string][])[] = [
  (random) => [["Authorization", random.pick(BROKEN)]],
  (random) => [["Authorization", `Bearer ${random.pick(STRANGE_TEXT.filter((text) => !/^[\w.~+/-]+=*$/.test(text)))}`]],
  (random) => [["Cookie", `Authorization=${random.pick(BROKEN)}`]],
  () => [["Authorization", "Bearer opaque-alice, Bearer opaque-bob"]],
  () => [["Authorization", "Bearer opaque-alice"], ["Authorization", "Bearer opaque-bob"]],
  () => [["Authorization", "opaque-alice"]],
  () => [["Cookie", "Authorization=opaque-alice"]],
];
