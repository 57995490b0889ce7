import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, it } from "node:test";
import { createSigners, type Signing } from "../../core/keys/signers.ts";
import { createSignatureCheck } from "../../client/signature.ts";
import { createPing } from "../../shared/outbound/verification-ping.ts";
import { encodedKeyOf, webhookContent, webhookKeyOf } from "../../shared/standard-webhooks.ts";

const encode = (text: string) => new TextEncoder().encode(text);

/** Secrets with the key that each means; null: its own bytes. */
const SECRETS = [
  ["plain", null],
  ["whsec", null],
  ["whsec_", null],
  ["whsec_MTIz", "123"],
  ["whsec_MTI=", "12"],
  ["whsec_MTI", "12"],
  ["whsec_/+8=", "\u00ff\u00ef"],
  // No base64: a character too many, a wrong padding, a space, nothing.
  ["whsec_MTIzA", null],
  ["whsec_MTI==", null],
  ["whsec_MT=", null],
  ["whsec_MTIz ", null],
  ["whsec_====", null],
  ["whsec_A", null],
  ["x whsec_MTIz", null],
] as const;

describe("the key of a Standard Webhooks signature (WIRE §3)", () => {
  for (const [secret, meant] of SECRETS) {
    const key = meant === null ? encode(secret) : Uint8Array.from(meant, (character) => character.charCodeAt(0));

    it(`is the same to deliveries, pings and the listener: ${JSON.stringify(secret)}`, async () => {
      assert.deepEqual(webhookKeyOf(secret), key);
      assert.equal(encodedKeyOf(secret) !== undefined, meant !== null);

      const signers = createSigners({ secrets: { open: () => secret }, random: Math.random });
      const { standard, encoding }: Signing = signers.of({ sealed: "", subscriptionId: "", signing: undefined });
      assert.deepEqual(Uint8Array.from(Buffer.from(standard, encoding)), key, "a delivery's");

      const body = encode("{}");
      const signature = createHmac("sha256", key).update("msg_1.1700000000.{}").digest("base64");
      const headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1700000000",
        "webhook-signature": `v1,${signature}`,
      };
      const { webhook } = await createSignatureCheck(secret)(new Headers(headers), body, 1_700_000_000_000);
      assert.equal(webhook, "good", "the listener's");

      const challenge = "c".repeat(43);
      const ping = await createPing({ topic: "t", secret }, { challenge, method: "sha256", nowMs: 1_700_000_000_000 });
      const over = webhookContent(`ping_${challenge}`, "1700000000", ping.body);
      const made = createHmac("sha256", key).update(over).digest("base64");
      assert.equal(ping.headers["webhook-signature"], `v1,${made}`, "a ping's");
    });
  }
});
