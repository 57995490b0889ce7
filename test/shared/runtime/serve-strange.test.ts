// What no honest client sends. Each runtime has a parser of its own: what one of them takes for another request than the others, or
// than a proxy in front, is refused by all. And nothing that comes over a connection ends the process.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, describe, it } from "node:test";
import { readBody } from "../../../shared/request-body.ts";
import { eventually, pause } from "../../support/eventually.ts";
import { createServeRig, SCHEMES, type ServeRig } from "../../support/servers/serve-rig.ts";

const get = "GET / HTTP/1.1\r\nHost: x\r\n";
const post = "POST / HTTP/1.1\r\nHost: x\r\n";
const chunked = "Transfer-Encoding: chunked\r\n\r\n";
const chunks = "3\r\nabc\r\n0\r\n\r\n";

/** Each must be answered with 400 and a sentence, and its connection must not be read as if another request followed. */
const REFUSED: Readonly<Record<string, string>> = {
  "no HTTP": "nonsense\r\n\r\n",
  "a handshake of TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03garbage",
  "HTTP/0.9": "GET /\r\n\r\n",
  "HTTP/1.2": "GET / HTTP/1.2\r\nHost: x\r\n\r\n",
  "HTTP/2": "GET / HTTP/2.0\r\nHost: x\r\n\r\n",
  "HTTP/2's preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  "a method in small letters": "get / HTTP/1.1\r\nHost: x\r\n\r\n",
  "a method that does not exist": "FOO / HTTP/1.1\r\nHost: x\r\n\r\n",
  "a space in the target": "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
  "a target without a slash": "GET a HTTP/1.1\r\nHost: x\r\n\r\n",
  "a backslash in the target": "GET /a\\b HTTP/1.1\r\nHost: x\r\n\r\n",
  "a byte over 127 in the target": "GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
  "a null byte in the target": "GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
  "a null byte in a header": `${get}A: b\0c\r\n\r\n`,
  "a control character in a header": `${get}A: b\x01c\r\n\r\n`,
  "a null byte in a header's name": `${get}A\0: b\r\n\r\n`,
  "a header without a name": `${get}: b\r\n\r\n`,
  "a header without a colon": `${get}Abc\r\n\r\n`,
  "a space before a colon": `${get}A : b\r\n\r\n`,
  "a folded header": `${get}A: b\r\n c\r\n\r\n`,
  "a folded first header": "GET / HTTP/1.1\r\n Host: x\r\n\r\n",
  "lines that end in LF alone": "GET / HTTP/1.1\nHost: x\n\n",
  "one line that ends in LF alone": "GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
  "CR alone in a header": "GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n",
  "no Host": "GET / HTTP/1.1\r\n\r\n",
  "a Host with a space": "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
  "a Host with a path": "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
  "a Host with a user": "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
  "two Hosts": `${get}Host: x\r\n\r\n`,
  "a length and chunks": `${post}Content-Length: 3\r\n${chunked}${chunks}`,
  "chunks and a length": `${post}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n${chunks}`,
  "two lengths": `${post}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd`,
  "two equal lengths": `${post}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc`,
  "a list of lengths": `${post}Content-Length: 3, 3\r\n\r\nabc`,
  "a length below 0": `${post}Content-Length: -1\r\n\r\n`,
  "a length with a sign": `${post}Content-Length: +3\r\n\r\nabc`,
  "a length in hex": `${post}Content-Length: 0x3\r\n\r\nabc`,
  "an empty length": `${post}Content-Length: \r\n\r\n`,
  "a length beyond all numbers": `${post}Content-Length: 99999999999999999999999\r\n\r\nabc`,
  "a space before a length's colon": `${post}Content-Length : 3\r\n\r\nabc`,
  "a space before the colon of chunks": `${post}Transfer-Encoding : chunked\r\n\r\n${chunks}`,
  "another encoding than chunks": `${post}Transfer-Encoding: identity\r\n\r\n${chunks}`,
  "chunks of something compressed": `${post}Transfer-Encoding: gzip, chunked\r\n\r\n${chunks}`,
  "chunks that are not the last encoding": `${post}Transfer-Encoding: chunked, gzip\r\n\r\n${chunks}`,
  "chunks twice": `${post}Transfer-Encoding: chunked\r\n${chunked}${chunks}`,
  "an empty encoding": `${post}Transfer-Encoding: \r\n\r\n`,
  "an empty encoding before chunks": `${post}Transfer-Encoding: \r\n${chunked}${chunks}`,
  "chunks and nothing": `${post}Transfer-Encoding: chunked,\r\n\r\n${chunks}`,
  "two lengths of 0": `${post}Content-Length: 0\r\nContent-Length: 0\r\n\r\n`,
  "chunks in quotes": `${post}Transfer-Encoding: "chunked"\r\n\r\n${chunks}`,
  "a vertical tab before chunks": `${post}Transfer-Encoding: \x0bchunked\r\n\r\n${chunks}`,
};

/** The body is wrong, not the head: the handler may have begun, and its answer or 400 comes. */
const WRONG_CHUNKS: Readonly<Record<string, string>> = {
  "a length that is no number": "zz\r\n",
  "a length below 0": "-3\r\nabc\r\n0\r\n\r\n",
  "a length with a prefix": "0x3\r\nabc\r\n0\r\n\r\n",
  "a length beyond all numbers": "fffffffffffffffff\r\nabc",
  "lines that end in LF alone": "3\nabc\n0\n\n",
  "more bytes than the length": "3\r\nabcd\r\n0\r\n\r\n",
  "LF alone in an extension": "3;\nxx\r\nabc\r\n0\r\n\r\n",
};

function strange({ open, raw, call }: ServeRig): void {
  it("is refused with 400 and a sentence", async () => {
    let asked = "";
    const served = await open({ fetch: ({ method }) => new Response(asked = method) });
    for (const [what, text] of Object.entries(REFUSED)) {
      asked = "";
      const answer = await raw(served.port, Buffer.from(text, "latin1"));
      assert.deepEqual([answer.status, asked], [400, ""], what);
      assert.match(answer.body, /\w+ \w+.*\.\n/, what);
    }
    assert.equal((await raw(served.port, "GET / HTTP/1.0\r\n\r\n")).status, 200);
  });

  it("is the last request of its connection, if somebody else may see its end elsewhere", async () => {
    const asked: string[] = [];
    const served = await open({
      fetch: ({ url }) => {
        asked.push(new URL(url).pathname);
        return new Response("x");
      },
    });
    const ambiguous = Object.entries(REFUSED).filter(([, text]) => /^(?:Content-Length|Transfer-Encoding)/m.test(text));
    assert.ok(ambiguous.length > 15);
    for (const [what, text] of ambiguous) {
      const smuggled = `${text}GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n`;
      const answer = await raw(served.port, Buffer.from(smuggled, "latin1"), { untilClosed: true });
      assert.deepEqual([answer.status, answer.closed, asked], [400, true, []], what);
    }
  });

  it("is refused with 400, or never whole, where a chunk is wrong", async () => {
    let whole = 0;
    const served = await open({
      fetch: async (request) => {
        await readBody(request, 1_000);
        whole++;
        return new Response("whole");
      },
    });
    for (const [what, text] of Object.entries(WRONG_CHUNKS)) {
      const answer = await raw(served.port, `${post}${chunked}${text}`, { untilClosed: true });
      assert.deepEqual([answer.status, answer.closed, whole], [400, true, 0], what);
    }
  });

  it("does not end the process when clients reset their connections, wherever they are", async () => {
    const stopped: string[] = [];
    const served = await open({
      fetch: async (request) => {
        if (request.method === "POST") await readBody(request, 1_000_000).catch(() => stopped.push("body"));
        return new Response(
          new ReadableStream({
            async pull(output) {
              await pause(5);
              output.enqueue(new Uint8Array(10_000));
            },
            cancel: () => void stopped.push("answer"),
          }),
        );
      },
    });
    const reset = (text: string) =>
      raw(served.port, async (socket) => {
        socket.write(text);
        await pause(100);
        // Reset before TLS's or TCP's end can be said.
        (socket as { resetAndDestroy?: () => void }).resetAndDestroy?.();
        socket.destroy();
      });
    await Promise.all([
      reset(`${get}\r\n`),
      reset(`${get}\r\n${get}\r\n`),
      reset(`${post}Content-Length: 500000\r\n\r\nabc`),
      reset(`${post}${chunked}3\r\nab`),
      reset("GET / HT"),
      reset("\x16\x03\x01"),
    ]);
    await eventually("the handlers to be told", () => stopped.includes("answer") && stopped.includes("body"), {
      seen: () => stopped.join(),
    });
    const other = await open();
    assert.equal((await call(other.url)).status, 200);
    assert.equal((await raw(served.port, "nonsense\r\n\r\n")).status, 400);
  });
}

for (const scheme of SCHEMES) {
  const rig = await createServeRig(scheme);
  after(() => rig.close());
  describe(`what no client sends, over ${scheme}`, () => strange(rig));
}

describe("many clients", () => {
  it("are all answered: 1,000 connections at once, and again when they have gone", async () => {
    const rig = await createServeRig();
    const served = await rig.open();
    for (let round = 0; round < 2; round++) {
      const sockets = Array.from({ length: 1_000 }, () => connect(served.port, "127.0.0.1").on("error", () => {}));
      let answered = 0;
      for (const socket of sockets) {
        socket.once("data", (part: Uint8Array) => {
          if (Buffer.from(part).toString().startsWith("HTTP/1.1 200 ")) answered++;
        });
        socket.write(`${get}\r\n`);
      }
      await eventually("all answers", () => answered === 1_000, { seen: () => String(answered), deadlineMs: 20_000 });
      for (const socket of sockets) socket.destroy();
    }
    await rig.close();
  });
});
