// `npm run settings-table`: writes the table of settings between its markers in README.md.
import { readFile, writeFile } from "node:fs/promises";
import { settingsTable } from "../../shared/settings/settings.ts";

const BEGIN = "<!-- settings: written by npm run settings-table -->";
const END = "<!-- /settings -->";

/** The README with the table of settings as it should be; throws if it lacks the markers. */
export function withSettingsTable(readme: string): string {
  const begin = readme.indexOf(BEGIN);
  const end = readme.indexOf(END);
  if (begin < 0 || end < begin) throw new Error("Cannot place the settings table: README.md lacks its two markers");
  return `${readme.slice(0, begin)}${BEGIN}\n\n${settingsTable()}\n\n${readme.slice(end)}`;
}

export const README = new URL("../../README.md", import.meta.url);

if (import.meta.main) await writeFile(README, withSettingsTable(await readFile(README, "utf8")));
