// The format of log lines: for people on a terminal, JSON elsewhere.
import { getAnsiColorFormatter, getJsonLinesFormatter, type LogRecord } from "@logtape/logtape";

/**
 * One line a record: for a terminal, or as JSON. What strangers sent is escaped in both, so that it is never a line or a
 * command.
 */
export function formatterFor(terminal: boolean): (record: LogRecord) => string {
  if (terminal) {
    return getAnsiColorFormatter({
      timestamp: "time",
      value: (value, inspect) => escaped(typeof value === "string" ? value : inspect(value)),
    });
  }
  const format = getJsonLinesFormatter({ categorySeparator: ".", message: "rendered", properties: "flatten" });
  return (record) => `${escaped(format(withoutFields(record)).trimEnd())}\n`;
}

/** The fields of a JSON line. A property of such a name would take its place, and the text of the line has it already. */
const FIELDS: ReadonlySet<string> = new Set(["@timestamp", "level", "message", "logger"]);

function withoutFields(record: LogRecord): LogRecord {
  const kept = Object.entries(record.properties).filter(([name]) => !FIELDS.has(name));
  return { ...record, properties: Object.fromEntries(kept) };
}

// C0 and C1 controls steer terminals; line and direction marks fool readers. They are escaped as in JSON, so that inside JSON
// the escapes mean the same.
function escaped(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
