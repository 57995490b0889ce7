// `npm run settings`: writes docs/settings.md from the rows of the settings.
import { writeFile } from "node:fs/promises";
import { ACCESS_ROWS } from "../../shared/settings/access.ts";
import { DELIVERY_ROWS } from "../../shared/settings/delivery.ts";
import { KAFKA_ROWS } from "../../shared/settings/kafka.ts";
import { LIMIT_ROWS } from "../../shared/settings/limits.ts";
import { PLACE_ROWS } from "../../shared/settings/places.ts";
import type { Row } from "../../shared/settings/row.ts";
import { PREFIX, ROWS } from "../../shared/settings/settings.ts";
import { TRANSPORT_ROWS } from "../../shared/settings/transport.ts";

type Rows = readonly Row<unknown>[];

/** By heading, in the order in which they are printed. */
const GROUPS: Readonly<Record<string, Rows>> = {
  "Where it listens, and where its data is": rowsOf(PLACE_ROWS),
  "Kafka as the log": rowsOf(KAFKA_ROWS),
  "Who may do what": rowsOf(ACCESS_ROWS),
  "Keys and TLS": rowsOf(TRANSPORT_ROWS),
  "Topics, subscriptions and deliveries": rowsOf(DELIVERY_ROWS),
  "Limits": rowsOf(LIMIT_ROWS),
  "Logging": rowsOf({ logLevel: ROWS.logLevel }),
};

const HEAD = `# Settings

<!-- Written by npm run settings, from the rows in shared/settings. -->

Settings are environment variables, read once at start. An unknown name or a wrong value stops the start with one line that says so, and so
do values that do not go together. \`npm start -- --print-config\` prints what is in force. Durations are written \`500ms\`, \`60s\`, \`15m\`,
\`12h\`, \`7d\`; lists are comma-separated.
`;

export const SETTINGS_DOCUMENT = new URL("../../docs/settings.md", import.meta.url);

/** The whole document, GitHub Markdown. @throws {Error} if a word that a setting may be has no meaning */
export function settingsDocument(): string {
  const index = Object.entries(GROUPS).map(([heading, rows]) =>
    `${heading}: ${rows.map((row) => `[\`${row.name}\`](#${(PREFIX + row.name).toLowerCase()})`).join(" · ")}`
  );
  const groups = Object.entries(GROUPS).map(([heading, rows]) => `## ${heading}\n\n${rows.map(sectionOf).join("\n")}`);
  return [HEAD, ...index.map((line) => `- ${line}`), "", ...groups].join("\n").replace(/\n+$/, "\n");
}

function sectionOf(row: Row<unknown>): string {
  const { name, what, change, meanings, value: { allowed, words } } = row;
  const values = words === undefined ? [`May be: ${allowed}.`] : words.map((word) => {
    const meaning = meanings?.[word];
    if (meaning === undefined) throw new Error(`${name} may be ${word}, and its row does not say what that means`);
    return `- \`${word}\`: ${meaning}`;
  });
  return [
    `### ${PREFIX}${name}`,
    "",
    what,
    "",
    ...values,
    "",
    `Default: ${defaultOf(row)}. When to change it: ${change}`,
    "",
  ]
    .join("\n");
}

function defaultOf(row: Row<unknown>): string {
  if (row.default === null) return "unset";
  if (typeof row.default === "string") return `\`${row.default}\``;
  const { from, make, shown } = row.default;
  return shown ?? `\`${make(`<${from}>`, () => false)}\``;
}

function rowsOf(rows: Readonly<Record<string, unknown>>): Rows {
  return Object.values(rows) as Rows;
}

if (import.meta.main) await writeFile(SETTINGS_DOCUMENT, settingsDocument());
