// Reads the heads of answers before undici does, whose parser is strict and cannot be told otherwise (shared/outbound/answer-head.ts).
// A client must also skip interim answers that it did not ask for (RFC 9110 §15.2). undici (7.30) skips all but `100 Continue`, which
// it takes for a broken server: a callback that sends one would never get a delivery.

import type { Socket } from "node:net";
import { ANSWER_HEAD_MAX_BYTES, AnswerError, NO_STATUS, readAnswerHead } from "../outbound/answer-head.ts";

const LF = 0x0a;
const CR = 0x0d;
/** An answer begins so. What begins otherwise is no HTTP, and may never have an empty line. */
const BEGIN = Buffer.from("http/");
const TO_LOWER_CASE = 0x20;
const NONE = Buffer.alloc(0);
/** A longer head is read anew each time: there may be thousands of connections. */
const KNOWN_MAX_BYTES = 1_024;

/** Lets undici's HTTP/1 client, which reads whole chunks and has one request on its way, read what other clients can read. */
export function readAnswerHeads(socket: Socket): void {
  const heads = new AnswerHeads();
  const read = socket.read.bind(socket) as (size?: number) => Buffer | null;
  const write = socket.write.bind(socket) as (...parameters: unknown[]) => boolean;
  socket.read = (size?: number): Buffer | null => {
    for (;;) {
      const chunk = read(size);
      // Nothing there, or Node's own read(0), which only asks for more.
      if (chunk === null) return null;
      const left = taken(heads, chunk, socket);
      if (left.length > 0) return left;
    }
  };
  socket.write = (...parameters: unknown[]): boolean => {
    heads.begin();
    return write(...parameters);
  };
}

function taken(heads: AnswerHeads, chunk: Buffer, socket: Socket): Buffer {
  try {
    return heads.take(chunk);
  } catch (error) {
    // undici passes this error on to the request on its way.
    socket.destroy(error as Error);
    return NONE;
  }
}

/** The bytes of one connection: head and body of one answer, then the head of the next. */
export class AnswerHeads {
  #isInHead = true;
  /** The beginning of a head whose end has not come yet. */
  #held: Buffer[] = [];
  #size = 0;
  /** The line has nothing yet but a CR. */
  #isLineEmpty = true;
  /** How many bytes of `BEGIN` have come. */
  #begun = 0;
  /** The last head of a final answer, if it was passed on as it came: most answers of a server are alike for a second. */
  #known: Buffer | undefined;

  /** A request goes out: what comes next is the head of its answer. */
  begin(): void {
    // The body goes out by a second write, while an early answer may be on its way.
    if (!this.#isInHead) this.#beginHead();
  }

  /** What undici is to read of these bytes; nothing while a head is not complete. @throws {AnswerError} */
  take(chunk: Buffer): Buffer {
    if (!this.#isInHead) return chunk;
    if (this.#isKnown(chunk)) {
      this.#isInHead = false;
      return chunk;
    }
    // Joined once: a server may send thousands of interim answers in a chunk.
    const taken: Buffer[] = [];
    for (let left = chunk; left.length > 0;) {
      const end = this.#endOfHead(left);
      if (end < 0) {
        this.#held.push(left);
        break;
      }
      const bytes = this.#held.length === 0
        ? left.subarray(0, end)
        : Buffer.concat([...this.#held, left.subarray(0, end)]);
      left = left.subarray(end);
      const head = readAnswerHead(bytes.toString("latin1"));
      this.#beginHead();
      if (head.status === 100) continue;
      if (head.status === 101) throw new AnswerError("the answer is 101, and the hub asked for no other protocol");
      taken.push(head.written === undefined ? bytes : Buffer.from(head.written, "latin1"));
      if (head.status < 200) continue;
      this.#isInHead = false;
      this.#known = head.written === undefined && bytes.length <= KNOWN_MAX_BYTES ? Buffer.from(bytes) : undefined;
      taken.push(left);
      break;
    }
    return taken.length === 1 ? taken[0]! : Buffer.concat(taken);
  }

  /** Whether a chunk begins with the last head, and so with a whole one. */
  #isKnown(chunk: Buffer): boolean {
    const known = this.#known;
    if (known === undefined || this.#held.length > 0 || chunk.length < known.length) return false;
    return known.equals(chunk.subarray(0, known.length));
  }

  #beginHead(): void {
    this.#isInHead = true;
    if (this.#held.length > 0) this.#held = [];
    this.#size = 0;
    this.#isLineEmpty = true;
    this.#begun = 0;
  }

  /** Where the head ends: after its empty line. -1 if it goes on beyond these bytes. @throws {AnswerError} */
  #endOfHead(bytes: Buffer): number {
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at];
      if (byte === LF) {
        if (this.#isLineEmpty && this.#begun > 0) return at + 1;
        this.#isLineEmpty = true;
      } else if (byte !== CR) {
        if (this.#begun < BEGIN.length && (byte! | TO_LOWER_CASE) !== BEGIN[this.#begun++]) {
          throw new AnswerError(NO_STATUS);
        }
        this.#isLineEmpty = false;
      }
    }
    this.#size += bytes.length;
    if (this.#size > ANSWER_HEAD_MAX_BYTES) throw new AnswerError("the answer has more than 64 KiB of headers");
    return -1;
  }
}
