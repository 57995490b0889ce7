import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeCursor } from "../../../core/messages/cursor-text.ts";
import { topicIdOf } from "../../../core/state/ids.ts";
import { parseFrom, parseLimit, parseRows } from "../../../core/missed/query.ts";

const NOW = Date.UTC(2026, 10, 21);
const TOPIC = { id: topicIdOf("t"), partition: 3 };
const cursor = (offset: number, partition = TOPIC.partition, id = TOPIC.id) => encodeCursor(id, { partition, offset });
const from = (query: Record<string, string>) => parseFrom(new URLSearchParams(query), TOPIC, NOW);
const refused = (query: Record<string, string>, says: RegExp) =>
  assert.throws(() => from(query), { code: "invalid_request", message: says }, JSON.stringify(query));

describe("WIRE §5 limit", () => {
  it("is 1 to 1,000, by default 100", () => {
    assert.deepEqual([null, "1", "007", "100", "1000"].map(parseLimit), [100, 1, 7, 100, 1_000]);
  });
  for (const text of ["", "0", "-1", "1001", "1.5", "1e2", " 1", "1 ", "\u0661", "abc", "9".repeat(400)]) {
    it(`is not ${JSON.stringify(text.slice(0, 20))}`, () => {
      assert.throws(() => parseLimit(text), { code: "invalid_request", message: /^limit must be/ });
    });
  }
});

describe("WIRE §5 where to read from", () => {
  it("is nothing, a cursor, a time, or both", () => {
    const since = { kind: "time", time: NOW - 86_400_000 };
    assert.deepEqual(from({}), []);
    assert.deepEqual(from({ after: cursor(41) }), [{ kind: "cursor", parameter: "after", next: 42 }]);
    assert.deepEqual(from({ after: cursor(-1) }), [{ kind: "cursor", parameter: "after", next: 0 }]);
    assert.deepEqual(from({ since: "2026-11-20T00:00:00Z" }), [since]);
    assert.deepEqual(from({ since: "2026-11-20T00:00:00Z", after: cursor(2 ** 40) }), [
      { kind: "cursor", parameter: "after", next: 2 ** 40 + 1 },
      since,
    ]);
  });

  it("is Last-Event-ID alone if it is sent, whatever the others say", () => {
    const expected = [{ kind: "cursor", parameter: "Last-Event-ID", next: 8 }];
    assert.deepEqual(from({ lastEventId: cursor(7), after: cursor(1), since: "never" }), expected);
    refused({ lastEventId: "", after: cursor(1) }, /^Last-Event-ID "" is not a cursor/);
  });

  it("names what is wrong with a cursor", () => {
    const right = cursor(41);
    refused({ after: "" }, /^after "" is not a cursor of this hub/);
    refused({ after: right.slice(1) }, /^after/);
    refused({ after: right.slice(0, -1) }, /is not a cursor of this hub/);
    refused({ after: `${right}AA` }, /is not a cursor of this hub/);
    refused({ after: `B${right.slice(1)}` }, /is a cursor of another version/);
    refused({ after: cursor(41, 3, topicIdOf("u")) }, /is a cursor of another topic/);
    refused({ after: cursor(41, 4) }, /is not a cursor of this hub/);
    refused({ after: "x".repeat(5_000) }, /^after "x{64}" /);
    refused({ since: "tomorrow" }, /^since "tomorrow" must be/);
    refused({ since: "2026-11-22T00:00:00Z" }, /^since .* is in the future/);
  });

  it("is not a cursor with any bit flipped", () => {
    const bytes = Buffer.from(cursor(41), "base64url");
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const other = Buffer.from(bytes);
      other[bit >> 3]! ^= 1 << (bit & 7);
      refused({ after: other.toString("base64url") }, /^after /);
    }
  });
});

describe("WIRE §5 the rows of failed content", () => {
  it("are 10 from the first on, unless pageindex and messageCount say more", () => {
    const TABLE: readonly (readonly [string | null, string | null, { skip: number; limit: number }])[] = [
      [null, null, { skip: 0, limit: 10 }],
      ["", "", { skip: 0, limit: 10 }],
      ["7", null, { skip: 7, limit: 10 }],
      [null, "1000", { skip: 0, limit: 1_000 }],
      ["007", "001", { skip: 7, limit: 1 }],
      ["999999999", "1", { skip: 999_999_999, limit: 1 }],
    ];
    for (const [pageindex, messageCount, rows] of TABLE) assert.deepEqual(parseRows(pageindex, messageCount), rows);
  });

  it("are refused by the parameter's name", () => {
    for (const wrong of ["-1", "1.5", "+1", " 1", "1 ", "x", "1e1", "0x1", "٣", "1000000000"]) {
      assert.throws(() => parseRows(wrong, null), /^Refusal: pageindex must be a whole number/, wrong);
    }
    for (const wrong of ["0", "-1", "1001", "5000", "1.5", "+1", "x", "1000000000"]) {
      assert.throws(
        () => parseRows("0", wrong),
        /^Refusal: messageCount must be a whole number from 1 to 1000$/,
        wrong,
      );
    }
  });
});
