import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseForm, parseQuery, rawQueryOf } from "../../../edge/syntax/form.ts";
import { HubError } from "../../../edge/answers/hub-error.ts";

const bytes = (text: string) => Buffer.from(text, "latin1");

function refusal(parse: () => unknown): string {
  try {
    parse();
  } catch (error) {
    assert.ok(error instanceof HubError, String(error));
    assert.equal(error.code, "invalid_request");
    return error.message;
  }
  throw new Error("it was not refused");
}

describe("WIRE §1 parsing: split first, decode once", () => {
  const PARSED: readonly [raw: string, name: string, values: readonly string[]][] = [
    ["a=1", "a", ["1"]],
    ["a=1&a=2", "a", ["1", "2"]],
    ["a", "a", [""]],
    ["a=", "a", [""]],
    ["=x", "", ["x"]],
    ["a=b=c", "a", ["b=c"]],
    ["a=1&&&b=2", "b", ["2"]],
    ["&a=1&", "a", ["1"]],
    ["a+b=c+d", "a b", ["c d"]],
    ["a%2Bb=%2B", "a+b", ["+"]],
    ["a=%26b%3D1", "a", ["&b=1"]],
    ["a=%2541", "a", ["%41"]],
    ["hub%2Emode=x", "hub.mode", ["x"]],
    ["a=%C3%A9", "a", ["é"]],
    ["a=%F0%9F%98%80", "a", ["😀"]],
    ["a=%00", "a", ["\0"]],
    ["a=%EF%BB%BFb", "a", ["\ufeffb"]],
    ["a=%EF%BF%BD", "a", ["\ufffd"]],
  ];
  for (const [raw, name, values] of PARSED) {
    it(`reads ${raw} as ${JSON.stringify(name)} = ${JSON.stringify(values)}`, () => {
      assert.deepEqual(parseForm(bytes(raw)).all(name), values);
      assert.deepEqual(parseQuery(raw).all(name), values);
      assert.equal(parseForm(bytes(raw)).first(name), values[0]);
    });
  }

  it("reads raw bytes of UTF-8 together with escaped ones, once", () => {
    assert.equal(parseForm(Buffer.from("a=é😀")).first("a"), "é😀");
    // One letter, its first byte raw and its second escaped, and the other way round.
    assert.equal(parseForm(bytes("a=\xc3%A9")).first("a"), "é");
    assert.equal(parseForm(bytes("a=%C3\xa9")).first("a"), "é");
    assert.equal(parseForm(Buffer.from("\ufeffa=1")).first("\ufeffa"), "1");
    assert.equal(parseForm(Buffer.from("a=\ufffd")).first("a"), "\ufffd");
  });

  const UNDECODABLE = ["%", "%4", "%zz", "%FF", "%C3", "%C3%28", "%ED%A0%80", "%F5%80%80%80", "%C0%80", "\xff", "\xc3"];
  for (const value of UNDECODABLE) {
    it(`refuses the value ${JSON.stringify(value)}, naming its parameter`, () => {
      assert.match(refusal(() => parseForm(bytes(`hub.topic=${value}`))), /^hub\.topic is not percent-encoded UTF-8/);
      assert.match(refusal(() => parseForm(bytes(`x=1&foo=${value}`))), /^Parameter "foo" is not/);
      assert.match(refusal(() => parseForm(bytes(`x=1&${value}=1`))), /^The name of parameter 2 of the form is not/);
    });
  }

  it("takes 1,000 parameters and no more", () => {
    assert.equal(parseForm(bytes("a=1&".repeat(1_000))).all("a").length, 1_000);
    assert.match(refusal(() => parseForm(bytes("a=1&".repeat(1_001)))), /form has more than 1000 parameters/);
    assert.match(refusal(() => parseQuery("a&".repeat(10_000))), /query has more than 1000 parameters/);
  });

  it("knows whether there are parameters of other names", () => {
    const form = parseQuery("a=1&b=2");
    assert.equal(form.hasOtherThan("a"), true);
    assert.equal(form.hasOtherThan("a", "b"), false);
    assert.notEqual(form.first("b"), undefined);
    assert.equal(form.first("c"), undefined);
  });

  it("takes the query from a URL as it stands there", () => {
    assert.equal(rawQueryOf("http://h/p?a=%2F?b#c?d"), "a=%2F?b");
    assert.equal(rawQueryOf("http://h/p"), "");
    assert.equal(rawQueryOf("http://h/p#f?x"), "");
    assert.equal(rawQueryOf("http://h/p?"), "");
  });
});
