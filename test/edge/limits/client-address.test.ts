import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { clientAddress, isTrusted, namedAddress, parseNetworks } from "../../../edge/limits/client-address.ts";

const NONE = parseNetworks([]);
const PROXIES = parseNetworks(["10.0.0.0/8", "fd00::/8"]);

const ROWS: readonly [what: string, peer: string | undefined, forwarded: string | null, client: string | undefined][] =
  [
    ["no proxy", "203.0.113.7", null, "203.0.113.7"],
    ["a stranger who says that he forwards", "203.0.113.7", "198.51.100.1", "203.0.113.7"],
    ["one proxy", "10.0.0.1", "203.0.113.7", "203.0.113.7"],
    ["a client who says he is another, through one proxy", "10.0.0.1", "198.51.100.1, 203.0.113.7", "203.0.113.7"],
    ["two proxies", "10.0.0.1", "198.51.100.1, 203.0.113.7, 10.0.0.2", "203.0.113.7"],
    ["nothing but proxies", "10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"],
    ["a proxy that says nothing", "10.0.0.1", null, "10.0.0.1"],
    ["a proxy that does not know", "10.0.0.1", "203.0.113.7, unknown", "10.0.0.1"],
    ["garbage behind a proxy", "10.0.0.1", "203.0.113.7, <script>", "10.0.0.1"],
    ["an empty header", "10.0.0.1", "", "10.0.0.1"],
    ["a port", "10.0.0.1", "203.0.113.7:4711", "203.0.113.7"],
    ["a mapped peer", "::ffff:10.0.0.1", "203.0.113.7", "203.0.113.7"],
    ["a mapped client", "10.0.0.1", "::ffff:203.0.113.7", "203.0.113.7"],
    ["an IPv6 client: its /64", "2001:db8:1:2:3:4:5:6", null, "2001:db8:1:2::/64"],
    ["another address of the same /64", "2001:db8:1:2::ffff", null, "2001:db8:1:2::/64"],
    ["an IPv6 client with a port", "fd00::1", "[2001:db8::1]:443", "2001:db8::/64"],
    ["an IPv6 client in brackets", "fd00::1", "[2001:db8::1]", "2001:db8::/64"],
    ["a link-local peer with its zone", "fe80::1%eth0", null, "fe80::/64"],
    ["a short address, which is none here", "10.0.0.1", "127.1", "10.0.0.1"],
    ["no socket", undefined, "203.0.113.7", undefined],
  ];

describe("the client's address", () => {
  for (const [what, peer, forwarded, client] of ROWS) {
    it(`of ${what}`, () => assert.equal(clientAddress(peer, forwarded, PROXIES), client));
  }

  it("is the peer's where no proxy is trusted, whatever a header says", () => {
    for (const [, peer, forwarded] of ROWS) {
      assert.equal(clientAddress(peer, forwarded, NONE), clientAddress(peer, null, NONE));
    }
  });

  const NAMED: readonly [what: string, peer: string | undefined, named: string | null, client: string | undefined][] = [
    ["a Worker, which has no sockets", undefined, "203.0.113.7", "203.0.113.7"],
    ["a Worker, an IPv6 client: its /64", undefined, "2001:db8:1:2:3::4", "2001:db8:1:2::/64"],
    ["a Worker without the header", undefined, null, undefined],
    ["a Worker, garbage", undefined, "<script>, 203.0.113.7", undefined],
    ["a trusted proxy", "10.0.0.1", " 203.0.113.7 ", "203.0.113.7"],
    ["a trusted proxy that names nobody", "10.0.0.1", null, "10.0.0.1"],
    ["a stranger who sends the header himself", "198.51.100.1", "203.0.113.7", "198.51.100.1"],
  ];
  for (const [what, peer, named, client] of NAMED) {
    it(`that a platform's header names, by ${what}`, () => assert.equal(namedAddress(peer, named, PROXIES), client));
  }

  it("tells a proxy's connection from a client's own", () => {
    for (const peer of ["10.0.0.1", "::ffff:10.0.0.1", "fd00::1"]) assert.ok(isTrusted(peer, PROXIES), peer);
    for (const peer of ["203.0.113.7", "2001:db8::1", "", undefined]) {
      assert.ok(!isTrusted(peer, PROXIES), String(peer));
    }
  });

  it("costs no more for a very long chain than for its trusted part", () => {
    const chain = `${"198.51.100.1, ".repeat(500)}203.0.113.7`;
    assert.equal(clientAddress("10.0.0.1", chain, PROXIES), "203.0.113.7");
  });
});
