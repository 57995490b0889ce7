// Keys for tests, made once in each process: a core's, and one of an edge that this core knows.
import { createSecrets } from "../../core/keys/secrets.ts";
import { createSigners, type Signers } from "../../core/keys/signers.ts";
import { subscriptionIdOf } from "../../core/state/ids.ts";
import type { Secrets } from "../../core/keys/secrets.ts";
import { makeCoreKey, makeEdgeKey, publicHalf } from "../../shared/jwks.ts";
import { createSealer, sealingSubject } from "../../shared/sealed-secret.ts";

export const CORE_KEY = await makeCoreKey();
export const EDGE_KEY = await makeEdgeKey();
/** The edge as a core knows it. */
export const EDGES = [{ kty: EDGE_KEY.kty, crv: EDGE_KEY.crv, kid: EDGE_KEY.kid, x: EDGE_KEY.x }];
export const SECRETS = await createSecrets([CORE_KEY]);
const sealer = await createSealer(publicHalf(CORE_KEY));

/** Seals a secret for this core, as an edge does. */
export function sealedFor(topic: string, callback: string, secret: string): Promise<string> {
  return sealer.seal(secret, sealingSubject(subscriptionIdOf(topic, callback)));
}

/** Secrets that are not sealed, for tests of signing. */
export const OPEN_SECRETS: Pick<Secrets, "open" | "forSignature" | "isSame" | "isCurrent" | "seal" | "reseal"> = {
  open: (secret) => secret,
  forSignature: (secret) => secret,
  isSame: (one, other) => one === other,
  isCurrent: () => true,
  seal: (secret) => Promise.resolve(secret),
  reseal: (secret) => Promise.resolve(secret),
};
export const OPEN_SIGNERS: Signers = createSigners({ secrets: OPEN_SECRETS, random: Math.random });
