import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { describe, it } from "node:test";
import { parseHosts, parseResolvConf, SystemFiles } from "../../../../shared/runtime/names/system-files.ts";
import { ownFiles } from "../../../support/servers/name-server.ts";

describe("a resolv.conf", () => {
  it("names servers, search domains and options", () => {
    const text = `# by hand
nameserver 10.96.0.10 ; the cluster's
nameserver\t2001:db8::53
nameserver not.an.address
nameserver fe80::1%eth0
nameserver 192.0.2.4
domain old.example
search shop.svc.cluster.local svc.cluster.local. cluster.local
options ndots:5 timeout:2
options attempts:3 rotate use-vc no-aaaa edns0 unknown:7
`;
    assert.deepEqual(parseResolvConf(text), {
      servers: ["10.96.0.10", "2001:db8::53", "fe80::1%eth0"],
      search: ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"],
      ndots: 5,
      timeoutMs: 2_000,
      attempts: 3,
      rotate: true,
      tcp: true,
      onlyIpv4: true,
    });
  });

  it("has the C library's defaults and bounds", () => {
    const { servers, search, ...rest } = parseResolvConf("options ndots: timeout:x attempts:-1\n");
    assert.deepEqual([servers, search], [[], []]);
    assert.deepEqual(rest, { ndots: 1, timeoutMs: 5_000, attempts: 2, rotate: false, tcp: false, onlyIpv4: false });
    const { ndots, timeoutMs, attempts } = parseResolvConf("options ndots:99 timeout:0 attempts:99");
    assert.deepEqual([ndots, timeoutMs, attempts], [15, 1_000, 5]);
    assert.equal(parseResolvConf("options ndots:0").ndots, 0);
    assert.deepEqual(parseResolvConf("search .\n").search, []);
  });
});

describe("a hosts file", () => {
  it("gives each name all its addresses, whatever case and final dot it has", () => {
    const hosts = parseHosts(
      "127.0.0.1 localhost one.example One # two.example\n::1\tlocalhost\n127.0.0.1 localhost.\nx y\n1.2.3 z\n",
    );
    assert.deepEqual([...hosts], [
      ["localhost", ["127.0.0.1", "::1"]],
      ["one.example", ["127.0.0.1"]],
      ["one", ["127.0.0.1"]],
    ]);
  });
});

describe("the system's files", () => {
  it("are read again when they have changed, and looked at once a second", async () => {
    await using files = await ownFiles({ hosts: "192.0.2.1 one" });
    let time = 0;
    const system = new SystemFiles({ ...files, now: () => time });
    const version = system.version;
    assert.deepEqual(system.hosts.get("one"), ["192.0.2.1"]);
    await files.write({ hosts: "192.0.2.22 one", resolvConf: "nameserver 192.0.2.53\nsearch a" });
    time = 999;
    system.look();
    assert.deepEqual([system.hosts.get("one"), system.version], [["192.0.2.1"], version]);
    time = 1_000;
    system.look();
    assert.deepEqual([system.hosts.get("one"), system.version], [["192.0.2.22"], version + 1]);
    assert.deepEqual([system.resolvConf.servers, system.resolvConf.search], [["192.0.2.53"], ["a"]]);
    time = 2_000;
    system.look();
    assert.equal(system.version, version + 1);
    await rm(files.hostsFile);
    time = 3_000;
    system.look();
    assert.deepEqual([system.hosts.size, system.version], [0, version + 2]);
  });

  it("may be away: then a name server of the system's own, or this machine, is asked", () => {
    const system = new SystemFiles({ hostsFile: "/no/hosts", resolvConf: "/no/resolv.conf", now: () => 0 });
    assert.equal(system.hosts.size, 0);
    assert.ok(system.resolvConf.servers.length > 0);
  });
});
