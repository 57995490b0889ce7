import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseRetryAfter } from "../../shared/retry-after.ts";

const NOW = Date.UTC(2026, 0, 1);

describe("Retry-After", () => {
  const CASES: readonly (readonly [text: string, expected: number | undefined])[] = [
    ["0", NOW],
    ["120", NOW + 120_000],
    [" 5 ", NOW + 5_000],
    // RFC 9110 §5.6.7: the three forms of a date, all in GMT.
    ["Thu, 01 Jan 2026 00:02:00 GMT", NOW + 120_000],
    ["Thursday, 01-Jan-26 00:02:00 GMT", NOW + 120_000],
    ["Thu Jan  1 00:02:00 2026", NOW + 120_000],
    ["Mon, 01 Jan 2001 00:00:00 GMT", Date.UTC(2001, 0, 1)],
    ["", undefined],
    ["soon", undefined],
    ["-5", undefined],
    ["1.5", undefined],
    ["1e3", undefined],
    ["0x10", undefined],
    ["2026", NOW + 2_026_000],
    ["2026-01-01T00:00:00Z", undefined],
    ["Thu, 99 Xyz 2026 99:99:99 GMT", undefined],
    ["\u0000", undefined],
  ];
  for (const [text, expected] of CASES) {
    it(`${JSON.stringify(text)} is ${expected === undefined ? "nothing" : new Date(expected).toISOString()}`, () => {
      assert.equal(parseRetryAfter(text, NOW), expected);
    });
  }

  it("a number beyond all reason is late, not nothing", () => {
    for (const text of ["99999999999", "9".repeat(400)]) {
      const asked = parseRetryAfter(text, NOW);
      assert.ok(asked !== undefined && Number.isFinite(asked) && asked > NOW + 3_600_000, text);
    }
  });

  it("a long hostile value costs no time", () => {
    const started = performance.now();
    for (const text of [`Thu${" ".repeat(200_000)}x`, `Thu, ${"1".repeat(200_000)}`, "a".repeat(200_000)]) {
      assert.equal(parseRetryAfter(text, NOW), undefined);
    }
    assert.ok(performance.now() - started < 500);
  });
});
