import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createTraceparent, parseTraceparent } from "../../shared/trace.ts";

const VALID = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

describe("trace context", () => {
  it("keeps a valid traceparent", () => {
    assert.equal(parseTraceparent(VALID), VALID);
  });

  it("reads from a later version the parts that version 00 has", () => {
    assert.equal(parseTraceparent(`cc${VALID.slice(2)}-more`), VALID);
    assert.equal(parseTraceparent(`cc${VALID.slice(2)}`), VALID);
  });

  it("refuses all that W3C calls invalid", () => {
    const invalid = [
      "",
      "garbage",
      `ff${VALID.slice(2)}`,
      `${VALID}-more`,
      VALID.toUpperCase(),
      VALID.replace("0af7651916cd43dd8448eb211c80319c", "0".repeat(32)),
      VALID.replace("b7ad6b7169203331", "0".repeat(16)),
      VALID.slice(0, -1),
      ` ${VALID}`,
    ];
    for (const header of invalid) assert.equal(parseTraceparent(header), null, header);
    assert.equal(parseTraceparent(null), null);
  });

  it("makes new traces that are valid and distinct", () => {
    const made = Array.from({ length: 500 }, createTraceparent);
    for (const header of made) assert.equal(parseTraceparent(header), header);
    assert.equal(new Set(made.map((header) => header.slice(3, 35))).size, 500);
  });
});
