// The one exception to "byte for byte", by name (COMPACT_JSON): whitespace outside strings goes, tokens are never re-written,
// so that 1.0 stays 1.0 and \u00e9 stays \u00e9.

import { createIsListed } from "./topic-patterns.ts";

/** A topic's body as it is to be stored. `encoding` is its Content-Encoding: what is packed stays as it is. */
export type Compact = (topic: string, body: Uint8Array, encoding: string | null | undefined) => Uint8Array;

/** Takes the whitespace out of the JSON of the topics that the patterns name. */
export function createCompact(patterns: readonly string[]): Compact {
  if (patterns.length === 0) return (_topic, body) => body;
  const isListed = createIsListed(patterns);
  return (topic, body, encoding) => {
    const isPlain = !encoding || encoding.trim().toLowerCase() === "identity";
    return isPlain && isListed(topic) ? compactJson(body) : body;
  };
}

/**
 * One JSON text (RFC 8259) without the whitespace between its tokens. Anything else comes back as it was: other text, several JSON texts,
 * bytes that are not UTF-8. A byte order mark stays. Its memory is the body's size, however deeply the text is nested.
 */
export function compactJson(body: Uint8Array): Uint8Array {
  if (!isUtf8(body)) return body;
  const compaction = new Compaction(body);
  return compaction.run() ? compaction.result : body;
}

function isUtf8(body: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(body);
    return true;
  } catch {
    return false;
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const [OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];
const [COMMA, COLON, MINUS, PLUS, POINT] = [0x2c, 0x3a, 0x2d, 0x2b, 0x2e];
const [ZERO, NINE] = [0x30, 0x39];
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];
const WORDS = ["true", "false", "null"].map((word) => new TextEncoder().encode(word));
/** What may stand behind a backslash, apart from u: " \ / b f n r t */
const ESCAPED: ReadonlySet<number> = new Set(new TextEncoder().encode('"\\/bfnrt'));

/** What may come next: a value; a value or the end of an empty array; a key; a key or the end of an empty object; what follows a value. */
type Expected = "value" | "firstValue" | "key" | "firstKey" | "next";

/** Copies the tokens of a JSON text, and sees whether it is one. A loop, not a recursion: depth costs a bit. */
class Compaction {
  readonly #body: Uint8Array;
  readonly #compact: Uint8Array;
  readonly #nesting = new Nesting();
  #at = 0;
  #length = 0;

  constructor(body: Uint8Array) {
    this.#body = body;
    this.#compact = new Uint8Array(body.length);
  }

  /** The tokens, after `run` was true. */
  get result(): Uint8Array {
    return this.#compact.subarray(0, this.#length);
  }

  /** Whether the body is one JSON text. */
  run(): boolean {
    if (BYTE_ORDER_MARK.every((byte, index) => this.#body[index] === byte)) this.#copy(BYTE_ORDER_MARK.length);
    let expected: Expected | undefined = "value";
    for (;;) {
      this.#skipSpace();
      // The text may end after a value, outside all brackets.
      if (this.#at === this.#body.length) return expected === "next" && this.#nesting.depth === 0;
      expected = this.#token(expected);
      if (expected === undefined) return false;
    }
  }

  /** Copies a token; undefined if the text cannot have it here. */
  #token(expected: Expected): Expected | undefined {
    const byte = this.#body[this.#at]!;
    const isEnd = byte === CLOSE_ARRAY || byte === CLOSE_OBJECT;
    // After "," or ":" more must follow.
    if (isEnd) return expected === "value" || expected === "key" ? undefined : this.#close(byte);
    if (expected === "next") return this.#separator(byte);
    if (expected === "value" || expected === "firstValue") return this.#value(byte);
    if (byte !== QUOTE || !this.#string()) return undefined;
    this.#skipSpace();
    if (this.#body[this.#at] !== COLON) return undefined;
    this.#copy(1);
    return "value";
  }

  #close(byte: number): Expected | undefined {
    const { depth, isObject } = this.#nesting;
    if (depth === 0 || isObject !== (byte === CLOSE_OBJECT)) return undefined;
    this.#nesting.pop();
    this.#copy(1);
    return "next";
  }

  #separator(byte: number): Expected | undefined {
    if (byte !== COMMA || this.#nesting.depth === 0) return undefined;
    this.#copy(1);
    return this.#nesting.isObject ? "key" : "value";
  }

  #value(byte: number): Expected | undefined {
    if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) {
      this.#nesting.push(byte === OPEN_OBJECT);
      this.#copy(1);
      return byte === OPEN_OBJECT ? "firstKey" : "firstValue";
    }
    if (byte === QUOTE) return this.#string() ? "next" : undefined;
    const isNumber = byte === MINUS || isDigit(byte);
    return (isNumber ? this.#number() : this.#word()) ? "next" : undefined;
  }

  #string(): boolean {
    const body = this.#body;
    let end = this.#at + 1;
    for (; end < body.length; end++) {
      const byte = body[end]!;
      if (byte === QUOTE) {
        this.#copy(end + 1 - this.#at);
        return true;
      }
      if (byte < 0x20) return false;
      if (byte !== BACKSLASH) continue;
      end++;
      if (ESCAPED.has(body[end]!)) continue;
      if (body[end] !== 0x75 || !isHex(body.subarray(end + 1, end + 5))) return false;
      end += 4;
    }
    return false;
  }

  #number(): boolean {
    const body = this.#body;
    let end = this.#at;
    const digits = () => {
      const from = end;
      while (isDigit(body[end])) end++;
      return end > from;
    };
    if (body[end] === MINUS) end++;
    if (body[end] === ZERO) end++;
    else if (!digits()) return false;
    if (body[end] === POINT) {
      end++;
      if (!digits()) return false;
    }
    if (body[end] === 0x65 || body[end] === 0x45) {
      end++;
      if (body[end] === PLUS || body[end] === MINUS) end++;
      if (!digits()) return false;
    }
    this.#copy(end - this.#at);
    return true;
  }

  #word(): boolean {
    const word = WORDS.find((bytes) => bytes.every((byte, index) => this.#body[this.#at + index] === byte));
    if (word === undefined) return false;
    this.#copy(word.length);
    return true;
  }

  #skipSpace(): void {
    for (; this.#at < this.#body.length; this.#at++) {
      const byte = this.#body[this.#at];
      // RFC 8259 §2: space, tab, line feed, carriage return.
      if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d) return;
    }
  }

  #copy(bytes: number): void {
    if (bytes === 1) this.#compact[this.#length] = this.#body[this.#at]!;
    else this.#compact.set(this.#body.subarray(this.#at, this.#at + bytes), this.#length);
    this.#at += bytes;
    this.#length += bytes;
  }
}

/** The brackets that are open, a bit each. */
class Nesting {
  #bits = new Uint8Array(64);
  depth = 0;

  push(isObject: boolean): void {
    if (this.depth >> 3 === this.#bits.length) {
      const more = new Uint8Array(this.#bits.length * 2);
      more.set(this.#bits);
      this.#bits = more;
    }
    const index = this.depth >> 3;
    const bit = 1 << (this.depth & 7);
    this.#bits[index] = isObject ? this.#bits[index]! | bit : this.#bits[index]! & ~bit;
    this.depth++;
  }

  pop(): void {
    this.depth--;
  }

  /** Whether the innermost bracket is an object's. */
  get isObject(): boolean {
    const top = this.depth - 1;
    return (this.#bits[top >> 3]! & (1 << (top & 7))) !== 0;
  }
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= NINE;
}

function isHex(bytes: Uint8Array): boolean {
  return bytes.length === 4 &&
    bytes.every((byte) => isDigit(byte) || (byte >= 0x41 && byte <= 0x46) || (byte >= 0x61 && byte <= 0x66));
}
