import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HubError } from "../../../edge/answers/hub-error.ts";
import { parseFailedContent } from "../../../edge/syntax/failed-content.ts";

const CALLBACK = "http://c.example/a?b=c";
const ENCODED = Buffer.from(CALLBACK).toString("base64url");
const TIME = "2026-01-01T00:00:00.000Z";
const query = (topic: string, more = "") => `topic=${topic}&callback=${ENCODED}&timestamp=${TIME}${more}`;

function refusalOf(text: string): string {
  try {
    parseFailedContent(text);
  } catch (error) {
    assert.ok(error instanceof HubError && error.code === "invalid_request", String(error));
    return error.message;
  }
  assert.fail(`${text} is taken`);
}

describe("WIRE §5 the query of failed content", () => {
  it("is signed as the client had it: values that are absent, bare or empty are empty", () => {
    const TABLE: readonly (readonly [more: string, signed: string])[] = [
      ["", ""],
      ["&pageindex=0", "0"],
      ["&pageindex=007&messageCount=10", "00710"],
      ["&messageCount=10", "10"],
      ["&pageindex=3&messageCount", "3"],
      ["&pageindex=3&messageCount=", "3"],
      ["&pageindex&messageCount&x=y", ""],
      ["&messageCount=5&messageCount=6", "5"],
      ["&messageCount=5&pageindex=1", "15"],
      ["&messageCount=-1", "-1"],
    ];
    for (const [more, signed] of TABLE) {
      const { readings, callback } = parseFailedContent(query("t", more));
      assert.deepEqual(readings, [{ topic: "t", signed: `t${CALLBACK}${TIME}${signed}` }], more);
      assert.equal(callback, CALLBACK);
    }
  });

  it("goes on to the core with its values as they came", () => {
    const { given } = parseFailedContent(query("t", "&pageindex=x&messageCount=%20%C3%A9"));
    assert.deepEqual(given, [["timestamp", TIME], ["pageindex", "x"], ["messageCount", " é"]]);
  });

  it("reads a topic as a form, as Spring leaves it, and as it is encoded twice", () => {
    const TABLE: readonly (readonly [sent: string, topics: readonly string[]])[] = [
      ["t", ["t"]],
      ["partner/EVENT", ["partner/EVENT"]],
      ["partner%2FEVENT", ["partner/EVENT"]],
      ["a%20b", ["a b"]],
      ["a%2Bb", ["a+b"]],
      ["a+b", ["a b", "a+b"]],
      // A name has no %XX left, so this one is encoded twice.
      ["a%2520b", ["a b"]],
      ["a+b%2520%25C3%25A9", ["a+b é"]],
      ["100%25", ["100%"]],
      ["https://n.example/?a=%2520", ["https://n.example/?a=%20"]],
      ["https://n.example/%2520", ["https://n.example/%20"]],
      ["https://n.example/?a%253Db%252526", ["https://n.example/?a%3Db%2526", "https://n.example/?a=b%26"]],
    ];
    for (const [sent, topics] of TABLE) {
      assert.deepEqual(parseFailedContent(query(sent)).readings.map(({ topic }) => topic), topics, sent);
    }
  });

  it("has the offset's plus sign in the timestamp, whatever became of it", () => {
    for (const offset of ["+05:30", "%2B05:30", "%2b05:30", "%2005:30"]) {
      const text = `topic=t&callback=${ENCODED}&timestamp=2026-01-01T00:00:00${offset}`;
      const { given, readings } = parseFailedContent(text);
      assert.deepEqual(given[0], ["timestamp", "2026-01-01T00:00:00+05:30"]);
      assert.equal(readings[0]?.signed, `t${CALLBACK}2026-01-01T00:00:00+05:30`);
    }
    const [timestamp] = parseFailedContent(`topic=t&callback=${ENCODED}&timestamp=2026-01-01%2000:00:00Z`).given;
    assert.deepEqual(timestamp, ["timestamp", "2026-01-01 00:00:00Z"]);
  });

  it("has the callback in base64url or base64, padded or not", () => {
    const callback = "http://c.example/~~?>>\u00ff~";
    const standard = Buffer.from(callback).toString("base64");
    assert.match(standard, /\+.*=$/);
    const sent = [
      standard,
      standard.replaceAll("=", ""),
      standard.replaceAll("+", "%20"),
      encodeURIComponent(standard),
      Buffer.from(callback).toString("base64url"),
      `${Buffer.from(callback).toString("base64url")}%3D`,
    ];
    for (const one of sent) {
      assert.equal(parseFailedContent(`topic=t&callback=${one}&timestamp=x`).callback, callback, one);
    }
    for (const one of ["a", "a===", "=", "a.b", "a%00bc", "_w", "a%0Abcd", "http://c.example/", "YQ=YQ"]) {
      assert.match(refusalOf(`topic=t&callback=${one}&timestamp=x`), /^callback is not the base64url/, one);
    }
  });

  it("names the parameter that is missing", () => {
    assert.match(refusalOf(`callback=${ENCODED}&timestamp=x`), /^topic is missing/);
    assert.match(refusalOf("topic=t&timestamp=x"), /^callback is missing/);
    assert.match(refusalOf(`topic=t&callback=${ENCODED}&timestamp`), /^timestamp is missing/);
    assert.match(refusalOf(query("t", "&pageindex=%ff")), /"pageindex" is not percent-encoded/);
  });
});
