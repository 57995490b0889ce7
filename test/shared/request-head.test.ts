import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { linkTarget } from "../../shared/request-head.ts";

describe("what stands between a Link's angle brackets", () => {
  const CASES: readonly (readonly [given: string, sent: string])[] = [
    ["https://example.com/a?b=c&d=%20e#f", "https://example.com/a?b=c&d=%20e#f"],
    ["http://[::1]:8080/;a,b'(c)*!$+@=~_.-", "http://[::1]:8080/;a,b'(c)*!$+@=~_.-"],
    ['a>; rel="hub", <b', "a%3E;%20rel=%22hub%22,%20%3Cb"],
    ["partner 1/EVENT|x", "partner%201/EVENT%7Cx"],
    ["100%", "100%25"],
    ["%zz %2f", "%25zz%20%2f"],
    ["é日\u{1F600}", "%C3%A9%E6%97%A5%F0%9F%98%80"],
    ["a\r\nb\t\\^`{}", "a%0D%0Ab%09%5C%5E%60%7B%7D"],
  ];
  for (const [given, sent] of CASES) {
    it(`${JSON.stringify(given)} is sent as ${sent}`, () => assert.equal(linkTarget(given), sent));
  }

  it("is visible ASCII without brackets or quotes, whatever was given, and says the same when encoded again", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
      const sent = linkTarget(text);
      assert.match(sent, /^[\x21\x23-\x3b\x3d\x3f-\x7e]*$/);
      assert.equal(linkTarget(sent), sent);
    }));
  });
});
