// Whether a token is meant for this hub and valid now: the claims that say for whom and when (RFC 7519 §4.1, WIRE §6).

import { HubError } from "../answers/hub-error.ts";
import type { Claims } from "./client.ts";

export interface AudienceRules {
  /** AUDIENCE; `*` is any. */
  readonly audience: readonly string[];
  /** MOSIP's tokens name in `azp` the client that they were made for. */
  readonly matchAzp: boolean;
}

/** Clocks of issuers may be this far ahead of ours, s; a token is never accepted after its `exp`. */
const SKEW_S = 5;

/** @throws {HubError} "invalid_token": expired, not valid yet, or for another audience. `time` is ms since 1970. */
export function checkAudience(claims: Claims, { audience, matchAzp }: AudienceRules, time: number): void {
  const { exp, nbf, aud, azp } = claims;
  if (exp !== undefined && !(typeof exp === "number" && exp * 1_000 > time)) {
    throw new HubError("invalid_token", "The access token has expired; get a new one.");
  }
  if (nbf !== undefined && !(typeof nbf === "number" && (nbf - SKEW_S) * 1_000 <= time)) {
    throw new HubError("invalid_token", "The access token is not valid yet.");
  }
  if (audience.includes("*")) return;
  const named: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  const meant = matchAzp ? [...named, azp] : named;
  if (meant.some((name) => typeof name === "string" && audience.includes(name))) return;
  throw new HubError("invalid_token", "The access token is not for this hub: its audience is another.");
}
