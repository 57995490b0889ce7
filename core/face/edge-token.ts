// The token by which an edge opens a session: a JWT under the edge's own key (ARCHITECTURE §5).
import { decodeProtectedHeader, errors, importJWK, jwtVerify } from "jose";
import type { EdgePublicKey } from "../../shared/jwks.ts";
import { CLOCK_SKEW_MS, SESSION_ALGORITHM, SESSION_AUDIENCE } from "../../shared/session-api.ts";

export type EdgeTokenVerdict =
  /** `tokenId` is unique among the tokens of all edges. */
  | { readonly kind: "edge"; readonly edge: string; readonly tokenId: string }
  | {
    readonly kind: "refused";
    readonly reason: "unknown_edge" | "bad_token" | "stale_clock";
    readonly message: string;
  };

/** Which of `edges` a request's `Authorization` header speaks for, at `time`, ms since 1970. */
export async function verifyEdgeToken(
  authorization: string | null,
  edges: readonly EdgePublicKey[],
  time: number,
): Promise<EdgeTokenVerdict> {
  const token = /^Bearer ([A-Za-z0-9_.-]{1,2048})$/.exec(authorization ?? "")?.[1];
  if (token === undefined) return refused("bad_token", "The request has no edge's token; open a session with one");
  let kid: string | undefined;
  try {
    kid = decodeProtectedHeader(token).kid;
  } catch {
    return refused("bad_token", "The edge's token is not a JWT");
  }
  const known = edges.find((edge) => edge.kid === kid);
  if (known === undefined) {
    const name = JSON.stringify(kid ?? "").slice(0, 70);
    return refused("unknown_edge", `Edge key ${name} is not known here; add its public half to TIDINGS_EDGE_KEYS`);
  }
  try {
    const { payload } = await jwtVerify(token, await importJWK(known, SESSION_ALGORITHM), {
      algorithms: [SESSION_ALGORITHM],
      audience: SESSION_AUDIENCE,
      requiredClaims: ["iat", "jti"],
      maxTokenAge: CLOCK_SKEW_MS / 1_000,
      // jose refuses an issue time that is further ahead of this clock.
      clockTolerance: CLOCK_SKEW_MS / 1_000,
      currentDate: new Date(time),
    });
    if (typeof payload.jti !== "string" || payload.jti.length > 64) throw new Error("its jti is wrong");
    return { kind: "edge", edge: known.kid, tokenId: `${known.kid} ${payload.jti}` };
  } catch (error) {
    const stale = error instanceof errors.JWTExpired ||
      (error instanceof errors.JWTClaimValidationFailed && error.claim === "iat");
    if (stale) return refused("stale_clock", "The edge's token is too old, or of the future: compare the clocks");
    return refused("bad_token", `The edge's token is not valid: ${(error as Error).message}`);
  }
}

function refused(reason: (EdgeTokenVerdict & { kind: "refused" })["reason"], message: string): EdgeTokenVerdict {
  return { kind: "refused", reason, message };
}
