import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { describe, it } from "node:test";
import { signedText, wrongSignature } from "../../../core/requests/subscriber-signature.ts";
import type { SignedRequest } from "../../../shared/core-api.ts";

const NOW = 1_800_000_000_000;
const SECRET = "s\u00e9cret";
const REQUEST = {
  method: "POST",
  path: "/subscriptions/ack",
  query: "a=1&b=%20",
  timestamp: String(NOW / 1_000),
  bodySha256: createHash("sha256").update("topic=t").digest("hex"),
};

/** Signs as WIRE §5 says, written out. */
function sign(request: Omit<SignedRequest, "signature">, secret = SECRET): SignedRequest {
  const text = `${request.method}\n${request.path}\n${request.query}\n${request.timestamp}\n${request.bodySha256}`;
  const base64 = createHmac("sha256", Buffer.from(secret, "utf8")).update(text, "utf8").digest("base64");
  return { ...request, signature: `v1=${base64}` };
}
const RIGHT = sign(REQUEST);
const wrong = (request: SignedRequest, secret: string | undefined = SECRET, now = NOW) =>
  wrongSignature(request, secret, now);

describe("WIRE §5 a subscriber's signature", () => {
  it("is over method, path, raw query, time and the body's hash, a line each", () => {
    assert.equal(
      signedText(REQUEST),
      `POST\n/subscriptions/ack\na=1&b=%20\n1800000000\n${REQUEST.bodySha256}`,
    );
    assert.equal(wrong(RIGHT), undefined);
    assert.equal(wrong(sign({ ...REQUEST, query: "" })), undefined);
  });

  it("is a plain HMAC of that text", () => {
    const signature = "v1=" +
      createHmac("sha256", "key").update("GET\n/messages\n\n1800000000\n" + "0".repeat(64)).digest("base64");
    const request = {
      method: "GET",
      path: "/messages",
      query: "",
      timestamp: "1800000000",
      bodySha256: "0".repeat(64),
    };
    assert.equal(wrong({ ...request, signature }, "key"), undefined);
  });

  const OTHERS: Readonly<Record<string, Partial<SignedRequest>>> = {
    method: { method: "GET" },
    "method's case": { method: "post" },
    path: { path: "/subscriptions/resume" },
    "path with a slash": { path: "/subscriptions/ack/" },
    query: { query: "a=1&b=+" },
    "order of the query": { query: "b=%20&a=1" },
    "no query": { query: "" },
    time: { timestamp: String(NOW / 1_000 + 1) },
    "spelling of the time": { timestamp: `0${NOW / 1_000}` },
    body: { bodySha256: createHash("sha256").update("topic=u").digest("hex") },
    "line moved from one field to the next": { path: "/subscriptions/ack\na=1&b=%20", query: "" },
  };
  for (const [what, other] of Object.entries(OTHERS)) {
    it(`is not that of another ${what}`, () => {
      assert.match(wrong({ ...RIGHT, ...other }) ?? "", /^X-Subscriber-Signature is not that of/);
    });
  }

  it("is wrong by any one bit of it", () => {
    const bytes = Buffer.from(RIGHT.signature.slice(3), "base64");
    assert.equal(bytes.length, 32);
    for (let bit = 0; bit < 256; bit++) {
      const other = Buffer.from(bytes);
      other[bit >> 3]! ^= 1 << (bit & 7);
      assert.notEqual(wrong({ ...RIGHT, signature: `v1=${other.toString("base64")}` }), undefined, `bit ${bit}`);
    }
  });

  it("has one spelling: not another one of the same bytes, no other scheme, no part of it", () => {
    const base64 = RIGHT.signature.slice(3);
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const spare = alphabet[alphabet.indexOf(base64[42]!) ^ 1]!;
    const SPELLINGS = [
      `v1=${base64.slice(0, 42)}${spare}=`,
      base64,
      `v2=${base64}`,
      `V1=${base64}`,
      `v1=${base64.slice(0, -1)}`,
      `v1=${base64}=`,
      `v1=${base64}\n`,
      ` v1=${base64}`,
      `v1=${base64},v1=${base64}`,
      `v1=${Buffer.from(base64, "base64").toString("hex")}`,
      "v1=",
      "",
    ];
    for (const signature of SPELLINGS) {
      assert.match(wrong({ ...RIGHT, signature }) ?? "", /^X-Subscriber-Signature /, JSON.stringify(signature));
    }
  });

  it("counts for 300 s before and after", () => {
    for (const [off, counts] of [[0, true], [300_000, true], [300_001, false], [3_600_000, false]] as const) {
      for (const now of [NOW + off, NOW - off]) {
        assert.equal(wrong(RIGHT, SECRET, now) === undefined, counts, `${now - NOW} ms off`);
      }
    }
    assert.match(wrong(RIGHT, SECRET, NOW + 400_000) ?? "", /^X-Subscriber-Timestamp is more than 300 s off/);
  });

  for (const timestamp of ["", "now", "-1", "1.8e9", "1800000000.5", " 1800000000", "0x6b49d200", "9".repeat(30)]) {
    it(`has a time in whole seconds, not ${JSON.stringify(timestamp)}`, () => {
      assert.match(wrong(sign({ ...REQUEST, timestamp })) ?? "", /^X-Subscriber-Timestamp must be/);
    });
  }

  it("never counts for a pair without a secret, also under an empty key; the answer is that to a wrong one", () => {
    const said = new Set([
      wrongSignature(RIGHT, undefined, NOW),
      wrongSignature(sign(REQUEST, ""), undefined, NOW),
      wrong(RIGHT, "other"),
    ]);
    assert.equal(said.size, 1);
    assert.ok(!said.has(undefined));
  });

  it("tells nobody a secret", () => {
    for (const other of [sign(REQUEST, "x"), { ...RIGHT, timestamp: "x" }, { ...RIGHT, signature: "x" }]) {
      assert.doesNotMatch(wrong(other) ?? "", /s\u00e9cret/);
    }
  });

  describe("v2= covers the headers that change what a request means, too", () => {
    const headers = { idempotencyKey: "k", lastEventId: "l", events: true };
    const { path } = REQUEST;
    const signed: SignedRequest = (() => {
      const text =
        `POST\n${path}\n${REQUEST.query}\n${REQUEST.timestamp}\n${REQUEST.bodySha256}\nk\nl\ntext/event-stream`;
      const base64 = createHmac("sha256", SECRET).update(text).digest("base64");
      return { ...REQUEST, headers, signature: `v2=${base64}` };
    })();

    it("is right with these headers and no others", () => {
      assert.equal(wrong(signed), undefined);
      for (
        const other of [
          { idempotencyKey: "" },
          { idempotencyKey: "k2" },
          { lastEventId: "" },
          { lastEventId: "k" },
          { events: false },
          { idempotencyKey: "l", lastEventId: "k" },
        ]
      ) assert.match(wrong({ ...signed, headers: { ...headers, ...other } }) ?? "", /is not that of a subscription/);
    });

    it("is not that of v1=, nor the other way round", () => {
      const none = { idempotencyKey: "", lastEventId: "", events: false };
      for (const covered of [headers, none]) {
        const asV2 = { ...RIGHT, headers: covered, signature: RIGHT.signature.replace("v1", "v2") };
        assert.notEqual(wrong(asV2), undefined);
        assert.notEqual(
          wrong({ ...signed, headers: covered, signature: signed.signature.replace("v2", "v1") }),
          undefined,
        );
      }
      assert.equal(wrong({ ...RIGHT, headers }), undefined, "v1= covers none of them");
    });

    it("of an edge that does not tell the headers is refused", () => {
      const { headers: _, ...untold } = signed;
      assert.match(wrong(untold) ?? "", /^X-Subscriber-Signature must be/);
    });
  });
});
