import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hostOf } from "../../../shared/shares/host-of.ts";

describe("the host by which shares are counted", () => {
  const table: readonly (readonly [string, string])[] = [
    ["hooks.example.com", "example.com"],
    ["a.b.c.example.co.uk", "example.co.uk"],
    ["example.com.", "example.com"],
    ["partner.github.io", "partner.github.io"],
    ["a.partner.github.io", "partner.github.io"],
    ["com", "com"],
    ["co.uk", "co.uk"],
    ["localhost", "localhost"],
    ["callbacks.svc.cluster.local", "cluster.local"],
    ["127.0.0.2", "127.0.0.2"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2/64"],
    ["2001:db8::6", "2001:db8:0:0/64"],
    ["::1", "0:0:0:0/64"],
    ["xn--bcher-kva.example", "xn--bcher-kva.example"],
    ["", ""],
  ];
  for (const [host, expected] of table) {
    it(`${host} counts as ${expected}`, () => assert.equal(hostOf(host), expected));
  }

  it("a name of any length costs little", () => {
    assert.equal(hostOf("a.".repeat(100_000)).length, 199_999);
  });
});
