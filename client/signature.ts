// Whether a delivery comes from someone who knows the secret: X-Hub-Signature (§7.1) and Standard Webhooks, side by side.
// WebCrypto only, so that it runs wherever a subscriber does; comparisons take the same time wherever they fail.

import { bytesOfBase64 } from "../shared/encoding.ts";
import { webhookContent, webhookKeyOf } from "../shared/standard-webhooks.ts";

export type Verdict = "good" | "wrong" | "missing";

export interface Checked {
  /** `X-Hub-Signature`, over the body. */
  readonly hub: Verdict;
  /** `webhook-signature`, over id, timestamp and body; "stale": right, but the timestamp is over 5 minutes off. */
  readonly webhook: Verdict | "stale";
  /** The body can be trusted: one of them is good, and the other is good or missing. */
  readonly good: boolean;
}

export type CheckSignatures = (headers: Headers, body: Uint8Array<ArrayBuffer>, nowMs: number) => Promise<Checked>;

const TOLERANCE_MS = 5 * 60_000;
const METHODS: ReadonlyMap<string, string> = new Map([
  ["sha1", "SHA-1"],
  ["sha256", "SHA-256"],
  ["sha384", "SHA-384"],
  ["sha512", "SHA-512"],
]);
const encode = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

/** Makes the check for one subscription's secret (1 byte or more). */
export function createSignatureCheck(secret: string): CheckSignatures {
  const keys = new Map<string, Promise<CryptoKey>>();
  const keyOf = (bytes: Uint8Array<ArrayBuffer>, hash: string, use: string): Promise<CryptoKey> => {
    const known = keys.get(use);
    if (known !== undefined) return known;
    const key = crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash }, false, ["verify"]);
    keys.set(use, key);
    return key;
  };

  const checkHub = async (header: string | null, body: Uint8Array<ArrayBuffer>): Promise<Verdict> => {
    if (header === null) return "missing";
    const [, method = "", hex = ""] = /^(\w+)=([0-9a-f]+)$/i.exec(header.trim()) ?? [];
    const hash = METHODS.get(method.toLowerCase());
    // §7.1: a method that we do not know cannot vouch for anything.
    if (hash === undefined || hex.length % 2 !== 0) return "wrong";
    const key = await keyOf(encode(secret), hash, `hub ${hash}`);
    return await crypto.subtle.verify("HMAC", key, Uint8Array.from(bytesOfHex(hex)), body) ? "good" : "wrong";
  };

  const checkWebhook = async (
    headers: Headers,
    body: Uint8Array<ArrayBuffer>,
    nowMs: number,
  ): Promise<Verdict | "stale"> => {
    const [id, timestamp, signatures] = ["id", "timestamp", "signature"].map((name) => headers.get(`webhook-${name}`));
    if (!signatures) return "missing";
    const key = await keyOf(webhookKeyOf(secret), "SHA-256", "webhook");
    const signed = webhookContent(id ?? "", timestamp ?? "", body);
    for (const signature of signatures.split(" ")) {
      const claimed = signature.startsWith("v1,") ? bytesOfBase64(signature.slice(3)) : null;
      if (claimed === null || !await crypto.subtle.verify("HMAC", key, claimed, signed)) continue;
      return Math.abs(Number(timestamp) * 1_000 - nowMs) <= TOLERANCE_MS ? "good" : "stale";
    }
    return "wrong";
  };

  return async (headers, body, nowMs) => {
    const hub = await checkHub(headers.get("x-hub-signature"), body);
    const webhook = await checkWebhook(headers, body, nowMs);
    const both: readonly string[] = [hub, webhook];
    return { hub, webhook, good: both.includes("good") && both.every((each) => each === "good" || each === "missing") };
  };
}

function bytesOfHex(hex: string): number[] {
  return (hex.match(/../g) ?? []).map((pair) => parseInt(pair, 16));
}
