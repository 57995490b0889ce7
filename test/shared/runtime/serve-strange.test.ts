// What no honest client sends. Each runtime has a parser of its own: what one of them takes for another request than the others, or
// than a proxy in front, is refused by all. And nothing that comes over a connection ends the process.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after, describe, it } from "node:test";
import { readBody } from "../../../shared/request-body.ts";
import { eventually, pause } from "../../support/eventually.ts";
import { createServeRig, SCHEMES, type ServeRig } from "../../support/servers/serve-rig.ts";

const get = "GET / HTTP/1.1\r\nHost: x\r\n";
const post = "POST / HTTP/1.1\r\nHost: x\r\n";
const old = "POST / HTTP/1.0\r\n";
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
  "two lengths of 0": `${post}Content-Length: 0\r\nContent-Length: 0\r\n\r\n`,
  "a vertical tab before chunks": `${post}Transfer-Encoding: \x0bchunked\r\n\r\n${chunks}`,
};

/** As above, with 501: what the body is has no meaning here (RFC 9112 §6.1). */
const OTHER_CODINGS: Readonly<Record<string, string>> = {
  "another encoding than chunks": `${post}Transfer-Encoding: identity\r\n\r\n${chunks}`,
  "chunks of something compressed": `${post}Transfer-Encoding: gzip, chunked\r\n\r\n${chunks}`,
  "chunks that are not the last encoding": `${post}Transfer-Encoding: chunked, gzip\r\n\r\n${chunks}`,
  "chunks twice": `${post}Transfer-Encoding: chunked\r\n${chunked}${chunks}`,
  "an empty encoding": `${post}Transfer-Encoding: \r\n\r\n`,
  "an empty encoding before chunks": `${post}Transfer-Encoding: \r\n${chunked}${chunks}`,
  "chunks and nothing": `${post}Transfer-Encoding: chunked,\r\n\r\n${chunks}`,
  "chunks in quotes": `${post}Transfer-Encoding: "chunked"\r\n\r\n${chunks}`,
  "a body that is compressed": `${post}Transfer-Encoding: gzip\r\n\r\nabc`,
  "nothing that is compressed": `${get}Transfer-Encoding: gzip\r\n\r\n`,
  "an encoding that does not exist": `${post}Transfer-Encoding: xchunked\r\n\r\n${chunks}`,
  "chunks with a parameter": `${post}Transfer-Encoding: chunked;q=1\r\n\r\n${chunks}`,
  "chunks twice in one header": `${post}Transfer-Encoding: chunked, chunked\r\n\r\n${chunks}`,
  "another encoding and chunks, in two headers": `${post}Transfer-Encoding: gzip\r\n${chunked}${chunks}`,
  "chunks of HTTP/1.0": `${old}${chunked}${chunks}`,
  "chunks of HTTP/1.0 on a connection that is kept": `${old}Connection: keep-alive\r\n${chunked}${chunks}`,
  "a body of HTTP/1.0 that is compressed": `${old}Transfer-Encoding: gzip\r\n\r\nabc`,
};

/** As above, with 411: the body may be there, and go on to the end of the connection. */
const NO_LENGTH: Readonly<Record<string, string>> = {
  "a body of HTTP/1.0": `${old}\r\nabc`,
  "a body of HTTP/1.0 that looks like a request": `${old}\r\n${get}\r\n`,
  "no body of HTTP/1.0": `${old}\r\n`,
  "a body of HTTP/1.0 on a connection that is kept": `${old}Connection: keep-alive\r\n\r\nabc`,
  "another method of HTTP/1.0": "PUT / HTTP/1.0\r\n\r\nabc",
  "a body with a type": `${post}Content-Type: a/b\r\n\r\nabc`,
  "a body with a type that looks like a request": `${post}Content-Type: a/b\r\n\r\n${get}\r\n`,
  "no body with a type": `${post}Content-Type: a/b\r\n\r\n`,
  "a body with a type before the end of the connection": `${post}Content-Type: a/b\r\nConnection: close\r\n\r\nabc`,
};

const BY_STATUS = [[400, REFUSED], [501, OTHER_CODINGS], [411, NO_LENGTH]] as const;

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
  it("is refused with 400, 501 or 411, and a sentence", async () => {
    let asked = "";
    const served = await open({ fetch: ({ method }) => new Response(asked = method) });
    for (const [status, requests] of BY_STATUS) {
      for (const [what, text] of Object.entries(requests)) {
        asked = "";
        const answer = await raw(served.port, Buffer.from(text, "latin1"));
        assert.deepEqual([answer.status, asked], [status, ""], what);
        assert.match(answer.body, /\w+ \w+.*\.\n/, what);
      }
    }
    assert.equal((await raw(served.port, "GET / HTTP/1.0\r\n\r\n")).status, 200);
  });

  it("costs time in proportion to its length, also if its headers are nearly all spaces", async () => {
    const served = await open({});
    const long = `x${" ".repeat(15_000)}x`;
    const values = [
      `A: ${long}`,
      `Expect: ${long}`,
      `Connection: ${long}`,
      `Host: ${long}`,
      `Content-Length: 3${long}`,
    ];
    const codings = [long, `chunked, ${long}`, `chunked\r\nTransfer-Encoding: ${long}`, `chunked ${long}\r\nA : b`];
    const before = process.cpuUsage();
    for (const header of [...values, ...codings.map((coding) => `Transfer-Encoding: ${coding}`)]) {
      for (const head of [get, post]) await raw(served.port, `${head}${header}\r\n\r\n`);
    }
    const { user } = process.cpuUsage(before);
    // Time of the processor, which other processes do not take. A check that takes the square of the length needs 0.8 s or more.
    assert.ok(user < 500_000, `${user} µs`);
  });

  it("is the last request of its connection, if somebody else may see its end elsewhere", async () => {
    const asked: string[] = [];
    const served = await open({
      fetch: ({ url }) => {
        asked.push(new URL(url).pathname);
        return new Response("x");
      },
    });
    for (const [status, requests] of BY_STATUS) {
      const ambiguous = Object.entries(requests).filter(([, text]) =>
        status !== 400 || /^(?:Content-Length|Transfer-Encoding)/m.test(text)
      );
      assert.ok(ambiguous.length > 5);
      for (const [what, text] of ambiguous) {
        const smuggled = `${text}GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n`;
        const answer = await raw(served.port, Buffer.from(smuggled, "latin1"), { untilClosed: true });
        assert.deepEqual([answer.status, answer.closed, asked], [status, true, []], what);
        assert.equal(`${answer.head}${answer.body}`.match(/^HTTP\/1\.1 /gm)?.length, 1, what);
      }
    }
  });

  it("has its one answer before the rest of its body comes, which nobody reads", async () => {
    const served = await open();
    for (const text of [...Object.values(NO_LENGTH), ...Object.values(OTHER_CODINGS)]) {
      const [head = ""] = text.split("\r\n\r\n", 1);
      const answer = await raw(served.port, async (socket) => {
        socket.write(`${head}\r\n\r\n`, "latin1");
        await once(socket, "data");
        socket.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
      }, { untilClosed: true });
      assert.deepEqual([[411, 501].includes(answer.status), answer.closed], [true, true], head);
      assert.equal(`${answer.head}${answer.body}`.match(/^HTTP\/1\.1 /gm)?.length, 1, head);
    }
  });

  it("is refused with 400, or never whole, where a chunk is wrong", async () => {
    let whole = 0;
    const served = await open({
      fetch: async (request) => {
        await readBody(request, { maxBytes: 1_000 });
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
        if (request.method === "POST") {
          await readBody(request, { maxBytes: 1_000_000 }).catch(() => stopped.push("body"));
        }
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

for (const scheme of SCHEMES) {
  describe(`a request over ${scheme}`, () => {
    it("is taken from HTTP/1.0 with a length, and from a client that has ended its side", async () => {
      const bodies: string[] = [];
      const rig = await createServeRig(scheme);
      const served = await rig.open({
        fetch: async (request) => {
          const body = Buffer.from(await readBody(request, { maxBytes: 1_000 })).toString();
          await pause(30);
          bodies.push(body);
          return new Response("taken");
        },
      });
      const heads = [old, `${old}Connection: keep-alive\r\n`, post, `${post}Connection: close\r\n`];
      for (const head of heads) {
        const text = `${head}Content-Length: 3\r\n\r\nabc`;
        assert.equal((await rig.raw(served.port, text)).status, 200);
        const halfClosed = await rig.raw(served.port, (socket) => void socket.end(text), { untilClosed: true });
        assert.deepEqual([halfClosed.status, halfClosed.body, halfClosed.closed], [200, "taken", true], head);
      }
      assert.equal((await rig.raw(served.port, `${post}Transfer-Encoding: Chunked\r\n\r\n${chunks}`)).status, 200);
      assert.equal((await rig.raw(served.port, `${post}\r\n`)).status, 200);
      await rig.close();
      assert.deepEqual(bodies, [...Array<string>(9).fill("abc"), ""]);
    });

    it("that has no body is answered, too, when its client has ended its side", async () => {
      const rig = await createServeRig(scheme);
      const served = await rig.open({ fetch: () => pause(100).then(() => new Response("x".repeat(1_000_000))) });
      for (const head of [get, `${get}Connection: close\r\n`]) {
        const reply = await rig.raw(served.port, (socket) => void socket.end(`${head}\r\n`), { untilClosed: true });
        assert.deepEqual([reply.status, reply.body.length, reply.closed], [200, 1_000_000, true], head);
      }
      await rig.close();
    });

    it("is refused at once if its client has ended its side before it is whole", async () => {
      const rig = await createServeRig(scheme);
      const served = await rig.open();
      for (const rest of ["Content-Length: 30\r\n\r\nabc", `${chunked}3\r\nab`]) {
        const began = performance.now();
        const { status, closed } = await rig.raw(served.port, (socket) => void socket.end(`${post}${rest}`), {
          untilClosed: true,
        });
        assert.deepEqual([status, closed], [400, true], rest);
        assert.ok(performance.now() - began < 5_000);
      }
      await rig.close();
    });

    it("whose answer goes on ends when its client has left without a reset", async () => {
      let isEnded = false;
      const rig = await createServeRig(scheme);
      const served = await rig.open({
        fetch: (_request, exchange) => {
          exchange?.endWithClient?.();
          return new Response(
            new ReadableStream({
              async pull(output) {
                await pause(20);
                output.enqueue(Buffer.from("event"));
              },
              cancel: () => void (isEnded = true),
            }),
          );
        },
      });
      await rig.raw(served.port, get + "\r\n", { deadlineMs: 200 });
      await eventually("the answer to end", () => isEnded);
      await rig.close();
    });

    it("of a client that has ended its side after the answer leaves no connection open", async () => {
      const rig = await createServeRig(scheme);
      const served = await rig.open();
      const { closed } = await rig.raw(served.port, async (socket) => {
        socket.write(`${post}Content-Length: 3\r\n\r\nabc`);
        await pause(200);
        socket.end();
      }, { untilClosed: true });
      assert.ok(closed);
      await rig.close();
    });
  });
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
