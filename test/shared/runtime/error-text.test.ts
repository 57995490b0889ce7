import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { errorText, errorTextWithPlaces } from "../../../shared/runtime/error-text.ts";
import { lineOf, lines, OWN_WORDS, SECRET, THROWN } from "../../support/rigs/log-errors.ts";
import { runCommand } from "../../support/hub/command.ts";
import { executableOf, RUNTIMES } from "../../support/runtimes.ts";

const RIG = fileURLToPath(new URL("../../support/rigs/log-errors.ts", import.meta.url));
const ARGUMENTS = { node: [], deno: ["run", "-A", "--no-check"], bun: [] } as const;

const WANTED: Readonly<Record<string, string>> = {
  plain: "TypeError: it failed",
  code: "Error: connect (ECONNREFUSED)",
  cause: "Error: fetch failed; cause: Error (EHOSTUNREACH)",
  "cause that is told already": "Error: GET http://a: reset; cause: TypeError: deeper",
  "text as a cause": "Error: outer; cause: a text",
  "object as a cause": "Error: outer; cause: an object: like an error (7)",
  aggregate: "AggregateError: all failed; errors: [Error: one | two | RangeError: three]",
  suppressed: "SuppressedError: two at once; error: Error: later; suppressed: earlier",
  cycle: "Error: outer; cause: Error: inner; cause: (told above)",
  "getter of message": "Error",
  "getter of cause": "Error: its own",
  "getter of stack": "Error: its own",
  "getter of name": "Error: its own",
  "no object": "17",
  nothing: "undefined",
};

describe("an error as text", () => {
  for (const [name, text] of Object.entries(WANTED)) {
    it(`says what was thrown and why: ${name}`, () => assert.equal(errorText(THROWN[name]), text));
  }

  it("says once, and in the property only, where it was thrown", () => {
    const { message, error } = JSON.parse(lineOf(THROWN["cause"])) as { message: string; error: string };
    assert.equal(message, "It failed: Error: fetch failed; cause: Error (EHOSTUNREACH), and so on");
    assert.match(error, /^Error: fetch failed; cause: Error \(EHOSTUNREACH\)\n {4}at .*log-errors\.ts/);
    assert.equal(error.split("fetch failed").length, 2);
    assert.match(lineOf(THROWN["plain"], true), /TypeError: it failed\\u000a {4}at /);
  });

  for (const [name, error] of Object.entries(THROWN)) {
    it(`is one bounded line that has no secret: ${name}`, () => {
      for (const line of [lineOf(error), lineOf(error, true)]) {
        assert.ok(line.endsWith("\n") && line.indexOf("\n") === line.length - 1);
        assert.ok(line.length < 40_000, String(line.length));
        assert.doesNotMatch(line, new RegExp(SECRET));
      }
    });
  }

  it("does not take lines of a message for places", () => {
    assert.doesNotMatch(errorTextWithPlaces(THROWN["lines in the message"]).slice(60), /forged/);
  });

  it("in a list or an object is text, too", () => {
    const { error } = JSON.parse(lineOf(THROWN["in a list"])) as { error: [string, { deep: string }] };
    assert.match(error[0], /^Error: within\n/);
    assert.match(error[1].deep, /^Error: deeper\n/);
  });

  for (const runtime of RUNTIMES) {
    it(`has the same shape on ${runtime}`, async () => {
      const command = runCommand(executableOf(runtime), [...ARGUMENTS[runtime], RIG]);
      assert.equal(await command.ended, 0, command.errors());
      const theirs = JSON.parse(command.output()) as Record<string, string>;
      const ours = lines();
      for (const name of OWN_WORDS) for (const all of [theirs, ours]) delete all[name];
      assert.deepEqual(theirs, ours);
    });
  }
});
