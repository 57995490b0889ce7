// VERIFICATION=ping (WIRE §2): a subscribe is verified by a POST that any 2xx confirms, signed like a delivery (WIRE §3). This
// leaves the letter of §5.3, so it is off by default.

import { base64Of, hexOf } from "../encoding.ts";
import type { SignatureMethod } from "../signature-methods.ts";
import { webhookContent, webhookKeyOf } from "../standard-webhooks.ts";

/** The intent that a ping asks about. */
export interface PingIntent {
  readonly topic: string;
  readonly leaseMs?: number;
  readonly secret?: string;
}

export interface Ping {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

const HASHES = { sha1: "SHA-1", sha256: "SHA-256", sha384: "SHA-384", sha512: "SHA-512" } as const;
const encoder = new TextEncoder();

/** The POST that asks. `nowMs` is ms since 1970. */
export async function createPing(
  { topic, leaseMs = 0, secret }: PingIntent,
  { challenge, method, nowMs }: { challenge: string; method: SignatureMethod; nowMs: number },
): Promise<Ping> {
  const body = encoder.encode(JSON.stringify({
    "hub.mode": "ping",
    "hub.topic": topic,
    "hub.challenge": challenge,
    "hub.lease_seconds": Math.floor(leaseMs / 1_000),
  }));
  const id = `ping_${challenge}`;
  const timestamp = String(Math.floor(nowMs / 1_000));
  const headers = { "content-type": "application/json", "webhook-id": id, "webhook-timestamp": timestamp };
  if (secret === undefined) return { headers, body };
  const hub = await hmac(HASHES[method], encoder.encode(secret), body);
  const standard = await hmac("SHA-256", webhookKeyOf(secret), webhookContent(id, timestamp, body));
  return {
    headers: {
      ...headers,
      "x-hub-signature": `${method}=${hexOf(hub)}`,
      "webhook-signature": `v1,${base64Of(standard)}`,
    },
    body,
  };
}

async function hmac(hash: string, key: Uint8Array, data: Uint8Array): Promise<Uint8Array> {
  const imported = await crypto.subtle.importKey("raw", key as BufferSource, { name: "HMAC", hash }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, data as BufferSource));
}
