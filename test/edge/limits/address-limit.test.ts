import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createAddressLimit } from "../../../edge/limits/address-limit.ts";
import { networkOf } from "../../../edge/limits/client-address.ts";

describe("the limit of addresses", () => {
  it("gives an address its rate, and all of an IPv6 /48 that of eight", () => {
    const limit = createAddressLimit({ perSecond: 1, now: () => 0, mostKeys: 100_000 });
    const passed = (address: (n: number) => string, tries: number) =>
      Array.from({ length: tries }, (_, n) => limit.take(address(n))).filter((waitS) => waitS === 0).length;
    assert.equal(passed(() => "203.0.113.1", 100), 10);
    assert.equal(passed(() => "2001:db8::/64", 100), 10);
    assert.equal(passed((n) => `2001:db8:1:${n.toString(16)}::/64`, 60_000), 80);
    assert.equal(passed(() => "2001:db8:2::/64", 100), 10, "another's /48");
  });

  it("knows the /48 of a /64, and none of an IPv4 address", () => {
    assert.equal(networkOf("2001:db8:1:2::/64"), "2001:db8:1::/48");
    assert.equal(networkOf("203.0.113.1"), undefined);
  });
});
