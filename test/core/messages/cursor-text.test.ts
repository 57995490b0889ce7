import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { CursorError, decodeCursor, encodeCursor } from "../../../core/messages/cursor-text.ts";
import { topicIdOf } from "../../../core/state/ids.ts";

const TOPIC = topicIdOf("https://example.com/feed");

function refusal(cursor: string, topicId = TOPIC): string {
  try {
    decodeCursor(topicId, cursor);
  } catch (error) {
    assert.ok(error instanceof CursorError, String(error));
    return error.message;
  }
  return assert.fail(`"${cursor}" was taken`);
}

/** A cursor with other bytes and a checksum that fits them. */
function forged(change: (bytes: Buffer) => void): string {
  const bytes = Buffer.from(encodeCursor(TOPIC, { partition: 3, offset: 41 }), "base64url");
  change(bytes);
  createHash("sha256").update(bytes.subarray(0, 18)).digest().copy(bytes, 18, 0, 4);
  return bytes.toString("base64url");
}

describe("a cursor (WIRE §5)", () => {
  it("names the position it was made of", () => {
    const positions = fc.record({ partition: fc.nat(65_535), offset: fc.maxSafeInteger().map((n) => Math.abs(n) - 1) });
    fc.assert(fc.property(positions, (position) => {
      const cursor = encodeCursor(TOPIC, position);
      assert.match(cursor, /^[A-Za-z0-9_-]{30}$/);
      assert.deepEqual(decodeCursor(TOPIC, cursor), { ...position });
    }));
  });

  it("may stand before the first message", () => {
    const first = { partition: 0, offset: -1 };
    assert.deepEqual(decodeCursor(TOPIC, encodeCursor(TOPIC, first)), first);
  });

  it("of another topic is refused, and says so", () => {
    const cursor = encodeCursor(topicIdOf("https://example.com/other"), { partition: 0, offset: 1 });
    assert.equal(refusal(cursor), "is a cursor of another topic");
  });

  it("of another version is refused, and says so", () => {
    assert.equal(refusal(forged((bytes) => bytes[0] = 2)), "is a cursor of another version of this hub");
  });

  it("with any one character changed is refused", () => {
    const cursor = encodeCursor(TOPIC, { partition: 7, offset: 123_456_789 });
    for (let at = 0; at < cursor.length; at++) {
      for (const character of ["A", "B", "_", "9"]) {
        if (cursor[at] === character) continue;
        refusal(cursor.slice(0, at) + character + cursor.slice(at + 1));
      }
    }
  });

  it("cut or lengthened is refused", () => {
    const cursor = encodeCursor(TOPIC, { partition: 7, offset: 5 });
    for (let length = 0; length < cursor.length; length++) refusal(cursor.slice(0, length));
    for (const more of ["A", "AA", "AAAA", "=", " ", "\n", "A".repeat(100)]) refusal(cursor + more);
  });

  it("that names an offset no log has is refused, also with a checksum that fits", () => {
    assert.equal(refusal(forged((bytes) => bytes.fill(0xff, 11, 18))), "is not a cursor of this hub");
  });

  it("of any other text is refused with one of three sentences, and never another error", () => {
    const texts = fc.oneof(fc.string(), fc.base64String(), fc.string({ unit: "binary", maxLength: 40 }));
    const sentences = [
      "is not a cursor of this hub",
      "is a cursor of another version of this hub",
      "is a cursor of another topic",
    ];
    fc.assert(fc.property(texts, (text) => assert.ok(sentences.includes(refusal(text)))), { numRuns: 2_000 });
  });
});
