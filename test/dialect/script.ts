// A dialect as a file: what a client writes to its socket and what it must read, side by side, in order. test/dialect/README.md says
// how such a file is written.

/** What is written (`> `) or read (`< `) at the hub, or read (`>> `) or written (`<< `) at the subscriber's callback. */
export type Direction = "to hub" | "from hub" | "to callback" | "from callback";

export interface Step {
  readonly title: string;
  readonly direction: Direction;
  /** The bytes, one character each, with names in double braces where something differs from run to run. */
  readonly bytes: string;
}

const MARKS: readonly (readonly [mark: string, direction: Direction])[] = [
  ["=== to the hub", "to hub"],
  ["=== from the hub", "from hub"],
  ["=== to the callback", "to callback"],
  ["=== from the callback", "from callback"],
];

/** @throws {Error} if a line that begins with === is none of the four marks */
export function parseScript(text: string): Step[] {
  const steps: Step[] = [];
  for (const scene of text.split(/^### /m).slice(1)) {
    const [title = ""] = scene.split("\r\n", 1);
    for (const part of scene.split(/^(?==== )/m).slice(1)) {
      const end = part.indexOf("\r\n");
      const direction = MARKS.find(([mark]) => mark === part.slice(0, end))?.[1];
      if (direction === undefined) throw new Error(`"${title}": "${part.slice(0, end)}" is no direction`);
      // The line end before the next mark is the file's, not the message's.
      steps.push({ title, direction, bytes: part.slice(end + 2).replace(/\r\n$/, "") });
    }
  }
  return steps;
}

/** Puts in what is known. `{{length}}` is the length of the message's own body. */
export function fill(bytes: string, names: ReadonlyMap<string, string>): string {
  const filled = bytes.replace(/\{\{(\w+)\}\}/g, (whole, name: string) => names.get(name) ?? whole);
  const body = filled.slice(filled.indexOf("\r\n\r\n") + 4);
  return filled.replace("{{length}}", String(body.length));
}

/** What one message is: its first line, its headers with names in small letters, and its body. */
export interface Parsed {
  readonly first: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

export function parseMessage(bytes: string): Parsed {
  const end = bytes.indexOf("\r\n\r\n");
  const [first = "", ...lines] = bytes.slice(0, end).split("\r\n");
  const headers = lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.replace(/^[^:]*: */, "")]);
  return { first, headers: new Map(headers as [string, string][]), body: bytes.slice(end + 4) };
}

/**
 * Whether the text is the pattern's; a name in double braces that is not known yet is learned. Returns undefined if it is not, else
 * what was learned.
 */
export function match(pattern: string, text: string): ReadonlyMap<string, string> | undefined {
  const names: string[] = [];
  const source = pattern.split(/(\{\{\w+\}\})/).map((part) => {
    const name = /^\{\{(\w+)\}\}$/.exec(part)?.[1];
    if (name === undefined) return part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    names.push(name);
    return "([^\\r\\n&]+)";
  });
  const found = new RegExp(`^${source.join("")}$`).exec(text);
  return found === null ? undefined : new Map(names.map((name, at) => [name, found[at + 1]!]));
}
