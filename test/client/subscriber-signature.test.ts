import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { signRequest } from "../../client/subscriber-signature.ts";
import { signedText, wrongSignature } from "../../core/requests/subscriber-signature.ts";

const NOW = 1_767_225_600_000;
const SECRET = "a secret";
const REPLAY = {
  method: "POST",
  target: "/dead-letters/replay",
  body: "topic=orders&callback=https%3A%2F%2Fsubscriber.example%2Fcallback",
  idempotencyKey: "replay-1",
};

describe("WIRE §5 the signature of a request by client/", () => {
  it("is that of the example in docs/WIRE.md", async () => {
    const wire = readFileSync(new URL("../../docs/WIRE.md", import.meta.url), "utf8");
    const [, text, signature] = /```text\n(POST\n[^`]*?)\nX-Subscriber-Signature: (\S+)\n```/.exec(wire) ?? [];
    const signed = await signRequest(SECRET, REPLAY, NOW);
    assert.deepEqual(signed, { "X-Subscriber-Timestamp": String(NOW / 1_000), "X-Subscriber-Signature": signature });
    const bodySha256 = createHash("sha256").update(REPLAY.body).digest("hex");
    const request = { method: "POST", path: REPLAY.target, query: "", timestamp: String(NOW / 1_000), bodySha256 };
    const headers = { idempotencyKey: REPLAY.idempotencyKey, lastEventId: "", events: false };
    assert.equal(signedText(request, headers), text);
  });

  it("is right for the core, with a query, a stream and bytes", async () => {
    const asked = { method: "GET", target: "/messages?topic=a?b&callback=c", lastEventId: "x", events: true } as const;
    for (const body of [undefined, "é", Uint8Array.of(0, 255)]) {
      const signed = await signRequest(SECRET, body === undefined ? asked : { ...asked, body }, NOW);
      const request = {
        method: "GET",
        path: "/messages",
        query: "topic=a?b&callback=c",
        timestamp: signed["X-Subscriber-Timestamp"],
        signature: signed["X-Subscriber-Signature"],
        bodySha256: createHash("sha256").update(body ?? "").digest("hex"),
        headers: { idempotencyKey: "", lastEventId: "x", events: true },
      };
      assert.equal(wrongSignature(request, SECRET, NOW), undefined);
    }
  });
});
