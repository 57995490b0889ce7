// A sealed secret in half its length, for a memory with a million of them. It leaves out what the header (shared/sealed-secret.ts)
// shares with the hub's other secrets, and the subscription's id. The header is authenticated, so it must come back byte for byte.
import { SEALING, sealingSubject } from "../../shared/sealed-secret.ts";

/** What separates the header from the rest in a JWE without an encrypted key. */
const NO_KEY = "..";

/** A header as our edges write it. Only the key's id and the ephemeral key differ from secret to secret. */
const HEADER =
  /^\{"alg":"ECDH-ES","enc":"A256GCM","kid":"([^"\\.]+)","sub":"[^"\\]+","epk":\{"x":"([A-Za-z0-9_-]+)","crv":"X25519","kty":"OKP"\}\}$/;

/** Shortens a sealed secret; undefined if its header is not written as our edges write it. */
export function shorten(sealed: string, subscriptionId: string): string | undefined {
  const end = sealed.indexOf(NO_KEY);
  if (end < 0) return undefined;
  const header = sealed.slice(0, end);
  const [, kid, x] = HEADER.exec(Buffer.from(header, "base64url").toString()) ?? [];
  if (kid === undefined || x === undefined || headerOf(kid, x, subscriptionId) !== header) return undefined;
  return `${kid}.${x}.${sealed.slice(end + NO_KEY.length)}`;
}

/** The sealed secret that `shorten` shortened. */
export function lengthen(short: string, subscriptionId: string): string {
  const [kid, x, ...rest] = short.split(".");
  return headerOf(kid!, x!, subscriptionId) + NO_KEY + rest.join(".");
}

function headerOf(kid: string, x: string, subscriptionId: string): string {
  const header = { ...SEALING, kid, sub: sealingSubject(subscriptionId), epk: { x, crv: "X25519", kty: "OKP" } };
  return Buffer.from(JSON.stringify(header)).toString("base64url");
}
