import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { canMatch, createIsListed } from "../../shared/topic-patterns.ts";

const isListed = (pattern: string, topic: string) => createIsListed([pattern])(topic);

describe("WIRE §1 patterns of topics", () => {
  const MATCHES: readonly (readonly [pattern: string, yes: readonly string[], no: readonly string[]])[] = [
    ["EVENT", ["EVENT"], ["EVENTS", "anEVENT", "event", ""]],
    ["*", ["EVENT", "a/b", "https://example.com/"], []],
    ["partner/*", ["partner/", "partner/A", "partner/A/B"], ["partner", "a/partner/A", "Partner/A"]],
    ["*/EVENT", ["a/EVENT", "a/b/EVENT", "/EVENT"], ["EVENT", "a/EVENTS"]],
    ["a*b*c", ["abc", "aXbYc", "abbcc", "a*b*c"], ["ab", "acb", "abcd", "xabc"]],
    ["ab*ba", ["abba", "ab-ba"], ["aba", "ab"]],
    ["*aab*", ["aaab", "xaabx", "aaaab"], ["aba", "ab"]],
    ["**", ["x", "a/b"], []],
    ["a.c", ["a.c"], ["abc"]],
    ["https://example.com/~a*", ["https://example.com/%7Ea", "https://example.com/~a/b"], ["https://example.com/b"]],
    ["https://example.com/%7Ea/*", ["https://example.com/~a/"], ["https://example.com/~a"]],
    ["HTTPS://*.Example/x", ["https://a.example/x", "https://a.b.example/x"], [
      "https://example/x",
      "http://a.example/x",
    ]],
    ["https://example*", ["https://example/", "https://example.com/x"], ["https://an.example/"]],
    ["https://*/%7Efeed", ["https://a.example/~feed", "https://a.example/b/~feed"], ["https://a.example/feed"]],
    ["HTTPS://Example.COM:443/A/*", ["https://example.com/A/b", "HTTPS://EXAMPLE.com:443/A/"], [
      "https://example.com/a/b",
      "https://example.com:8443/A/b",
    ]],
    ["https://example.com", ["https://example.com/", "https://EXAMPLE.com:443"], ["https://example.com/a"]],
    ["https://example.com?*", ["https://example.com/?a=1", "https://example.com?a"], ["https://example.com/a?b"]],
    ["https://*.Bücher.example:443/é*", ["https://a.bücher.example/%c3%a9/1", "https://A.xn--bcher-kva.example/é"], [
      "https://bücher.example/é",
    ]],
    ["http://example.com:*/x", ["http://example.com:8080/x"], ["http://example.com/x"]],
    ["https://*:8443/%7e*%7E/%c3*", ["https://a.example:8443/~b~/%C3%A9"], ["https://a.example/~b~/%C3%A9"]],
    ["http*://example.com/", ["http://example.com/", "https://example.com/"], ["ftp://example.com/"]],
  ];
  for (const [pattern, yes, no] of MATCHES) {
    it(`${pattern} matches ${JSON.stringify(yes)} and not ${JSON.stringify(no)}`, () => {
      for (const topic of yes) assert.ok(isListed(pattern, topic), topic);
      for (const topic of no) assert.ok(!isListed(pattern, topic), topic);
    });
  }

  it("one entry of a list is enough, and an empty list has none", () => {
    assert.ok(createIsListed(["a", "b*"])("bc"));
    assert.ok(!createIsListed([])("a"));
  });

  it("match what the same regular expression does", () => {
    const text = fc.stringMatching(/^[ab]{0,12}$/);
    const pattern = fc.stringMatching(/^[ab*]{0,8}$/);
    fc.assert(
      fc.property(pattern, text, (some, topic) => {
        const expected = new RegExp(`^${some.replaceAll("*", ".*")}$`).test(topic);
        assert.equal(isListed(some, topic), expected, `${some} ${topic}`);
      }),
      { seed: 7, numRuns: 5_000 },
    );
  });

  it("§6.6 take time by their lengths, not by the product: twice as long takes twice as long", () => {
    // A piece that fails late at each place, and many pieces that each fit almost everywhere.
    const patterns = [
      (size: number) => `*${"a".repeat(size / 2)}b*`,
      (size: number) => `*${"a*".repeat(size / 2)}b`,
      (size: number) => `*${"ab".repeat(size / 4)}c*${"a*b".repeat(size / 8)}x`,
    ];
    for (const patternOf of patterns) {
      const [one, two, four] = [1, 2, 4].map((times) => {
        const size = 100_000 * times;
        const listed = createIsListed([patternOf(size)]);
        const topic = "a".repeat(size);
        let best = Infinity;
        for (let tries = 0; tries < 3; tries++) {
          const began = performance.now();
          assert.equal(listed(topic), false);
          best = Math.min(best, performance.now() - began);
        }
        return best;
      }) as [number, number, number];
      // By the product, four times as long would take 16 times as long: over a minute.
      assert.ok(four < 10 * one + 100 && two < 10 * one + 100, `${one} ms, ${two} ms, ${four} ms`);
    }
  });

  const CAN = [
    "a",
    "*",
    "a,b",
    "partner/*",
    "https://*",
    "https://*/x",
    "http://host:*/",
    "*://host/",
    "http://*.a/?*",
    "*#*",
  ];
  for (const pattern of CAN) it(`a topic can match ${pattern}`, () => assert.ok(canMatch(pattern)));
  const CANNOT = [
    "http://example.com/*#part",
    "https://example.com/#",
    "ftp://*",
    "mailto:*",
    "a%2Fb",
    "partner%2F*",
    "http://user@host/*",
    "http://:80/*",
    "https://a b/*",
    "a\u0007*",
    "x".repeat(2_049),
    `${"x".repeat(2_049)}*`,
  ];
  for (const pattern of CANNOT) {
    it(`no topic can match ${JSON.stringify(pattern.slice(0, 40))}`, () => assert.ok(!canMatch(pattern)));
  }
});
