// Names are looked up by real questions to a name server of the test's own.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createNames, type NamesOptions } from "../../../../shared/runtime/names/names.ts";
import { eventually } from "../../../support/eventually.ts";
import {
  after,
  answerTo,
  openNameServer,
  ownFiles,
  type Question,
  record,
  type Reply,
} from "../../../support/servers/name-server.ts";

type Script = (question: Question) => Reply | Promise<Reply>;

interface Stand {
  readonly resolvConf?: string;
  readonly hosts?: string;
  readonly options?: NamesOptions;
}

/** Names that ask a server with this script. */
async function stand(script: Script, { options, ...texts }: Stand = {}) {
  const server = await openNameServer(script);
  const files = await ownFiles(texts);
  const names = createNames({ ...files, port: server.port, ...options });
  return {
    server,
    files,
    names,
    asked: () => server.asked.map(({ name, type }) => `${name} ${type}`),
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      await files[Symbol.asyncDispose]();
    },
  };
}

const A = (data: string, ttl = 60) => ({ type: "A", data, ttl }) as const;
const AAAA = { type: "AAAA", data: "20010db8000000000000000000000001" } as const;
const codeOf = (looked: Promise<unknown>) => looked.then(() => "found", (error: { code: string }) => error.code);

describe("a name's addresses", () => {
  it("are those of both families, asked for at once, by ids and ports that differ", async () => {
    const both = Promise.withResolvers<void>();
    let questions = 0;
    await using own = await stand(async () => {
      // No answer before both have come.
      if (++questions === 2) both.resolve();
      await both.promise;
      return [A("192.0.2.1"), A("192.0.2.2"), AAAA];
    });
    const found = await own.names.lookUp("One.Example");
    assert.deepEqual(found, { addresses: ["2001:db8::1", "192.0.2.1", "192.0.2.2"] });
    assert.deepEqual(own.asked().sort(), ["one.example A", "one.example AAAA"]);
    const [one, other] = own.server.asked;
    assert.notEqual(one!.port, other!.port);
    assert.notEqual(one!.bytes.readUInt16BE(0), other!.bytes.readUInt16BE(0));
  });

  it("come over TCP where they do not fit into a datagram", async () => {
    const many = Array.from({ length: 30 }, (_, n) => A(`192.0.2.${n}`));
    await using own = await stand(({ over, type }) => over === "udp" && type === "A" ? "truncated" : many);
    assert.equal((await own.names.lookUp("many.example")).addresses.length, 30);
    await using always = await stand(() => many, { resolvConf: "nameserver 127.0.0.1\noptions use-vc" });
    await always.names.lookUp("many.example");
    assert.deepEqual(new Set(always.server.asked.map(({ over }) => over)), new Set(["tcp"]));
  });

  it("are found behind aliases, also where the server does not follow them", async () => {
    await using own = await stand(({ name }) => {
      if (name === "one.example") return [{ type: "CNAME", data: "two.example", ttl: 3 }];
      return name === "two.example" ? [{ type: "CNAME", data: "three.example" }] : [A("192.0.2.3")];
    }, { resolvConf: "nameserver 127.0.0.1\noptions no-aaaa" });
    assert.deepEqual(await own.names.lookUp("one.example"), { addresses: ["192.0.2.3"] });
    await using round = await stand(({ name }) => [{ type: "CNAME", data: `x${name}`.slice(0, 60) }]);
    assert.equal(await codeOf(round.names.lookUp("round.example")), "EAI_AGAIN");
  });

  it("are none if neither family has one, and one family is enough", async () => {
    await using own = await stand(({ name, type }) => {
      if (name === "none.example") return [];
      if (name === "gone.example") return { code: 3 };
      if (name === "broken.example") return { code: 2 };
      return type === "A" ? [A("192.0.2.1")] : name === "half.example" ? { code: 2 } : [];
    });
    assert.equal(await codeOf(own.names.lookUp("none.example")), "ENOTFOUND");
    assert.equal(await codeOf(own.names.lookUp("gone.example")), "ENOTFOUND");
    assert.equal(await codeOf(own.names.lookUp("broken.example")), "EAI_AGAIN");
    assert.deepEqual(await own.names.lookUp("four.example"), { addresses: ["192.0.2.1"] });
    // Nobody could say whether there are IPv6 addresses, too.
    assert.deepEqual(await own.names.lookUp("half.example"), { addresses: ["192.0.2.1"], unknown: 6 });
  });

  it("do not wait for a family about which the server says nothing", async () => {
    await using own = await stand(({ type }) => type === "A" ? [A("192.0.2.1")] : "silent");
    const begun = performance.now();
    assert.deepEqual(await own.names.lookUp("four.example"), { addresses: ["192.0.2.1"], unknown: 6 });
    assert.ok(performance.now() - begun < 4_000);
  });

  it("are taken from no answer to another question, nor from nonsense", async () => {
    await using own = await stand(({ name, bytes, type }) => {
      const wrong = Buffer.from(answerTo(bytes, [record(name, A("192.0.2.66"))]));
      wrong.writeUInt16BE(bytes.readUInt16BE(0) ^ 1, 0);
      const other = answerTo(Buffer.concat([bytes.subarray(0, 13), Buffer.from("x"), bytes.subarray(14)]), []);
      const right = answerTo(bytes, [record(name, type === "A" ? A("192.0.2.1") : AAAA)]);
      const nonsense = answerTo(bytes, [Buffer.from([0xc0, 0xff])]);
      if (name.startsWith("nonsense")) return { raw: [nonsense] };
      return { raw: [Buffer.alloc(0), Buffer.alloc(3), wrong, other, Buffer.alloc(60_000), right, wrong] };
    });
    assert.deepEqual((await own.names.lookUp("one.example")).addresses, ["2001:db8::1", "192.0.2.1"]);
    assert.equal(await codeOf(own.names.lookUp("nonsense.example")), "EAI_AGAIN");
  });

  it("come from the hosts file first; names of this machine never come from a name server", async () => {
    const hosts =
      "192.0.2.1 one.example\n2001:db8::1 one.example\n127.0.0.5 localhost\n192.0.2.66 localhost evil.localhost\n";
    await using own = await stand(() => [A("192.0.2.66")], { hosts });
    assert.deepEqual(await own.names.lookUp("one.example."), { addresses: ["192.0.2.1", "2001:db8::1"] });
    for (const name of ["localhost", "LOCALHOST.", "any.localhost"]) {
      assert.deepEqual(await own.names.lookUp(name), { addresses: ["127.0.0.5"] }, name);
    }
    assert.deepEqual(await own.names.lookUp("evil.localhost"), { addresses: ["::1", "127.0.0.1"] });
    await using bare = await stand(() => [A("192.0.2.66")]);
    assert.deepEqual(await bare.names.lookUp("a.localhost"), { addresses: ["::1", "127.0.0.1"] });
    assert.deepEqual([own.asked(), bare.asked()], [[], []]);
  });

  it("are not asked for if no question can have the name", async () => {
    await using own = await stand(() => [A("192.0.2.1")]);
    for (const name of ["a..b", `${"x".repeat(64)}.example`, "é.example", "a b", "."]) {
      assert.equal(await codeOf(own.names.lookUp(name)), "ENOTFOUND", name);
    }
    assert.deepEqual(own.asked(), []);
  });
});

describe("a name of few dots", () => {
  const resolvConf = "nameserver 127.0.0.1\nsearch ns.svc.test svc.test\noptions ndots:2 no-aaaa";
  const known: Script = ({ name }) =>
    ["db.svc.test", "a.b.c", "short"].includes(name) ? [A("192.0.2.1")] : { code: name.startsWith("odd") ? 2 : 3 };

  it("is looked for in the search domains first, one of many dots last, and one that ends with a dot never", async () => {
    await using own = await stand(known, { resolvConf });
    await own.names.lookUp("db");
    await own.names.lookUp("short");
    await own.names.lookUp("a.b.c");
    await own.names.lookUp("short.");
    assert.equal(await codeOf(own.names.lookUp("x.y.z")), "ENOTFOUND");
    assert.equal(await codeOf(own.names.lookUp("db.")), "ENOTFOUND");
    assert.deepEqual(own.server.asked.map(({ name }) => name), [
      "db.ns.svc.test",
      "db.svc.test",
      "short.ns.svc.test",
      "short.svc.test",
      "short",
      "a.b.c",
      "short",
      "x.y.z",
      "x.y.z.ns.svc.test",
      "x.y.z.svc.test",
      "db",
    ]);
  });

  it("may exist although a server could not say so of one candidate", async () => {
    await using own = await stand(known, { resolvConf });
    assert.equal(await codeOf(own.names.lookUp("odd")), "EAI_AGAIN");
  });
});

describe("name servers", () => {
  it("that say nothing are given up, as often and as late as resolv.conf says", async () => {
    await using own = await stand(() => "silent", {
      resolvConf: "nameserver 127.0.0.1\noptions timeout:1 attempts:1 no-aaaa",
    });
    const begun = performance.now();
    assert.equal(await codeOf(own.names.lookUp("silent.example")), "EAI_AGAIN");
    const took = performance.now() - begun;
    assert.ok(took > 900 && took < 4_500, `${took}`);
    assert.equal(own.server.asked.length, 1);
  });

  it("may be slow: a question is asked again, and none is given up because of it", async () => {
    let first = true;
    await using own = await stand(({ type }) => {
      if (type === "AAAA") return [];
      const wasFirst = first;
      first = false;
      return wasFirst ? after(1_900, [A("192.0.2.1")]) : "silent";
    });
    assert.deepEqual(await own.names.lookUp("slow.example"), { addresses: ["192.0.2.1"] });
    assert.equal(own.server.asked.filter(({ type }) => type === "A").length, 2);
  });

  it("are asked in turn where one cannot be reached or cannot say; the one that answered is the next one's first", async () => {
    // Nobody listens at the first.
    await using own = await stand(() => [A("192.0.2.1")], {
      resolvConf: "nameserver 127.0.0.9\nnameserver 127.0.0.1\noptions no-aaaa",
    });
    await own.names.lookUp("one.example");
    const begun = performance.now();
    await own.names.lookUp("two.example");
    assert.ok(performance.now() - begun < 1_400);
  });
});

describe("what is known of a name", () => {
  it("counts for the time that the server says, a second at least and half a minute at most; failures for 5 s", async () => {
    let time = 0;
    const ttls: Record<string, number> = { "none.example": 0, "ten.example": 10, "hour.example": 3_600 };
    await using own = await stand(
      ({ name }) => name in ttls ? [A("192.0.2.1", ttls[name])] : { code: 3 },
      { resolvConf: "nameserver 127.0.0.1\noptions no-aaaa", options: { now: () => time } },
    );
    const askedAnew = async (name: string, afterMs: number) => {
      const before = own.server.asked.length;
      time += afterMs;
      await codeOf(own.names.lookUp(name));
      return own.server.asked.length > before;
    };
    for (
      const [name, ms] of [["none.example", 1_000], ["ten.example", 10_000], ["hour.example", 30_000], [
        "gone.example",
        5_000,
      ]] as const
    ) {
      assert.equal(await askedAnew(name, 0), true, name);
      assert.equal(await askedAnew(name, ms - 1), false, name);
      assert.equal(await askedAnew(name, 1), true, name);
    }
  });

  it("is asked for once by all that want to know it at the same time", async () => {
    await using own = await stand(() => after(50, [A("192.0.2.1")]));
    const asking = Array.from({ length: 50 }, (_, n) => own.names.lookUp("one.example", `client ${n % 5}`));
    assert.equal((await Promise.all(asking)).length, 50);
    assert.deepEqual(own.asked().sort(), ["one.example A", "one.example AAAA"]);
  });

  it("is forgotten when the system's files have changed", async () => {
    let time = 0;
    await using own = await stand(({ name }) => [A(name === "one.b" ? "192.0.2.2" : "192.0.2.1")], {
      resolvConf: "nameserver 127.0.0.1\nsearch a\noptions no-aaaa",
      options: { now: () => time },
    });
    assert.deepEqual((await own.names.lookUp("one")).addresses, ["192.0.2.1"]);
    await own.files.write({ resolvConf: "nameserver 127.0.0.1\nsearch b\noptions no-aaaa" });
    time = 1_000;
    assert.deepEqual((await own.names.lookUp("one")).addresses, ["192.0.2.2"]);
  });
});

describe("look-ups in flight", () => {
  const isSilent = ({ name }: Question) => name.includes("silent");
  const script: Script = (question) => isSilent(question) ? "silent" : [A("192.0.2.1")];
  const resolvConf = "nameserver 127.0.0.1\noptions timeout:1 attempts:1 no-aaaa";

  it("of one requester or one registrable domain leave room for all others", async () => {
    await using own = await stand(script, { resolvConf, options: { waitMs: 100 } });
    const stuck = [
      ...Array.from({ length: 300 }, (_, n) => own.names.lookUp(`x${n}.silent.example`)),
      ...Array.from({ length: 300 }, (_, n) => own.names.lookUp(`silent${n}.example`, "client evil")),
    ].map(codeOf);
    await eventually("the silent names in flight", () => own.server.asked.length > 20);
    const good = Array.from({ length: 20 }, (_, n) => own.names.lookUp(`good${n}.example`, `client ${n % 4}`));
    await Promise.all(good);
    assert.deepEqual(new Set(await Promise.all(stuck)), new Set(["EAI_AGAIN"]));
  });

  it("of one domain are bounded, however many ask for its names", async () => {
    await using own = await stand(script, { resolvConf, options: { waitMs: 100 } });
    const stuck = Array.from(
      { length: 200 },
      (_, n) => codeOf(own.names.lookUp(`x${n}.silent.example`, `client ${n}`)),
    );
    assert.deepEqual(new Set(await Promise.all(stuck)), new Set(["EAI_AGAIN"]));
    assert.equal(own.server.asked.length, 32);
  });

  it("that found no place are not remembered as failed", async () => {
    await using own = await stand(script, { resolvConf, options: { waitMs: 100 } });
    const stuck = Array.from({ length: 300 }, (_, n) => codeOf(own.names.lookUp(`silent${n}.example`, "client evil")));
    await eventually("the silent names in flight", () => own.server.asked.length > 20);
    assert.equal(await codeOf(own.names.lookUp("good.example", "client evil")), "EAI_AGAIN");
    assert.equal(await codeOf(own.names.lookUp("good.example", "client good")), "found");
    await Promise.all(stuck);
  });

  it("of names that were answered before have places that no other name takes", async () => {
    let time = 0;
    await using own = await stand(script, { resolvConf, options: { waitMs: 100, now: () => time } });
    await own.names.lookUp("known.example", "client evil");
    // As many requesters as there are places, and a domain that had answers before.
    const stuck = Array.from({ length: 300 }, (_, n) => codeOf(own.names.lookUp(`silent${n}.example`, `client ${n}`)));
    stuck.push(
      ...Array.from({ length: 100 }, (_, n) => codeOf(own.names.lookUp(`silent${n}.known.example`, `client x${n}`))),
    );
    await eventually("the silent names in flight", () => own.server.asked.length > 40);
    time = 60_000;
    assert.deepEqual((await own.names.lookUp("known.example", "client evil")).addresses, ["192.0.2.1"]);
    assert.equal(await codeOf(own.names.lookUp("unknown.example", "client evil")), "EAI_AGAIN");
    await Promise.all(stuck);
  });
});
