import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { encodeCursor } from "../../../core/messages/cursor-text.ts";
import { toMessage } from "../../../core/messages/message.ts";
import type { LogRecord } from "../../../core/log/log.ts";
import { TOPIC_ID } from "../../support/rigs/lanes.ts";

function record(headers: Record<string, string>, value: Uint8Array | null = Buffer.from("body")): LogRecord {
  return { partition: 2, offset: 40, key: TOPIC_ID, time: 1_234, headers, value };
}

/** What undici, and HTTP, take as a header's value. */
const SENDABLE = /^[\t\x20-\x7e\x80-\xff]*$/;

describe("a message of the log", () => {
  it("is what was appended", () => {
    const message = toMessage(record({
      id: "msg_1",
      "content-type": "text/plain; charset=UTF-8",
      topic: "t",
      traceparent: "00-aa-bb-01",
      headers: JSON.stringify({ "content-language": "de", "ce-id": "7", link: "<a>; rel=self" }),
    }));
    assert.deepEqual({ ...message, body: message.body.toString() }, {
      partition: 2,
      offset: 40,
      topicId: TOPIC_ID,
      id: "msg_1",
      cursor: encodeCursor(TOPIC_ID, { partition: 2, offset: 40 }),
      keyed: false,
      publishedAt: 1_234,
      body: "body",
      contentType: "text/plain; charset=UTF-8",
      traceparent: "00-aa-bb-01",
      link: "<a>; rel=self",
      extra: ["content-language", "de", "ce-id", "7"],
      holders: 0,
      held: undefined,
    });
  });

  it("without headers or value is empty, of no known type, and has an id all the same", () => {
    const { id, contentType, body, extra, link, traceparent } = toMessage(record({}, null));
    assert.deepEqual([id, contentType, body.length, [...extra], link, traceparent], [
      "2-40",
      "application/octet-stream",
      0,
      [],
      undefined,
      undefined,
    ]);
  });

  it("keeps a value's own bytes of a larger buffer", () => {
    const whole = Buffer.from("before-body-after");
    assert.equal(toMessage(record({}, whole.subarray(7, 11))).body.toString(), "body");
  });

  for (const text of ["null", "7", '"text"', "[1,2]", "{", "", "[null]", '{"a":null,"b":1,"c":{"d":"e"}}', "[]"]) {
    it(`§6.6 loses headers that are not an object of texts, and does not fail: ${text}`, () => {
      assert.deepEqual(toMessage(record({ headers: text })).extra, []);
    });
  }

  it("§6.6 loses what no request can carry: it would stop every attempt for ever", () => {
    const hostile = { "x-a": "a\r\nb: c", "x-b": "日", "no token": "1", "": "2", "x-c": "\u0000", link: "<a>\n" };
    const framing = {
      connection: "close",
      "transfer-encoding": "chunked",
      "content-length": "9",
      host: "x",
      expect: "y",
    };
    const message = toMessage(record({
      id: "a\nb",
      "content-type": "text/plain\r\nx: y",
      traceparent: "\u0001",
      headers: JSON.stringify({ ...hostile, ...framing, "CONTENT-TYPE": "z", "ce-id": "kept" }),
    }));
    const { id, contentType, traceparent, link, extra } = message;
    assert.deepEqual([id, contentType, traceparent, link, [...extra]], [
      "2-40",
      "application/octet-stream",
      undefined,
      undefined,
      ["ce-id", "kept"],
    ]);
  });

  it("§6.6 whatever a record says, its message can be sent", () => {
    const text = fc.oneof(fc.string({ unit: "binary" }), fc.json(), fc.string());
    const headers = fc.record({ id: text, "content-type": text, traceparent: text, headers: text }, {
      requiredKeys: [],
    });
    fc.assert(
      fc.property(headers, (given) => {
        const { id, contentType, traceparent = "", link = "", extra } = toMessage(
          record(given as Record<string, string>),
        );
        for (const value of [id, contentType, traceparent, link, ...extra]) assert.match(value, SENDABLE);
        assert.notEqual(id, "");
      }),
      { numRuns: 1_000 },
    );
  });
});
