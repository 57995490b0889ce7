import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseHttpUrl } from "../../shared/http-url.ts";
import { createOutboundGuard } from "../../shared/outbound-guard.ts";

const strict = createOutboundGuard([]);
const loopback = createOutboundGuard(["127.0.0.0/8", "::1/128"]);

const FORBIDDEN = [
  ["0.0.0.0", "unspecified"],
  ["0.1.2.3", "this network"],
  ["10.0.0.1", "private"],
  ["100.64.0.1", "carrier-grade NAT"],
  ["127.0.0.1", "loopback"],
  ["127.255.255.254", "the end of loopback"],
  ["169.254.169.254", "link-local, where clouds keep their metadata"],
  ["172.16.0.1", "private"],
  ["172.31.255.255", "the end of private"],
  ["192.0.0.8", "protocol assignments"],
  ["192.0.2.1", "documentation"],
  ["192.88.99.1", "6to4 relays"],
  ["192.168.1.1", "private"],
  ["198.18.0.1", "benchmarking"],
  ["198.51.100.1", "documentation"],
  ["203.0.113.1", "documentation"],
  ["224.0.0.1", "multicast"],
  ["240.0.0.1", "reserved"],
  ["255.255.255.255", "broadcast"],
  ["::", "unspecified"],
  ["::1", "loopback"],
  ["fe80::1", "link-local"],
  ["fec0::1", "site-local"],
  ["fc00::1", "unique local"],
  ["fd12:3456::1", "unique local"],
  ["ff02::1", "multicast"],
  ["100::1", "discard"],
  ["2001:db8::1", "documentation"],
  ["3fff::1", "documentation"],
  ["2001:2::1", "benchmarking"],
  ["4000::1", "not given out"],
  ["::ffff:127.0.0.1", "mapped loopback"],
  ["::ffff:7f00:1", "the same in hexadecimal"],
  ["::ffff:169.254.169.254", "mapped link-local"],
  ["::ffff:0:10.0.0.1", "translated private"],
  ["::10.0.0.1", "compatible private"],
  ["64:ff9b::10.0.0.1", "NAT64 of private"],
  ["64:ff9b:1::1", "local NAT64"],
  ["2002:7f00:1::", "6to4 of loopback"],
  ["2002:a00:1::1", "6to4 of private"],
  ["2001:0:4136:e378:8000:63bf:f5ff:fffe", "Teredo whose client is 10.0.0.1"],
  ["2001:0:a00:1:8000:63bf:3fff:fdd2", "Teredo whose server is 10.0.0.1"],
] as const;

const ALLOWED = [
  "1.1.1.1",
  "8.8.8.8",
  "93.184.216.34",
  "172.32.0.1",
  "100.128.0.1",
  "2606:4700::1111",
  "2a00:1450::1",
  "::ffff:8.8.8.8",
  "64:ff9b::8.8.8.8",
  "2002:808:808::1",
];

describe("the outbound guard", () => {
  for (const [address, what] of FORBIDDEN) {
    it(`forbids ${address}: ${what}`, () => {
      assert.notEqual(strict.judgeAddress(address), null);
      const url = parseHttpUrl(`http://${address.includes(":") ? `[${address}]` : address}/`);
      assert.match(strict.judgeUrl(url) ?? "", /this hub does not call/);
    });
  }

  it("allows global unicast addresses", () => {
    for (const address of ALLOWED) assert.equal(strict.judgeAddress(address), null, address);
  });

  it("refuses what is no address at all", () => {
    for (const text of ["", "localhost", "1.2.3", "127.1", "0x7f000001", "::g", "1.2.3.4.5"]) {
      assert.notEqual(strict.judgeAddress(text), null, text);
    }
  });

  it("sees through other spellings of a literal, as the platform would dial them", () => {
    for (
      const host of ["127.1", "0x7f.1", "2130706433", "017700000001", "127.0.0.1.", "%31%32%37.0.0.1", "①②⑦.0.0.1"]
    ) {
      assert.notEqual(strict.judgeUrl(parseHttpUrl(`http://${host}/`)), null, host);
    }
  });

  it("opens exactly what its list says, also inside IPv6", () => {
    assert.equal(loopback.judgeAddress("127.0.0.1"), null);
    assert.equal(loopback.judgeAddress("::ffff:127.0.0.1"), null);
    assert.equal(loopback.judgeAddress("::1"), null);
    assert.notEqual(loopback.judgeAddress("10.0.0.1"), null);
    const some = createOutboundGuard(["10.1.0.0/16", "fd00::/8", "192.168.7.7"]);
    assert.equal(some.judgeAddress("10.1.255.255"), null);
    assert.notEqual(some.judgeAddress("10.2.0.0"), null);
    assert.equal(some.judgeAddress("fd00::1"), null);
    assert.equal(some.judgeAddress("192.168.7.7"), null);
    assert.notEqual(some.judgeAddress("192.168.7.8"), null);
  });

  it("refuses localhost names unless loopback is open", () => {
    for (const host of ["localhost", "LOCALHOST", "localhost.", "a.localhost", "a.b.LocalHost."]) {
      const url = parseHttpUrl(`http://${host}:8080/`);
      assert.match(strict.judgeUrl(url) ?? "", /this machine/, host);
      assert.equal(loopback.judgeUrl(url), null, host);
    }
    assert.equal(strict.judgeUrl(parseHttpUrl("http://notlocalhost/")), null);
  });

  it("calls ports 80, 443 and 1024 to 65535 only", () => {
    const portOf = (port: number) => strict.judgeUrl({ host: "example.com", port });
    for (const port of [80, 443, 1024, 8080, 65535]) assert.equal(portOf(port), null, String(port));
    for (const port of [1, 22, 25, 81, 442, 444, 1023]) assert.match(portOf(port) ?? "", /port/, String(port));
  });

  it("names the entry of its list that is no network", () => {
    for (const entry of ["10.0.0.0/33", "10.0.0/8", "nonsense", "fd00::/129", "10.0.0.0/8/8", "10.0.0.0/"]) {
      assert.throws(() => createOutboundGuard(["10.0.0.0/8", entry]), new RegExp(entry.replaceAll("/", "\\/")));
    }
  });
});
