import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { README, withSettingsTable } from "../../support/settings-table.ts";

describe("README.md", () => {
  it("has the table of settings as they are (npm run settings-table writes it)", async () => {
    const readme = await readFile(README, "utf8");
    assert.equal(readme, withSettingsTable(readme));
  });
});
