import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseCaller } from "../../../core/requests/caller.ts";

const SIGNED = {
  kind: "signature",
  method: "GET",
  path: "/messages",
  query: "a=%20'",
  timestamp: "1",
  signature: "v1=x",
  bodySha256: "0".repeat(64),
};

describe("who asks", () => {
  it("is anyone, a client, an operator, or a signer", () => {
    for (const kind of ["client", "operator"]) {
      const caller = { kind, issuer: "https://a", userId: "é" };
      assert.deepEqual(parseCaller(JSON.stringify(caller)), caller);
    }
    assert.deepEqual(parseCaller('{"kind":"anyone"}'), { kind: "anyone" });
    assert.deepEqual(parseCaller(JSON.stringify(SIGNED)), SIGNED);
  });

  it("is not anyone if it is missing or wrong", () => {
    const WRONG = [
      undefined,
      "",
      "null",
      "{}",
      "{",
      '"anyone"',
      '{"kind":"operator"}',
      '{"kind":"client","issuer":"https://a"}',
      '{"kind":"client","issuer":"https://a","userId":""}',
      '{"kind":"owner","issuer":"https://a","userId":"a"}',
      JSON.stringify({ ...SIGNED, signature: undefined }),
      JSON.stringify({ ...SIGNED, timestamp: 1 }),
      JSON.stringify({ ...SIGNED, bodySha256: "" }),
    ];
    for (const json of WRONG) {
      assert.throws(() => parseCaller(json), { code: "invalid_request", message: /does not say who asks/ }, json);
    }
  });
});
