// Whether a token is meant for this hub and valid now: the claims that say for whom and when (RFC 7519 §4.1, WIRE §6).

import type { Claims } from "./client.ts";
import { seenIn, shown, TokenRefusal } from "./token-refusal.ts";

export interface AudienceRules {
  /** AUDIENCE; `*` is any. */
  readonly audience: readonly string[];
  /** MOSIP's tokens name in `azp` the client that they were made for. */
  readonly matchAzp: boolean;
}

/** Clocks of issuers may be this far ahead of ours, s; a token is never accepted after its `exp`. */
const SKEW_S = 5;

/** @throws {TokenRefusal} "expired", "not_yet_valid", "audience". `time` is ms since 1970. */
export function checkAudience(claims: Claims, { audience, matchAzp }: AudienceRules, time: number): void {
  const { exp, nbf, aud, azp } = claims;
  if (exp !== undefined && !(typeof exp === "number" && exp * 1_000 > time)) {
    throw expired(claims);
  }
  if (nbf !== undefined && !(typeof nbf === "number" && (nbf - SKEW_S) * 1_000 <= time)) {
    throw notYetValid(claims);
  }
  if (audience.includes("*")) return;
  const named: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  const meant = matchAzp ? [...named, azp] : named;
  if (meant.some((name) => typeof name === "string" && audience.includes(name))) return;
  const azpToo = matchAzp ? ` and its azp ${shown(azp)}` : "";
  throw new TokenRefusal(
    "audience",
    `The access token is not for this hub: its audience is another; its aud is ${shown(aud)}${azpToo}.`,
    {
      seen: seenIn(claims),
      expected: `one of TIDINGS_AUDIENCE (${audience.join(", ")}) in aud${matchAzp ? " or azp" : ""}`,
    },
  );
}

export function expired(claims: Claims): TokenRefusal {
  return new TokenRefusal("expired", "The access token has expired; get a new one.", {
    seen: seenIn(claims),
    expected: "an exp to come, by this machine's clock",
  });
}

export function notYetValid(claims: Claims): TokenRefusal {
  return new TokenRefusal("not_yet_valid", "The access token is not valid yet: its nbf is still to come.", {
    seen: seenIn(claims),
    expected: `an nbf at most ${SKEW_S} s ahead of this machine's clock`,
  });
}
