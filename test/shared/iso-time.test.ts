import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isIsoTime, parseIsoTime } from "../../shared/iso-time.ts";
import { WRONG_TIMES } from "../support/wrong-times.ts";

const AT = Date.UTC(2026, 10, 21, 10, 30, 0);

describe("WIRE §5 a time", () => {
  const SPELLINGS: readonly [text: string, ms: number][] = [
    ["2026-11-21T10:30:00Z", AT],
    ["2026-11-21T10:30Z", AT],
    ["2026-11-21T12:30:00+02:00", AT],
    ["2026-11-21T12:30:00+0200", AT],
    ["2026-11-21T00:30:00-10:00", AT],
    ["2026-11-21T10:30:00.1Z", AT + 100],
    ["2026-11-21T10:30:00,123Z", AT + 123],
    ["2026-11-21T10:30:00.123999999Z", AT + 123],
    ["1969-12-31T23:59:59.999Z", -1],
    ["2024-02-29T00:00:00Z", Date.UTC(2024, 1, 29)],
    ["2026-12-31T24:00:00Z", Date.UTC(2027, 0, 1)],
  ];
  for (const [text, ms] of SPELLINGS) {
    it(`is read from ${text}`, () => assert.equal(parseIsoTime(text), ms));
  }

  for (const text of WRONG_TIMES) {
    it(`is not ${JSON.stringify(text)}`, () => {
      assert.ok(Number.isNaN(parseIsoTime(text)));
    });
  }

  it("has a form that does not say whether it exists", () => {
    assert.deepEqual(["2026-02-29T10:30:00Z", "2026-11-21", ""].map(isIsoTime), [true, false, false]);
  });
});
