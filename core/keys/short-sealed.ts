// A sealed secret in half its length, for where a million are held: without what its header repeats of every other secret of this
// hub and of its subscription's id (shared/sealed-secret.ts). The header is authenticated, so it comes back byte for byte.
import { SEALING, sealingSubject } from "../../shared/sealed-secret.ts";

/** Between a header and what follows, in a JWE without an encrypted key. */
const NO_KEY = "..";

/** What follows differs from secret to secret: the key's id, and the ephemeral key. */
const HEADER =
  /^\{"alg":"ECDH-ES","enc":"A256GCM","kid":"([^"\\.]+)","sub":"[^"\\]+","epk":\{"x":"([A-Za-z0-9_-]+)","crv":"X25519","kty":"OKP"\}\}$/;

/** The same secret, shorter; undefined if its header is not written as our edges write it. */
export function shorten(sealed: string, subscriptionId: string): string | undefined {
  const end = sealed.indexOf(NO_KEY);
  if (end < 0) return undefined;
  const header = sealed.slice(0, end);
  const [, kid, x] = HEADER.exec(Buffer.from(header, "base64url").toString()) ?? [];
  if (kid === undefined || x === undefined || headerOf(kid, x, subscriptionId) !== header) return undefined;
  return `${kid}.${x}.${sealed.slice(end + NO_KEY.length)}`;
}

/** What `shorten` shortened. */
export function lengthen(short: string, subscriptionId: string): string {
  const [kid, x, ...rest] = short.split(".");
  return headerOf(kid!, x!, subscriptionId) + NO_KEY + rest.join(".");
}

function headerOf(kid: string, x: string, subscriptionId: string): string {
  const header = { ...SEALING, kid, sub: sealingSubject(subscriptionId), epk: { x, crv: "X25519", kty: "OKP" } };
  return Buffer.from(JSON.stringify(header)).toString("base64url");
}
