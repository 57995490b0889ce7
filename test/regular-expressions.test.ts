// No regular expression of the code takes more time than in proportion to its text: outside input reaches most of them, some before anything
// is checked. Which checker, and why: test/support/regular-expressions.ts.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { readTree } from "./support/architecture.ts";
import { expressionsIn, slownessOf } from "./support/regular-expressions.ts";

/** By file and pattern, with the reason. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  [String.raw`shared/settings/settings.ts / "(?:[^"\\]|\\.)*"/`]:
    "A quotation mark within a quoted text stands behind a backslash, so no other try begins in it; the text is our own.",
};

const ROOT = new URL("../", import.meta.url);

describe("regular expressions", () => {
  it("of the code are linear", async () => {
    const slow: string[] = [];
    const used = new Set<string>();
    for (const path of (await readTree()).keys()) {
      if (!/^(?:edge|core|shared|client|cli)\//.test(path)) continue;
      for (const expression of expressionsIn(path, await readFile(new URL(path, ROOT), "utf8"))) {
        const reasons = slownessOf(expression);
        const name = `${path} /${expression.pattern}/`;
        if (reasons.length === 0) continue;
        if (Object.hasOwn(EXCEPTIONS, name)) used.add(name);
        else slow.push(`${path}:${expression.line} /${expression.pattern}/${expression.flags}: ${reasons.join("; ")}`);
      }
    }
    assert.deepEqual(slow, []);
    assert.deepEqual(Object.keys(EXCEPTIONS).filter((name) => !used.has(name)), [], "exceptions of nothing");
  });

  for (
    const slow of [
      // What froze an edge: a cookie's token between spaces and quotation marks.
      /^\s*Authorization\s*=\s*"?\s*([^"]*?)\s*"?\s*$/,
      /^(a+)+$/,
      /^(?:a*b?)*$/,
      /\s+$/,
      /^[ \t]*(.*?)[ \t]*$/,
      /=+$/,
      /:\/\/.*@/,
      /(?:x|"[^]*)"y/,
      /<a\s[^>]*href="[^>]*>/,
      /[\da-f]*:[\da-f]*/i,
    ]
  ) {
    it(`the check finds ${slow}`, () =>
      assert.notDeepEqual(slownessOf({ pattern: slow.source, flags: slow.flags }), []));
  }

  for (
    const linear of [
      /^a+$/,
      /^\[[^\]]*\](?::\d+)?$/,
      /[ \t]+/g,
      /<(?:[A-Za-z][\w.-]*:)?link\b([^<>]*)>/gi,
      /"[^"]*"/g,
      /a+/,
    ]
  ) {
    it(`the check lets ${linear} pass`, () =>
      assert.deepEqual(slownessOf({ pattern: linear.source, flags: linear.flags }), []));
  }

  it("made of constants of a file are found, and those made of anything else are refused", () => {
    const source = 'const A = "a+";\nconst B = String.raw`\\d${A}`;\nconst C = new RegExp(`^${B}$`, "g");';
    assert.deepEqual(expressionsIn("x.ts", source), [{ line: 3, pattern: String.raw`^\da+$`, flags: "g" }]);
    assert.throws(
      () => expressionsIn("x.ts", "const C = (name: string) => new RegExp(name);"),
      /not a constant of the file/,
    );
  });
});
