import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Addressed, Addresses, linkTarget } from "../../../../core/delivery/lane/target.ts";
import { UrlError } from "../../../../shared/http-url.ts";
import { targetOf } from "../../../support/rigs/lanes.ts";

const addressed = (callback: string): Addressed => ({ recipient: { topic: "t", callback }, address: undefined });

describe("addresses", () => {
  it("§6.7 are kept for only so many lanes, and made again for the others", () => {
    const addresses = new Addresses({ hubUrl: "http://hub.example/hub", random: Math.random, most: 10 });
    const lanes = Array.from({ length: 100 }, (_, n) => addressed(`http://a.example/${n}`));
    for (let round = 0; round < 3; round++) {
      for (const [n, lane] of lanes.entries()) {
        const { url, link } = addresses.of(lane);
        assert.equal(url.target, `/${n}`);
        assert.equal(link, '<http://hub.example/hub>; rel="hub", <t>; rel="self"');
        assert.equal(addresses.of(lane).url, url, "not made for each attempt");
        assert.ok(lanes.filter(({ address }) => address !== undefined).length <= 10);
      }
    }
  });

  it("of a callback that is not an http(s) URL are refused", () => {
    const addresses = new Addresses({ hubUrl: "http://hub.example/hub", random: Math.random });
    for (const callback of ["", "ftp://a/", "/relative", "http://", "http://a/#f", "http://u@a/"]) {
      assert.throws(() => addresses.of(addressed(callback)), UrlError);
    }
  });
});

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

describe("a target", () => {
  it("is called as it was given, in characters that a URL may have", () => {
    const { url } = targetOf({ topic: "t", callback: "http://A.Example:81/ü/%7e?q=%2F&&=é" });
    assert.equal(url.origin, "http://a.example:81");
    assert.equal(url.target, "/%C3%BC/%7e?q=%2F&&=%C3%A9");
  });
});
