import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LogRecord } from "@logtape/logtape";
import { formatterFor } from "../../../shared/runtime/log-lines.ts";

const HOSTILE = [
  "a\nWARN tidings: forged",
  'a\r\n{"level":"ERROR"}',
  "\u001b[2J\u001b]0;title\u0007",
  "\u009b31m",
  "a\u2028b\u2029c",
  "\u202egnp.exe",
  "a\0b",
  '"}\n{"level":"FATAL',
];

function recordOf(value: string): LogRecord {
  const message = ["Topic ", value, " could not be fetched"];
  return {
    category: ["tidings", "test"],
    level: "warning",
    message,
    rawMessage: "Topic {topic} could not be fetched",
    properties: { topic: value },
    timestamp: 0,
  };
}

describe("a log line", () => {
  it("keeps its text and level, though a property has the name of a field", () => {
    const properties = { message: "why", level: "none", logger: "x", "@timestamp": "never", topic: "t" };
    const line = formatterFor(false)({ ...recordOf("t"), properties });
    const { message, level, logger, topic } = JSON.parse(line) as Record<string, unknown>;
    assert.deepEqual([message, level, logger, topic], [`Topic "t" could not be fetched`, "WARN", "tidings.test", "t"]);
    assert.doesNotMatch(line, /never/);
  });

  for (const value of HOSTILE) {
    it(`is one line, and steers nothing, though it holds ${JSON.stringify(value)}`, () => {
      const json = formatterFor(false)(recordOf(value));
      assert.match(json, /^\{[^\n\r\u007f-\u009f\u2028\u2029\u202e]*\}\n$/);
      // Escaped, not lost.
      assert.equal((JSON.parse(json) as { topic: string }).topic, value);
      const inText = { ...recordOf("t"), message: [`A sentence that names ${value}: `, "t", ` and ${value}`] };
      for (const record of [recordOf(value), inText]) {
        const text = formatterFor(true)(record);
        assert.ok(text.endsWith("\n") && text.indexOf("\n") === text.length - 1, JSON.stringify(text));
        // Its own colours are the only commands in it.
        assert.doesNotMatch(
          text.replaceAll(/\u001b\[\d*(?:;\d+)*m/g, ""),
          /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\u202e]/,
        );
      }
    });
  }
});
