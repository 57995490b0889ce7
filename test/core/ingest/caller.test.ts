import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseCaller } from "../../../core/ingest/caller.ts";

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
  it("is anyone, or who signed", () => {
    assert.deepEqual(parseCaller('{"kind":"anyone"}'), { kind: "anyone" });
    assert.deepEqual(parseCaller(JSON.stringify(SIGNED)), SIGNED);
  });

  it("is never taken to be anyone", () => {
    const WRONG = [
      undefined,
      "",
      "null",
      "{}",
      "{",
      '"anyone"',
      '{"kind":"operator"}',
      JSON.stringify({ ...SIGNED, signature: undefined }),
      JSON.stringify({ ...SIGNED, timestamp: 1 }),
      JSON.stringify({ ...SIGNED, bodySha256: "" }),
    ];
    for (const json of WRONG) {
      assert.throws(() => parseCaller(json), { code: "invalid_request", message: /does not say who asks/ }, json);
    }
  });
});
