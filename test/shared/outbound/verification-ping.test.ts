import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, it } from "node:test";
import type { OutboundAnswer, OutboundRequest } from "../../../shared/outbound/outbound.ts";
import { createPing } from "../../../shared/outbound/verification-ping.ts";
import { verifyIntent } from "../../../shared/outbound/verification.ts";

const CHALLENGE = "c".repeat(43);
const NOW = 1_700_000_000_123;
const TOPIC = "https://news.example/é";

const ping = (secret?: string, method: "sha1" | "sha256" | "sha384" | "sha512" = "sha256") =>
  createPing({ topic: TOPIC, leaseMs: 61_999, ...(secret === undefined ? {} : { secret }) }, {
    challenge: CHALLENGE,
    method,
    nowMs: NOW,
  });

describe("WIRE §2 the ping that verifies", () => {
  it("says what is asked, as JSON", async () => {
    const { body, headers } = await ping();
    assert.deepEqual(JSON.parse(new TextDecoder().decode(body)), {
      "hub.mode": "ping",
      "hub.topic": TOPIC,
      "hub.challenge": CHALLENGE,
      "hub.lease_seconds": 61,
    });
    assert.deepEqual(headers, {
      "content-type": "application/json",
      "webhook-id": `ping_${CHALLENGE}`,
      "webhook-timestamp": "1700000000",
    }, "without a secret nothing is signed");
  });

  it("is signed as a delivery: §7.1 over the body, Standard Webhooks over id, time and body", async () => {
    for (const method of ["sha1", "sha256", "sha384", "sha512"] as const) {
      const { body, headers } = await ping("sécret", method);
      assert.equal(headers["x-hub-signature"], `${method}=${createHmac(method, "sécret").update(body).digest("hex")}`);
    }
    const key = Buffer.from("0123456789");
    for (
      const [secret, bytes] of [["plain", Buffer.from("plain")], [`whsec_${key.toString("base64")}`, key]] as const
    ) {
      const { body, headers } = await ping(secret);
      const signed = createHmac("sha256", bytes).update(`ping_${CHALLENGE}.1700000000.`).update(body).digest("base64");
      assert.equal(headers["webhook-signature"], `v1,${signed}`);
    }
    for (const secret of ["whsec_", "whsec_A", "whsec_===="]) {
      const { body, headers } = await ping(secret);
      const signed = createHmac("sha256", secret).update(`ping_${CHALLENGE}.1700000000.`).update(body).digest("base64");
      assert.equal(headers["webhook-signature"], `v1,${signed}`, "what decodes to nothing is the key itself");
    }
  });

  const answer = (status: number, body = ""): OutboundAnswer => ({
    kind: "answer",
    status,
    headers: {},
    body: new TextEncoder().encode(body),
    url: "",
  });
  async function verify(mode: "subscribe" | "unsubscribe", answers: OutboundAnswer[]) {
    const calls: OutboundRequest[] = [];
    const result = await verifyIntent({ mode, topic: TOPIC, callback: "http://c.example/cb?x", secret: "s" }, {
      outbound: {
        supports: { pinning: true },
        call: async (call) => answers[Math.min(calls.push(call), answers.length) - 1]!,
        close: async () => {},
      },
      method: { by: "ping", signature: "sha256" },
      now: () => 0,
      clock: () => NOW,
      challenge: () => CHALLENGE,
      pause: async () => {},
    });
    assert.ok(result.kind === "result");
    return { verified: result.verified, calls };
  }

  it("is confirmed by any 2xx, whatever its body; by nothing else; a 5xx is asked again", async () => {
    for (
      const [status, verified] of [[200, true], [204, true], [299, true], [301, false], [400, false], [410, false]]
    ) {
      const { verified: found, calls } = await verify("subscribe", [answer(Number(status), "whatever")]);
      assert.deepEqual([found, calls.length], [verified, 1], String(status));
      assert.deepEqual([calls[0]!.method, calls[0]!.url], ["POST", "http://c.example/cb?x"]);
      assert.equal(calls[0]!.maxRedirects, undefined);
    }
    const { verified, calls } = await verify("subscribe", [answer(500), answer(503), answer(200)]);
    assert.deepEqual([verified, calls.length], [true, 3]);
  });

  it("does not stand in for the challenge of an unsubscribe", async () => {
    const { verified, calls } = await verify("unsubscribe", [answer(200)]);
    assert.deepEqual([verified, calls[0]!.method], [false, "GET"]);
    assert.equal((await verify("unsubscribe", [answer(200, CHALLENGE)])).verified, true);
  });
});
