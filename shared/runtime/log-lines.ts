// The format of log lines: for people on a terminal, JSON elsewhere.
import { getAnsiColorFormatter, getJsonLinesFormatter, type LogRecord } from "@logtape/logtape";
import { errorText, errorTextWithPlaces, isError } from "./error-text.ts";

/**
 * One line a record: for a terminal, or as JSON. What strangers sent is escaped in both, so that it is never a line or a
 * command. An error is text in both, with its causes; a JSON line says where it was thrown in its property only.
 */
export function formatterFor(terminal: boolean): (record: LogRecord) => string {
  if (terminal) {
    const format = getAnsiColorFormatter({
      timestamp: "time",
      value: (value, inspect) => {
        if (isError(value)) return escaped(errorTextWithPlaces(value));
        return escaped(typeof value === "string" ? value : inspect(readable(value, errorText)));
      },
    });
    // The text of the line may hold what strangers sent, too: a sentence that names it.
    return (record) =>
      format({ ...record, message: record.message.map((part, n) => n % 2 === 0 ? escapedText(part) : part) });
  }
  const format = getJsonLinesFormatter({ categorySeparator: ".", message: "rendered", properties: "flatten" });
  return (record) => `${escaped(format(forJson(record)).trimEnd())}\n`;
}

/** The fields of a JSON line. A property of such a name would take its place, and the text of the line has it already. */
const FIELDS: ReadonlySet<string> = new Set(["@timestamp", "level", "message", "logger"]);

function forJson(record: LogRecord): LogRecord {
  const kept = Object.entries(record.properties).filter(([name]) => !FIELDS.has(name));
  const properties = Object.fromEntries(kept.map(([name, value]) => [name, readable(value, errorTextWithPlaces)]));
  return { ...record, properties, message: withErrorsAsText(record.message) };
}

/** The message's parts: texts of the line, and values between them. An error becomes text of the line, so that it has no quotes. */
function withErrorsAsText(parts: readonly unknown[]): unknown[] {
  if (!parts.some((part, index) => index % 2 === 1 && typeof part === "object")) return [...parts];
  const rendered: unknown[] = [parts[0]];
  for (let index = 1; index < parts.length; index += 2) {
    const [value, text] = [parts[index], parts[index + 1]];
    if (isError(value)) rendered.push(`${String(rendered.pop())}${errorText(value)}${String(text)}`);
    else rendered.push(readable(value, errorText), text);
  }
  return rendered;
}

/** Values this deep, and lists this long, are shown. */
const MOST_DEPTH = 4;
const MOST_ITEMS = 100;

/** The value as JSON can have it: errors in it are text, a cycle ends, and a property that cannot be read says so. */
function readable(value: unknown, told: (error: Error) => string, depth = 0): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (isError(value)) return told(value);
  if (depth >= MOST_DEPTH) return "…";
  try {
    if (Array.isArray(value)) return value.slice(0, MOST_ITEMS).map((item) => readable(item, told, depth + 1));
    const prototype: unknown = Object.getPrototypeOf(value);
    // Objects of a class say by themselves what they are in JSON (a date).
    if (prototype !== Object.prototype && prototype !== null) {
      JSON.stringify(value);
      return value;
    }
  } catch {
    return "(unreadable)";
  }
  const entries: [string, unknown][] = [];
  for (const name of Object.keys(value).slice(0, MOST_ITEMS)) {
    try {
      entries.push([name, readable((value as Record<string, unknown>)[name], told, depth + 1)]);
    } catch {
      entries.push([name, "(unreadable)"]);
    }
  }
  return Object.fromEntries(entries);
}

function escapedText(part: unknown): unknown {
  return typeof part === "string" ? escaped(part) : part;
}

// C0 and C1 controls steer terminals; line and direction marks fool readers. They are escaped as in JSON, so that inside JSON
// the escapes mean the same.
function escaped(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
