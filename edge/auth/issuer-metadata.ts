// From an issuer's name alone to its keys: OpenID Connect Discovery 1.0 §4, RFC 8414 §3.

import { type AskIssuer, IssuerError } from "./issuer-client.ts";
import { shown } from "./token-refusal.ts";

/**
 * The URL of an issuer's JWKS.
 * @throws {IssuerError} if it has no metadata, or metadata that is not its own
 */
export async function discoverJwksUrl(issuer: string, ask: AskIssuer): Promise<string> {
  const metadata = await firstOf(metadataUrls(issuer), ask);
  const named = metadata["issuer"];
  // RFC 8414 §3.3: metadata that names another issuer must not be used.
  if (named !== issuer) {
    throw new IssuerError(
      `TIDINGS_ISSUER names ${shown(issuer)}, but the metadata found there names the issuer ${
        shown(named)
      }; set TIDINGS_ISSUER ` +
        "to the iss of your tokens, and TIDINGS_JWKS_URL too if the hub reaches the keys by another address",
    );
  }
  const url = metadata["jwks_uri"];
  if (typeof url !== "string" || !/^https?:\/\/[^@\s]+$/.test(url) || !URL.canParse(url)) {
    throw new IssuerError(`The metadata of issuer ${issuer} has no jwks_uri that can be called`);
  }
  if (issuer.startsWith("https:") && !url.startsWith("https:")) {
    throw new IssuerError(`The metadata of issuer ${issuer} names a jwks_uri without TLS`);
  }
  return url;
}

/** Where metadata may be: OpenID Connect appends to the issuer, OAuth inserts before its path. */
export function metadataUrls(issuer: string): readonly string[] {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, "");
  return [
    `${origin}${path}/.well-known/openid-configuration`,
    `${origin}/.well-known/oauth-authorization-server${path}`,
  ];
}

async function firstOf([url, ...others]: readonly string[], ask: AskIssuer) {
  try {
    return await ask({ url: url! });
  } catch (error) {
    const absent = error instanceof IssuerError && error.status !== undefined && error.status < 500;
    if (!absent || others.length === 0) throw error;
    return await firstOf(others, ask);
  }
}
