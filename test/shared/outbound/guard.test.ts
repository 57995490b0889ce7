import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseHttpUrl, UrlError } from "../../../shared/http-url.ts";
import { createOutboundGuard } from "../../../shared/outbound/guard.ts";
import {
  embeddingsOf,
  FORBIDDEN_PORTS,
  HOSTILE_HOSTS,
  HOSTILE_NAMES,
  SPECIAL_V4,
  SPECIAL_V6,
} from "../../support/servers/hostile-hosts.ts";

const strict = createOutboundGuard([]);
const loopback = createOutboundGuard(["127.0.0.0/8", "::1/128"]);

/** Why a URL is refused before anything is resolved; null if it is not. */
function reasonAgainst(url: string): string | null {
  try {
    return strict.judgeUrl(parseHttpUrl(url))?.reason ?? null;
  } catch (error) {
    assert.ok(error instanceof UrlError, String(error));
    return "url";
  }
}

const REASONS = [
  ["127.0.0.1", "loopback"],
  ["[::1]", "loopback"],
  ["0x7f000001", "loopback"],
  ["[::ffff:10.0.0.1]", "private"],
  ["[fd00:ec2::254]", "private"],
  ["169.254.169.254", "link_local"],
  ["[2002:a9fe:a9fe::1]", "link_local"],
  ["100.100.100.200", "shared"],
  ["168.63.129.16", "metadata"],
  ["224.0.0.1", "multicast"],
  ["0.0.0.0", "unspecified"],
  ["192.0.2.1", "not_global"],
  ["[4000::1]", "not_global"],
  ["a.localhost", "localhost"],
  ["user@example.com", "url"],
  ["example.com:22", "port"],
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
  for (const [address, what] of [...SPECIAL_V4, ...SPECIAL_V6]) {
    it(`forbids ${address}: ${what}`, () => {
      assert.notEqual(strict.judgeAddress(address), null);
      const url = parseHttpUrl(`http://${address.includes(":") ? `[${address}]` : address}/`);
      assert.match(strict.judgeUrl(url)?.clause ?? "", /this hub does not call/);
    });
  }

  it(`refuses ${HOSTILE_HOSTS.length} hostile hosts as they would stand in a URL, before a name is resolved`, () => {
    assert.ok(HOSTILE_HOSTS.length >= 150);
    const passed = HOSTILE_HOSTS.filter((host) => reasonAgainst(`http://${host}/`) === null);
    assert.deepEqual(passed, []);
  });

  it("says why in one of a few words", () => {
    const reasons = new Set(HOSTILE_HOSTS.map((host) => reasonAgainst(`http://${host}/`)));
    for (const [host, reason] of REASONS) assert.equal(reasonAgainst(`http://${host}/`), reason, host);
    assert.ok(reasons.size <= 12, [...reasons].join(", "));
  });

  it(`refuses ${Object.keys(HOSTILE_NAMES).length} names by what they resolve to, and only then`, () => {
    for (const [name, addresses] of Object.entries(HOSTILE_NAMES)) {
      assert.equal(reasonAgainst(`http://${name}/`), null, name);
      assert.ok(addresses.some((address) => strict.judgeAddress(address) !== null), name);
    }
  });

  it("unwraps IPv4 from IPv6 before it judges, so that the inner address decides", () => {
    for (const address of ["8.8.8.8", "93.184.216.34"]) {
      for (const embedded of embeddingsOf(address)) {
        const allowed = strict.judgeAddress(embedded) === null;
        assert.equal(allowed, !embedded.startsWith("64:ff9b:1:"), embedded);
      }
    }
  });

  it("opens local NAT64 only where the inner address may be called too", () => {
    const opened = createOutboundGuard(["64:ff9b:1::/48"]);
    assert.equal(opened.judgeAddress("64:ff9b:1::808:808"), null);
    for (const inner of ["64:ff9b:1::7f00:1", "64:ff9b:1:7f00:0:100:808:808", "64:ff9b:1:7f:0:1:808:808"]) {
      assert.notEqual(opened.judgeAddress(inner), null, inner);
    }
  });

  it("allows global unicast addresses", () => {
    for (const address of ALLOWED) assert.equal(strict.judgeAddress(address), null, address);
  });

  it("refuses text that is not an address", () => {
    for (
      const text of ["", "localhost", "1.2.3", "127.1", "0x7f000001", "::g", "1.2.3.4.5", "::1%lo", "2606:4700::1%eth0"]
    ) {
      assert.notEqual(strict.judgeAddress(text), null, text);
    }
  });

  it("H28 opens exactly what its list says, also inside IPv6", () => {
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
      assert.match(strict.judgeUrl(url)?.clause ?? "", /this machine/, host);
      assert.equal(loopback.judgeUrl(url), null, host);
    }
    assert.equal(strict.judgeUrl(parseHttpUrl("http://notlocalhost/")), null);
  });

  it("calls ports 80, 443 and 1024 to 65535 only", () => {
    const portOf = (port: number) => strict.judgeUrl({ host: "example.com", port });
    for (const port of [80, 443, 1024, 8080, 65535]) assert.equal(portOf(port), null, String(port));
    for (const port of FORBIDDEN_PORTS) assert.match(portOf(port)?.clause ?? "", /port/, String(port));
  });

  it("names the entry of its list that is not a network", () => {
    for (const entry of ["10.0.0.0/33", "10.0.0/8", "nonsense", "fd00::/129", "10.0.0.0/8/8", "10.0.0.0/"]) {
      assert.throws(() => createOutboundGuard(["10.0.0.0/8", entry]), new RegExp(entry.replaceAll("/", "\\/")));
    }
  });
});
