import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isAskable, readAnswer, writeQuestion } from "../../../../shared/runtime/names/message.ts";
import { answerTo, nameBytes, record } from "../../../support/servers/name-server.ts";

const QUESTION = writeQuestion(0xbeef, "one.example", 4);
const address = (data: string, more = {}) => record("one.example", { type: "A", data, ...more });
const alias = (owner: string, data: string, ttl = 60) => record(owner, { type: "CNAME", owner, data, ttl });

describe("an answer of a name server", () => {
  it("yields the addresses of the name, and the shortest time on the way to them", () => {
    assert.deepEqual(
      readAnswer(answerTo(QUESTION, [address("192.0.2.1"), address("192.0.2.2", { ttl: 7 })]), QUESTION),
      {
        kind: "addresses",
        addresses: ["192.0.2.1", "192.0.2.2"],
        ttlMs: 7_000,
      },
    );
    const six = writeQuestion(1, "one.example", 6);
    const records = [record("one.example", { type: "AAAA", data: "20010db8000000000000000000000001" })];
    assert.deepEqual(readAnswer(answerTo(six, records), six), {
      kind: "addresses",
      addresses: ["2001:db8::1"],
      ttlMs: 60_000,
    });
    // RFC 2181 §8: a time with the first bit set is 0.
    const endless = readAnswer(answerTo(QUESTION, [address("192.0.2.1", { ttl: 0xffffffff })]), QUESTION);
    assert.equal(endless.kind === "addresses" && endless.ttlMs, 0);
  });

  it("is followed from alias to alias, in any order and any case", () => {
    const records = [
      address("192.0.2.9", { owner: "THREE.example" }),
      alias("two.example", "three.example", 5),
      alias("one.example", "Two.Example"),
      address("192.0.2.66", { owner: "other.example" }),
    ];
    assert.deepEqual(readAnswer(answerTo(QUESTION, records), QUESTION), {
      kind: "addresses",
      addresses: ["192.0.2.9"],
      ttlMs: 5_000,
    });
  });

  it("says of an alias alone whether the server knows more", () => {
    const records = [alias("one.example", "two.example", 9)];
    assert.deepEqual(readAnswer(answerTo(QUESTION, records), QUESTION), {
      kind: "alias",
      name: "two.example",
      ttlMs: 9_000,
    });
    assert.deepEqual(readAnswer(answerTo(QUESTION, records, { authorities: 1 }), QUESTION), { kind: "none" });
  });

  it("says that there is no address, that the server cannot say, or that there is more", () => {
    const kinds = [0x8180, 0x8183, 0x8182, 0x8185, 0x8380].map((flags) =>
      readAnswer(answerTo(QUESTION, [], { flags }), QUESTION).kind
    );
    assert.deepEqual(kinds, ["none", "none", "unable", "unable", "truncated"]);
  });

  it("counts only for its question: same id, name, type and class", () => {
    const good = answerTo(QUESTION, [address("192.0.2.1")]);
    const changed = (at: number, value: number) => {
      const bytes = Buffer.from(good);
      bytes[at] = value;
      return bytes;
    };
    const others = [
      changed(0, 0),
      changed(2, 0x01),
      changed(2, 0x89),
      changed(5, 0),
      changed(13, 0x78),
      changed(QUESTION.length - 3, 28),
      changed(QUESTION.length - 1, 3),
      good.subarray(0, 11),
      good.subarray(0, QUESTION.length - 1),
      Buffer.alloc(0),
    ];
    for (const other of others) assert.equal(readAnswer(other, QUESTION).kind, "not ours");
    // RFC 4343: the case of letters does not count.
    assert.equal(readAnswer(changed(13, 0x4f), QUESTION).kind, "addresses");
  });

  it("that makes no sense is no answer, and never throws", () => {
    const pointer = (to: number) => Buffer.from([0xc0 | to >> 8, to & 0xff]);
    const broken = [
      [pointer(QUESTION.length)],
      [pointer(QUESTION.length + 2), pointer(QUESTION.length)],
      [pointer(0x3fff)],
      [Buffer.from([0x40, 0x00])],
      [Buffer.from([63, 1, 2])],
      [Buffer.concat([nameBytes("one.example"), Buffer.from([0, 1, 0, 1, 0, 0, 0, 1, 0xff, 0xff])])],
      [Buffer.concat([nameBytes("one.example"), Buffer.from([0, 1, 0, 1, 0, 0, 0, 1, 0, 3, 1, 2, 3])])],
      [Buffer.concat([nameBytes("one.example"), Buffer.from([0, 5, 0, 1, 0, 0, 0, 1, 0, 2]), pointer(0x3ff0)])],
      [alias("one.example", "two.example"), alias("two.example", "one.example")],
    ];
    for (const [n, records] of broken.entries()) {
      assert.equal(readAnswer(answerTo(QUESTION, records), QUESTION).kind, "unable", `${n}`);
    }
    assert.equal(readAnswer(answerTo(QUESTION, [], { count: 0xffff }), QUESTION).kind, "unable");
    const whole = answerTo(QUESTION, [
      alias("one.example", "two.example"),
      address("192.0.2.1", { owner: "two.example" }),
    ]);
    for (let length = 0; length < whole.length; length++) readAnswer(whole.subarray(0, length), QUESTION);
    let seed = 1;
    for (let n = 0; n < 5_000; n++) {
      const noise = Buffer.from(whole);
      for (let times = 0; times < 4; times++) {
        seed = seed * 48_271 % 0x7fffffff;
        noise[seed % noise.length] = seed >> 8 & 0xff;
      }
      readAnswer(noise, QUESTION);
    }
  });

  it("of 64 KiB costs little, whatever names and records it has", () => {
    // As long a name as there is, then records whose owners point into it.
    const long = nameBytes(["a", "b", "c"].map((letter) => letter.repeat(63)).concat("d".repeat(61)).join("."));
    const fixed = Buffer.from([0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 192, 0, 2, 1]);
    const start = QUESTION.length;
    const records = [Buffer.concat([long, fixed])];
    while (records.length < 4_000) records.push(Buffer.concat([Buffer.from([0xc0 | start >> 8, start & 0xff]), fixed]));
    // Pointers to pointers, each to the one before.
    const chain = Buffer.alloc(12_000);
    for (let at = 2; at < chain.length; at += 2) chain.writeUInt16BE(0xc000 | start + at - 2, at);
    const begun = performance.now();
    for (let n = 0; n < 20; n++) {
      readAnswer(answerTo(QUESTION, records), QUESTION);
      readAnswer(answerTo(QUESTION, [chain], { count: 0xffff }), QUESTION);
    }
    assert.ok(performance.now() - begun < 1_000);
    const many = Array.from({ length: 200 }, (_, n) => address(`192.0.2.${n}`));
    const reading = readAnswer(answerTo(QUESTION, many), QUESTION);
    assert.equal(reading.kind === "addresses" && reading.addresses.length, 32);
  });
});

describe("a name", () => {
  it("is asked for only if it can be written as a question", () => {
    const good = ["a", "one.example", "_a.b-c.d", "x".repeat(63), `${"a.".repeat(126)}a`];
    const bad = ["", ".", "a..b", "a.", ".a", "x".repeat(64), "a.".repeat(127), "é.example", "a b", "a\0b"];
    assert.deepEqual(good.filter((name) => !isAskable(name)), []);
    assert.deepEqual(bad.filter(isAskable), []);
  });
});
