import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { compactJson, createCompact } from "../../shared/compact-json.ts";

const compact = (text: string | Uint8Array) => Buffer.from(compactJson(Buffer.from(text))).toString();
const isJson = (text: string) => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};

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
    [" { } ", "{}"],
    [" 1 ", "1"],
    ["\r\n-0.5E+7\n", "-0.5E+7"],
    ["[ true , false , null ]", "[true,false,null]"],
    // What wedges MOSIP's subscriber: it joins the lines before it checks the signature.
    ['{"a":1}\n', '{"a":1}'],
    ['{"a":1}\r\n', '{"a":1}'],
    ['{\r\n  "a": 1\r\n}', '{"a":1}'],
    ['{"a":\r1}', '{"a":1}'],
    ['{"a":1}\n\n\n', '{"a":1}'],
    // A byte order mark is not whitespace: it stays.
    ["\ufeff[ 1 ]\r\n", "\ufeff[1]"],
  ] as const;
  for (const [text, expected] of COMPACTED) {
    it(`makes ${JSON.stringify(expected)} of ${JSON.stringify(text)}`, () => assert.equal(compact(text), expected));
  }

  const KEPT = [
    "",
    " ",
    "\n",
    "\ufeff",
    "{ a : 1 }",
    "[1, 2",
    '{"a" : 1} x',
    "[1 ,]",
    "[ , 1]",
    '{"a" : 1 ,}',
    '{"a" , 1}',
    '{ "a" }',
    "{ ]",
    "[ }",
    " ]",
    " [ 1 2 ]",
    " 01",
    " 1.",
    " .5",
    " +1",
    " 1e",
    " - 1",
    " nul",
    " NaN",
    ' "a\tb"',
    ' "\\x"',
    ' "\\u12g4"',
    ' "\\u12',
    ' "open',
    ' "\\',
    // NDJSON is several JSON texts.
    '{"a": 1}\n{"a": 2}\n',
    "1\n2\n",
    "\u00a0[ 1 ]",
    "<a>\r\n  <b/>\r\n</a>\n",
    "a, b\r\n1, 2\r\n",
  ];
  for (const text of KEPT) {
    it(`leaves ${JSON.stringify(text)} as it is`, () => {
      assert.ok(!isJson(text));
      assert.equal(compact(text), text);
    });
  }

  it("leaves bytes that are not UTF-8, or are packed, as they are", () => {
    for (
      const bytes of [
        Buffer.from([0x22, 0x20, 0xff, 0x22, 0x20]),
        Buffer.from("[ 1 ]", "utf16le"),
        gzipSync("[ 1 ]"),
        Buffer.from([0xed, 0xa0, 0x80, 0x20]),
      ]
    ) assert.deepEqual(Buffer.from(compactJson(bytes)), bytes);
  });

  it("keeps the meaning and every token, however the whitespace stood", () => {
    const spaced = fc.tuple(fc.jsonValue(), fc.stringMatching(/^[ \t]{0,6}$/));
    fc.assert(
      fc.property(spaced, ([value, indent]) => {
        assert.equal(compact(`${JSON.stringify(value, null, indent)}\r\n`), JSON.stringify(value));
      }),
      { seed: 7, numRuns: 500 },
    );
  });

  it("takes for JSON what the platform's parser takes, and nothing else", () => {
    const token = fc.constantFrom(
      ...'{}[],:"\\ \n01.5-+eEtrue null falsé\ud83d\ude00u00e9'.split(/(?:)/u),
      "true",
      '"a"',
    );
    const broken = fc.tuple(fc.jsonValue(), fc.nat(), fc.nat(3), fc.array(token, { maxLength: 3 }))
      .map(([value, at, length, tokens]) => {
        const text = JSON.stringify(value, null, 1);
        const from = at % (text.length + 1);
        return text.slice(0, from) + tokens.join("") + text.slice(from + length);
      });
    const soup = fc.array(token, { maxLength: 8 }).map((tokens) => tokens.join(""));
    let json = 0;
    fc.assert(
      fc.property(fc.oneof(broken, soup), (text) => {
        fc.pre(text.isWellFormed());
        const [before, after] = [` ${text}\n`, compact(` ${text}\n`)];
        if (!isJson(before)) return assert.equal(after, before);
        json++;
        assert.deepEqual(JSON.parse(after), JSON.parse(before));
        assert.ok(!/^\s|\s$/.test(after));
      }),
      { seed: 7, numRuns: 5_000 },
    );
    assert.ok(json > 500, `${json} were JSON`);
  });

  it("§6.6 does not mind how deeply a text is nested, and takes time by its length alone", () => {
    const depth = 1_000_000;
    assert.equal(compactJson(Buffer.from(" [".repeat(depth) + "] ".repeat(depth))).length, 2 * depth);
    assert.equal(compactJson(Buffer.from(' {"a":'.repeat(depth) + "1" + "}".repeat(depth))).length, 6 * depth + 1);
    const open = Buffer.from(" [".repeat(depth));
    assert.equal(compactJson(open), open);
  });

  it("is for the listed topics, in any spelling, and not for what has a Content-Encoding", () => {
    const listed = createCompact(["partner/*", "https://example.com/~a"]);
    const of = (topic: string, encoding?: string | null) =>
      Buffer.from(listed(topic, Buffer.from("[ 1 ]"), encoding)).toString();
    assert.deepEqual([of("partner/A"), of("https://example.com/%7Ea"), of("partner/A", "identity")], [
      "[1]",
      "[1]",
      "[1]",
    ]);
    assert.deepEqual([of("A"), of("https://example.com/"), of("partner/A", "gzip"), of("partner/A", "x-own")], [
      "[ 1 ]",
      "[ 1 ]",
      "[ 1 ]",
      "[ 1 ]",
    ]);
  });
});
