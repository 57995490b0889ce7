// What settings of access must say together (WIRE §6): off loopback nothing is taken for granted, and no setting of tokens
// stands there without effect. Pure.

import { type ClientOrigin, isLoopback, type Listen } from "./settings-values.ts";

export interface AccessSettings {
  readonly edgeListen: Listen;
  readonly access: "open" | "public" | "token";
  readonly issuer: readonly string[];
  readonly audience: readonly string[];
  readonly jwksUrl: readonly string[];
  readonly introspectionUrl: string | undefined;
  readonly autoVerify: "off" | "on";
  readonly autoVerifyOrigins: readonly ClientOrigin[];
}

/** Whether a setting, named without its prefix, is set to something else than its default. */
type IsSet = (name: string) => boolean;

/** What is wrong, as one line that says what to set; null if nothing is. */
export function wrongAccess(settings: AccessSettings, isSet: IsSet): string | null {
  return wrongOffLoopback(settings, isSet) ?? wrongTokens(settings, isSet) ?? wrongIntrospection(isSet) ??
    wrongOrigins(settings);
}

function wrongOffLoopback({ edgeListen, access }: AccessSettings, isSet: IsSet): string | null {
  if (isLoopback(edgeListen.host)) return null;
  if (access === "open") {
    return "TIDINGS_EDGE_LISTEN is no loopback address, and TIDINGS_ACCESS=open lets anyone do anything, so TIDINGS_ACCESS " +
      "must be set: to token, or to public for a hub that anyone may subscribe at";
  }
  if (!isSet("HUB_URL")) {
    return "TIDINGS_EDGE_LISTEN is no loopback address, so TIDINGS_HUB_URL must be set: to the hub's public URL";
  }
  return null;
}

const TOKEN_SETTINGS = [
  "POLICY",
  "ISSUER",
  "AUDIENCE",
  "JWKS_URL",
  "ROLES_CLAIM",
  "INTROSPECTION_URL",
  "INTROSPECTION_CLIENT_ID",
  "INTROSPECTION_CLIENT_SECRET",
  "AUTO_VERIFY_ORIGINS",
];

function wrongTokens(settings: AccessSettings, isSet: IsSet): string | null {
  const { access, issuer, audience, jwksUrl, introspectionUrl } = settings;
  if (access !== "token") {
    const idle = TOKEN_SETTINGS.find(isSet);
    return idle === undefined
      ? null
      : `TIDINGS_${idle} is set but TIDINGS_ACCESS is ${access}: tokens count with TIDINGS_ACCESS=token only`;
  }
  if (issuer.length === 0 && introspectionUrl === undefined) {
    return "TIDINGS_ACCESS=token needs an identity provider: set TIDINGS_ISSUER, or TIDINGS_INTROSPECTION_URL for opaque tokens";
  }
  if (audience.length === 0) {
    return "TIDINGS_ACCESS=token needs TIDINGS_AUDIENCE: what the aud of this hub's tokens names, or * for any";
  }
  if (jwksUrl.length > 0 && jwksUrl.length !== issuer.length) {
    return "TIDINGS_JWKS_URL must name as many URLs as TIDINGS_ISSUER names issuers, in the same order";
  }
  return null;
}

const INTROSPECTION = ["INTROSPECTION_URL", "INTROSPECTION_CLIENT_ID", "INTROSPECTION_CLIENT_SECRET"];

function wrongIntrospection(isSet: IsSet): string | null {
  const missing = INTROSPECTION.find((name) => !isSet(name));
  if (missing === undefined || !INTROSPECTION.some(isSet)) return null;
  const all = INTROSPECTION.map((name) => `TIDINGS_${name}`).join(", ");
  return `TIDINGS_${missing} is not set: introspection takes all of ${all}`;
}

function wrongOrigins({ issuer, autoVerify, autoVerifyOrigins }: AccessSettings): string | null {
  if (autoVerifyOrigins.length > 0 && autoVerify === "off") {
    return "TIDINGS_AUTO_VERIFY_ORIGINS is set but TIDINGS_AUTO_VERIFY is off: set it to on";
  }
  for (const { issuer: named, userId } of autoVerifyOrigins) {
    if (named === undefined ? issuer.length === 1 : issuer.includes(named)) continue;
    const whose = JSON.stringify(userId);
    return `TIDINGS_AUTO_VERIFY_ORIGINS must name one of TIDINGS_ISSUER before ${whose}, written issuer user=origin`;
  }
  return null;
}
