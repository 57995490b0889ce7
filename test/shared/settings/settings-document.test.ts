import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { PREFIX, ROWS } from "../../../shared/settings/settings.ts";
import { SETTINGS_DOCUMENT, settingsDocument } from "../../support/settings-document.ts";

describe("docs/settings.md", () => {
  it("has the settings as they are (npm run settings writes it)", async () => {
    assert.equal(await readFile(SETTINGS_DOCUMENT, "utf8"), settingsDocument());
  });

  it("has every setting, with each word that it may be", () => {
    const written = settingsDocument();
    assert.equal(written.match(/^### /gm)?.length, Object.keys(ROWS).length);
    for (const { name, value } of Object.values(ROWS)) {
      const section = written.split(`\n### ${PREFIX}${name}\n`)[1]?.split("\n### ")[0] ?? "";
      assert.ok(section.includes("When to change it: "), name);
      for (const word of value.words ?? []) assert.ok(section.includes(`- \`${word}\`: `), `${name}, ${word}`);
    }
  });
});
