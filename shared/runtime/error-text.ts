// What was thrown, as text for a log line: its name and message, those of its causes, and where it was thrown. The text is bounded,
// alike on all runtimes, and quotes nothing that may be a secret. Nothing here throws, whatever was thrown.

/** A message is cut after so many characters, the whole text after MOST_TEXT. */
const MOST_MESSAGE = 500;
const MOST_TEXT = 2_000;
/** Errors within one error that are told, and how deep they may lie. */
const MOST_TOLD = 16;
const MOST_DEPTH = 6;
const MOST_FRAMES = 20;

/** Whether a value of a log record is an error; one of another realm is, too. */
export function isError(value: unknown): value is Error {
  if (typeof value !== "object" || value === null) return false;
  try {
    return value instanceof Error || Object.prototype.toString.call(value) === "[object Error]";
  } catch {
    return false;
  }
}

/** "Name: message (CODE); cause: …": one line if the messages are. Values that are no errors are told as far as they say something. */
export function errorText(error: unknown): string {
  return cut(new Telling().tell(error, 0), MOST_TEXT);
}

/** As `errorText`, and the places where the error was thrown, a line each. The causes' own places are left out. */
export function errorTextWithPlaces(error: unknown): string {
  return [errorText(error), ...placesOf(error)].join("\n");
}

/** Follows the errors within one error. */
class Telling {
  readonly #told = new Set<unknown>();

  /** `above`: the head of the error that has this one as its cause. A message that it repeats is not told again. */
  tell(value: unknown, depth: number, above = ""): string {
    if (typeof value !== "object" || value === null) return textOf(value);
    if (this.#told.has(value)) return "(told above)";
    if (this.#told.size >= MOST_TOLD || depth > MOST_DEPTH) return "…";
    this.#told.add(value);
    const head = headOf(value);
    const inner = (label: string, name: string) => {
      const found = read(value, name);
      if (found === undefined) return "";
      const text = this.tell(found, depth + 1, name === "cause" ? head : "");
      return text === "" || text.startsWith("; ") ? text : `; ${label}: ${text}`;
    };
    const errors = read(value, "errors");
    const all = Array.isArray(errors) ? `; errors: [${this.#list(errors, depth)}]` : "";
    // A SuppressedError has the later error in `error`, the earlier one in `suppressed`.
    const both = read(value, "suppressed") === undefined
      ? ""
      : inner("error", "error") + inner("suppressed", "suppressed");
    return (isToldBy(above, value) ? "" : head) + all + both + inner("cause", "cause");
  }

  #list(errors: readonly unknown[], depth: number): string {
    const told: string[] = [];
    for (let index = 0; index < errors.length; index++) {
      if (this.#told.size >= MOST_TOLD) {
        told.push(`and ${errors.length - index} more`);
        break;
      }
      told.push(this.tell(read(errors, index), depth + 1));
    }
    return told.join(" | ");
  }
}

/** Whether the head of an error has the message of its cause after a colon, and its code. */
function isToldBy(text: string, value: object): boolean {
  const [message, code] = [messageOf(value, ""), read(value, "code")];
  return message !== "" && text.includes(`: ${message}`) && (code === undefined || text.includes(textOf(code)));
}

/** "Name: message (CODE)". */
function headOf(value: object): string {
  const [name, code] = [read(value, "name"), read(value, "code")];
  const shownName = typeof name === "string" && name !== "" ? cut(name, 100) : isError(value) ? "Error" : "an object";
  const message = messageOf(value, shownName);
  const isNew = (typeof code === "string" || typeof code === "number") && !message.includes(String(code));
  const shownCode = isNew && code !== "" ? ` (${cut(String(code), 100)})` : "";
  return (message === "" ? shownName : `${shownName}: ${message}`) + shownCode;
}

function messageOf(value: object, name: string): string {
  const message = read(value, "message");
  if (typeof message !== "string") return "";
  // A parser's message quotes what it could not parse: from its first quotation mark to its last.
  const shown = name === "SyntaxError" ? withoutQuoted(message) : message;
  return textOf(shown);
}

function withoutQuoted(message: string): string {
  const first = message.search(/["'`]/);
  const last = Math.max(...['"', "'", "`"].map((mark) => message.lastIndexOf(mark)));
  return first < last ? `${message.slice(0, first)}…${message.slice(last + 1)}` : message;
}

function textOf(value: unknown): string {
  try {
    return withoutSecrets(cut(String(value), MOST_MESSAGE));
  } catch {
    return "a value without a text";
  }
}

/** Tokens, and the values of what is called like a secret. */
function withoutSecrets(text: string): string {
  return withoutJson(text)
    .replace(/\beyJ[\w-]*(?:\.[\w-]*)*/g, "…")
    .replace(/\b(Bearer|Basic)\s+[^\s"',;]+/gi, "$1 …")
    .replace(
      /((?:hub\.secret|hub\.verify_token|token|secret|password|assertion)["']?\s*[=:]\s*["']?)[^\s&"',;]+/gi,
      "$1…",
    );
}

/** Node's words for JSON that it cannot parse quote a part of it. */
function withoutJson(text: string): string {
  const first = text.indexOf('"');
  const last = Math.max(text.lastIndexOf('" is not valid JSON'), text.lastIndexOf('"... is not valid JSON'));
  return first < last ? `${text.slice(0, first)}…${text.slice(last + 1)}` : text;
}

/** The lines of a stack that name places, as every runtime writes them. */
function placesOf(error: unknown): string[] {
  const stack = typeof error === "object" && error !== null ? read(error, "stack") : undefined;
  const message = typeof error === "object" && error !== null ? read(error, "message") : undefined;
  if (typeof stack !== "string") return [];
  // Some runtimes begin the stack with the message, which may look like a place.
  const from = typeof message === "string" && message !== "" && stack.includes(message)
    ? stack.indexOf(message) + message.length
    : 0;
  const places = stack.slice(from, from + 10_000).split("\n").filter((line) => /^\s+at \S/.test(line));
  return places.slice(0, MOST_FRAMES).map((line) => `    ${cut(line.trim(), 300)}`);
}

function read(value: object, name: string | number): unknown {
  try {
    return (value as Record<string | number, unknown>)[name];
  } catch {
    return undefined;
  }
}

function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most).toWellFormed()}…`;
}
