import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import type { Target } from "../../../../core/delivery/lane/target.ts";
import { attemptHeaders, createSignedHeaders } from "../../../../core/delivery/sending/headers.ts";
import type { SignatureMethod } from "../../../../shared/signature-methods.ts";
import type { Message } from "../../../../core/messages/message.ts";
import { OPEN_SIGNERS } from "../../../support/keys.ts";
import { messageAt, targetOf } from "../../../support/rigs/lanes.ts";
import { hubSignature } from "../../../support/signatures.ts";

const NOW = 1_700_000_000_987;

function signingOf({ signer }: Target) {
  return signer === undefined ? undefined : OPEN_SIGNERS.of(signer);
}

function headersOf(
  { secret, message = messageAt(7), algorithm = "sha256", topic = "https://example.com/feed" }: {
    secret?: string;
    message?: Message;
    algorithm?: SignatureMethod;
    topic?: string;
  },
): Record<string, string> {
  const target = targetOf({ topic, callback: "http://a.example/cb?x=1", secret });
  const lines = attemptHeaders(target, message, {
    userAgent: "tidings/1",
    algorithm,
    signing: signingOf(target),
    now: NOW,
  });
  const headers: Record<string, string> = {};
  for (let index = 0; index < lines.length; index += 2) {
    assert.ok(!(lines[index]! in headers), `${lines[index]} twice`);
    headers[lines[index]!] = lines[index + 1]!;
  }
  return headers;
}

describe("the headers of an attempt (WIRE §3)", () => {
  const PLAIN = {
    "content-type": "text/plain",
    link: '<http://hub.example/hub>; rel="hub", <https://example.com/feed>; rel="self"',
    "webhook-id": "msg_7",
    "webhook-timestamp": "1700000000",
    "x-hub-cursor": "cursor_7",
    "user-agent": "tidings/1",
  };

  it("WIRE §2 are signed as the subscription chose, else as the hub does, and not at all without a secret", () => {
    const signedHeaders = createSignedHeaders({ signers: OPEN_SIGNERS, userAgent: "tidings/1", signature: "sha384" });
    const signatureOf = (recipient: { secret?: string; signature?: SignatureMethod }) => {
      const target = targetOf({ topic: "t", callback: "http://a.example/", ...recipient });
      const lines = signedHeaders(target, messageAt(7), NOW);
      assert.ok(Array.isArray(lines));
      return lines[lines.indexOf("x-hub-signature") + 1];
    };
    const body = Buffer.from("7");
    assert.equal(signatureOf({ secret: "s" }), hubSignature("s", body, "sha384"));
    assert.equal(signatureOf({ secret: "s", signature: "sha1" }), hubSignature("s", body, "sha1"));
    assert.equal(signatureOf({ signature: "sha1" }), "content-type", "there is none");
  });

  it("are exactly these without a secret (H66)", () => {
    assert.deepEqual(headersOf({}), PLAIN);
  });

  it("carry on the trace and the publisher's allow-listed headers", () => {
    const message = messageAt(7, { traceparent: "00-a-b-01", extra: ["content-language", "de", "ce-id", "9"] });
    assert.deepEqual(headersOf({ message }), {
      ...PLAIN,
      traceparent: "00-a-b-01",
      "content-language": "de",
      "ce-id": "9",
    });
  });

  it("say what a fetched topic advertised instead of the hub's own Link", () => {
    const message = messageAt(7, { link: '<https://other.example/>; rel="hub", <https://t.example/>; rel="self"' });
    assert.equal(headersOf({ message }).link, message.link);
  });

  it("with a secret add both signatures, and nothing else", () => {
    const message = messageAt(7, { body: randomBytes(1_000) });
    const { "x-hub-signature": hub, "webhook-signature": standard, ...rest } = headersOf({ message, secret: "geheim" });
    assert.deepEqual(rest, PLAIN);
    assert.equal(hub, hubSignature("geheim", message.body));
    const expected = createHmac("sha256", "geheim").update("msg_7.1700000000.").update(message.body).digest("base64");
    assert.equal(standard, `v1,${expected}`);
  });

  it("sign by the method that SIGNATURE chooses, in lower-case hex of its length (H64)", () => {
    for (const [algorithm, length] of [["sha1", 40], ["sha256", 64], ["sha384", 96], ["sha512", 128]] as const) {
      const message = messageAt(7, { body: Buffer.alloc(0) });
      const signature = headersOf({ message, secret: "s", algorithm })["x-hub-signature"]!;
      assert.match(signature, new RegExp(`^${algorithm}=[0-9a-f]{${length}}$`));
      assert.equal(signature, hubSignature("s", message.body, algorithm));
    }
  });

  for (
    const secret of ["ü&+%= 日本", "a".repeat(199), "\u0000", "whsec", "whsec_", "whsec_not base64!", "x whsec_MTIz"]
  ) {
    it(`key both signatures with the bytes of ${JSON.stringify(secret.slice(0, 20))} (H65)`, () => {
      const { "x-hub-signature": hub, "webhook-signature": standard } = headersOf({ secret });
      const body = Buffer.from("7");
      assert.equal(hub, hubSignature(secret, body));
      const hmac = createHmac("sha256", Buffer.from(secret)).update("msg_7.1700000000.7");
      assert.equal(standard, `v1,${hmac.digest("base64")}`);
    });
  }

  it("key Standard Webhooks' signature with what follows whsec_, decoded, and X-Hub-Signature with all of it", () => {
    // The example of the Standard Webhooks specification.
    const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const { "x-hub-signature": hub, "webhook-signature": standard } = headersOf({ secret });
    assert.equal(hub, hubSignature(secret, Buffer.from("7")));
    const key = Buffer.from("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "base64");
    assert.equal(standard, `v1,${createHmac("sha256", key).update("msg_7.1700000000.7").digest("base64")}`);
  });

  it("never sign with an empty key, which anyone could", () => {
    const { "webhook-signature": standard } = headersOf({ secret: "whsec_A" });
    const empty = createHmac("sha256", Buffer.alloc(0)).update("msg_7.1700000000.7").digest("base64");
    assert.notEqual(standard, `v1,${empty}`);
  });

  it("are equal on all attempts under one secret, but for the time and what depends on it", () => {
    const target = targetOf({ topic: "t", callback: "http://a.example/", secret: "s" });
    const at = (now: number) =>
      attemptHeaders(target, messageAt(7), { userAgent: "u", algorithm: "sha256", signing: signingOf(target), now })
        .filter((_, index, all) => {
          const name = all[index - (index % 2)];
          return name !== "webhook-timestamp" && name !== "webhook-signature";
        });
    assert.deepEqual(at(0), at(1e12));
  });
});
