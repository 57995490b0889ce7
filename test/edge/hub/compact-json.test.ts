import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { compactJson } from "../../../edge/hub/compact-json.ts";

const compact = (text: string | Uint8Array) => Buffer.from(compactJson(Buffer.from(text))).toString();

describe("COMPACT_JSON", () => {
  const COMPACTED = [
    [
      '{ "a" : [ 1.50 , 1e3,\n\t10000000000000000000001 ],\r\n "b" : null }',
      '{"a":[1.50,1e3,10000000000000000000001],"b":null}',
    ],
    ['" a \\" b \\\\" ', '" a \\" b \\\\"'],
    ['["\\\\", " "]', '["\\\\"," "]'],
    ['{"\\u00e9" : "é\\/"}', '{"\\u00e9":"é\\/"}'],
    [" [ ] ", "[]"],
    [" 1 ", "1"],
  ] as const;
  for (const [text, expected] of COMPACTED) {
    it(`makes ${JSON.stringify(expected)} of ${JSON.stringify(text)}`, () => assert.equal(compact(text), expected));
  }

  it("leaves text that is not JSON as it is", () => {
    for (const text of ["", " ", "{ a : 1 }", "[1, 2", '{"a" : 1} x', "\ufeff[ 1 ]"]) assert.equal(compact(text), text);
    const invalid = Buffer.from([0x22, 0x20, 0xff, 0x22, 0x20]);
    assert.deepEqual(Buffer.from(compactJson(invalid)), invalid);
  });

  it("keeps the meaning and every token, however the whitespace stood", () => {
    const spaced = fc.tuple(fc.jsonValue(), fc.stringMatching(/^[ \t]{0,6}$/));
    fc.assert(
      fc.property(spaced, ([value, indent]) => {
        assert.equal(compact(JSON.stringify(value, null, indent)), JSON.stringify(value));
      }),
      { seed: 7, numRuns: 500 },
    );
  });
});
