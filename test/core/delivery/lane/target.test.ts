import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Addressed, Addresses } from "../../../../core/delivery/lane/target.ts";
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

describe("a target", () => {
  it("is called as it was given, in characters that a URL may have", () => {
    const { url } = targetOf({ topic: "t", callback: "http://A.Example:81/ü/%7e?q=%2F&&=é" });
    assert.equal(url.origin, "http://a.example:81");
    assert.equal(url.target, "/%C3%BC/%7e?q=%2F&&=%C3%A9");
  });
});
