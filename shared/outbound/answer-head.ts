// The head of an answer (RFC 9112), written as undici's parser takes it. That parser refuses what curl and Go read without a word: line
// feeds alone, folded lines, a length that is given twice. A callback that answers so has its message, so a refusal would send it for ever.

/** The longest head of an answer, bytes. curl takes 300 KB, Go 1 MB; but thousands of answers may come at once. */
export const ANSWER_HEAD_MAX_BYTES = 64 * 1024;

/** What an answer's head says, up to and with its empty line. */
export interface AnswerHead {
  readonly status: number;
  /** The head as the parser takes it; undefined: as it came. */
  readonly written: string | undefined;
}

/** Nothing can be made of an answer. The message says what is wrong and how to mend it, for the callback's owner (WIRE §5). */
export class AnswerError extends Error {
  override readonly name = "AnswerError";
}

const FIRST_LINE = /^HTTP\/1\.[01] (\d{3})(?: [\t\x20-\x7e\x80-\xff]*)?\r\n/;
const HEADER_LINE = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n/y;
const FRAMING = /\n(?:content-length|transfer-encoding):[^\r]*/gi;
const PLAIN_FRAMING = /^\n(?:content-length:[ \t]*\d{1,19}|transfer-encoding:[ \t]*chunked)[ \t]*$/i;
const STATUS_LINE = /^HTTP\/\d(?:\.\d)?[ \t]+(\d{3})(?:[ \t]|$)/i;
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Reads a head; each of its characters is a byte. @throws {AnswerError} */
export function readAnswerHead(head: string): AnswerHead {
  const strict = strictStatus(head);
  if (strict !== undefined && hasPlainFraming(head)) return { status: strict, written: undefined };
  const [first = "", ...lines] = unfolded(head);
  const status = Number(STATUS_LINE.exec(first)?.[1] ?? 0);
  if (status < 100) throw new AnswerError(NO_STATUS);
  const kept = framed(lines.map(fieldOf).filter((field) => field !== undefined));
  // Where a head was not clear, no other answer is read from the connection (RFC 9112 §6.3).
  if (status >= 200) kept.push({ name: "connection", value: "close" });
  const fields = kept.map(({ name, value }) => `${name}: ${value}\r\n`).join("");
  return { status, written: `HTTP/1.1 ${status} \r\n${fields}\r\n` };
}

export const NO_STATUS = "the answer does not begin with HTTP/1.1 and a status of three digits";

/** The status of a head that is as RFC 9112 has it; undefined if it is not. */
function strictStatus(head: string): number | undefined {
  const first = FIRST_LINE.exec(head);
  if (first === null) return undefined;
  let at = first[0].length;
  while (!head.startsWith("\r\n", at)) {
    HEADER_LINE.lastIndex = at;
    if (!HEADER_LINE.test(head)) return undefined;
    at = HEADER_LINE.lastIndex;
  }
  return at + 2 === head.length ? Number(first[1]) : undefined;
}

/** Whether a head says at most once how long the body is, and plainly. */
function hasPlainFraming(head: string): boolean {
  const found = head.match(FRAMING);
  return found === null || (found.length === 1 && PLAIN_FRAMING.test(found[0]));
}

/** The lines that are not empty. A line that begins with a space goes on with the one before (RFC 9112 §5.2). */
function unfolded(head: string): string[] {
  const lines: string[][] = [];
  for (const line of head.split("\n")) {
    const text = line.endsWith("\r") ? line.slice(0, -1) : line;
    if (text.trim() === "") continue;
    if (lines.length > 1 && /^[ \t]/.test(text)) lines.at(-1)!.push(text.trim());
    else lines.push([text]);
  }
  return lines.map((parts) => parts.join(" "));
}

interface Field {
  /** Lower-case. */
  readonly name: string;
  readonly value: string;
}

/** Undefined if the line is no header: it has no colon, or no name. */
function fieldOf(line: string): Field | undefined {
  const colon = line.indexOf(":");
  const name = line.slice(0, Math.max(0, colon)).trim().toLowerCase();
  if (!NAME.test(name)) return undefined;
  return { name, value: line.slice(colon + 1).replace(/[^\t\x20-\x7e\x80-\xff]/g, " ").trim() };
}

/** The fields, with one that says how long the body is, or none. @throws {AnswerError} if that is not clear */
function framed(fields: readonly Field[]): Field[] {
  const others = fields.filter(({ name }) =>
    !/^(?:content-length|transfer-encoding|connection|keep-alive)$/.test(name)
  );
  const valuesOf = (wanted: string) =>
    fields.filter(({ name }) => name === wanted).flatMap(({ value }) => value.split(",")).map((value) => value.trim());
  const codings = new Set(valuesOf("transfer-encoding").map((value) => value.toLowerCase()));
  codings.delete("identity");
  // RFC 9112 §6.3: a coding overrides the length.
  if (codings.size > 0) return [...others, { name: "transfer-encoding", value: [...codings].join(", ") }];
  const [length, ...more] = new Set(valuesOf("content-length"));
  if (length === undefined) return others;
  if (more.length > 0) throw new AnswerError("the answer has two Content-Length headers that differ; send one");
  if (/^\d{1,19}$/.test(length)) return [...others, { name: "content-length", value: length }];
  throw new AnswerError("the answer's Content-Length is not a number of bytes; send decimal digits alone");
}
