// Signatures computed without the code of the hub or the client, which tests compare with these.

import { createHmac } from "node:crypto";

/** What `X-Hub-Signature` must be for these bytes (§7.1). */
export function hubSignature(secret: string, body: Uint8Array, method = "sha256"): string {
  return `${method}=${createHmac(method, Buffer.from(secret, "utf8")).update(body).digest("hex")}`;
}

/** What is signed of a delivery: its `webhook-id`, its `webhook-timestamp` and its body. */
export interface Signed {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Uint8Array;
}

/** What `webhook-signature` must be for this delivery (Standard Webhooks, symmetric): over `id.timestamp.body`. */
export function webhookSignature(secret: string, { headers, body }: Signed): string {
  const key = secret.startsWith("whsec_") ? Buffer.from(secret.slice(6), "base64") : Buffer.from(secret, "utf8");
  const { "webhook-id": id, "webhook-timestamp": timestamp } = headers;
  const hmac = createHmac("sha256", key).update(`${String(id)}.${String(timestamp)}.`).update(body);
  return `v1,${hmac.digest("base64")}`;
}
