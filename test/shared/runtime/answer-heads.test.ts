import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AnswerHeads } from "../../../shared/runtime/answer-heads.ts";

/** What a server sends, request by request, and what undici is to read of it. */
interface Row {
  readonly name: string;
  readonly sent: readonly string[];
  /** Default: what is sent. */
  readonly read?: readonly string[];
}

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const NO_BODY = "HTTP/1.1 204 No Content\r\n\r\n";
const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n" +
  '4;a="b"\r\n\n\r\n\n\r\n0\r\nx: HTTP/1.1\r\n\r\n';

const ROWS: readonly Row[] = [
  { name: "answers on one connection", sent: [OK, NO_BODY, OK] },
  { name: "the same head again, with other bodies", sent: [OK, OK.replace(/ok$/, "no"), OK, NO_BODY, NO_BODY, OK, OK] },
  {
    name: "100 before a head that was there before",
    sent: [OK, OK, `HTTP/1.1 100 Continue\r\n\r\n${OK}`, OK],
    read: [OK, OK, OK, OK],
  },
  { name: "answers without a body", sent: [NO_BODY, "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", OK] },
  { name: "chunks with extensions, empty lines and trailers", sent: [CHUNKED, OK] },
  {
    name: "a body that looks like a head",
    sent: ["HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\nHTTP/1.1 100 Go\r\n\r\n", OK],
  },
  { name: "interim answers", sent: [`HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n${OK}`, OK] },
  {
    name: "100 that nobody asked for",
    sent: [`HTTP/1.1 100 Continue\r\n\r\n${"HTTP/1.1 100 \r\nx: y\r\n\r\n".repeat(3)}${OK}`, OK],
    read: [OK, OK],
  },
  {
    name: "line feeds alone, and 100 between",
    sent: ["\r\nHTTP/1.0 100 Continue\n\nHTTP/1.0 200 OK\nA: b\n  c\n\nbody\n\nHTTP/1.1 100 \n\n"],
    read: ["HTTP/1.1 200 \r\na: b c\r\nconnection: close\r\n\r\nbody\n\nHTTP/1.1 100 \n\n"],
  },
  {
    name: "a length that is given twice",
    sent: ["HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"],
    read: ["HTTP/1.1 200 \r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"],
  },
];

/** Reads answers that come in parts which end at these places of each; what was read of each, or the error's sentence. */
function readInParts(sent: readonly string[], ends: readonly number[]): string[] {
  const heads = new AnswerHeads();
  return sent.map((answer) => {
    const bytes = Buffer.from(answer, "latin1");
    const parts = [0, ...ends, bytes.length].map((end) => Math.min(end, bytes.length));
    // The head of a request and its body are written one after the other.
    heads.begin();
    heads.begin();
    return parts.slice(1).map((end, at) => heads.take(bytes.subarray(parts[at]!, end)).toString("latin1")).join("");
  });
}

describe("the heads of answers", () => {
  for (const { name, sent, read = sent } of ROWS) {
    it(`are read wherever the bytes are parted: ${name}`, () => {
      const longest = Math.max(...sent.map(({ length }) => length));
      for (let first = 0; first <= longest; first++) {
        assert.deepEqual(readInParts(sent, [first]), read, `parted at ${first}`);
        for (let second = first; second <= longest; second += 7) {
          assert.deepEqual(readInParts(sent, [first, second]), read, `parted at ${first} and ${second}`);
        }
      }
      const each = Array.from({ length: longest }, (_, at) => at);
      assert.deepEqual(readInParts(sent, each), read, "byte by byte");
    });
  }

  it("are refused with the same sentence wherever the bytes are parted", () => {
    const wrong: readonly (readonly [answer: string, sentence: RegExp])[] = [
      ["HTTP/1.1 101 Switching\r\n\r\n", /other protocol/],
      ["HTTX/1.1 200 OK\r\n\r\n", /does not begin with/],
      ["HTTP/1.1 20 OK\r\n\r\n", /does not begin with/],
      [`HTTP/1.1 200 OK\r\nx: ${"y".repeat(66_000)}\r\n\r\n`, /64 KiB/],
    ];
    for (const [answer, sentence] of wrong) {
      for (const first of [1, 5, 8, 12, 17, 20]) {
        assert.throws(() => readInParts([answer], [first, 60_000, 65_900]), sentence);
      }
    }
  });
});
