// What a handler sees of a request and what its answer is on the wire: the same on every runtime, with and without TLS.
import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { readBody } from "../../../shared/request-body.ts";
import { eventually, pause } from "../../support/eventually.ts";
import { createServeRig, SCHEMES, type ServeRig } from "../../support/servers/serve-rig.ts";

const get = "GET / HTTP/1.1\r\nHost: x\r\n";
const end = "Connection: close\r\n\r\n";
const bytes = new TextEncoder().encode("grün");

/** Each way in which the tiers make an answer. */
const WHOLE: readonly (readonly [string, () => Response | Promise<Response>, string])[] = [
  ["a text", () => new Response("grün"), "grün"],
  ["bytes", () => new Response(bytes), "grün"],
  ["nothing", () => new Response(""), ""],
  ["a text with a status", () => new Response("no", { status: 404 }), "no"],
  ["a text with headers", () => new Response("x", { headers: { "x-a": "b", "retry-after": "5" } }), "x"],
  ["a text with a Headers object", () => new Response("x", { headers: new Headers({ "x-a": "b" }) }), "x"],
  ["JSON", () => Response.json({ a: 1 }), '{"a":1}'],
  ["a text that comes later", () => pause(5).then(() => new Response("later")), "later"],
  ["bytes that come later", () => pause(5).then(() => new Response(bytes, { status: 403 })), "grün"],
  ["what another answer held", async () => new Response(await new Response("copied").arrayBuffer()), "copied"],
  ["an error of its handler", () => Promise.reject(new Error("broken")), "Internal error.\n"],
];

function answers({ open, raw }: ServeRig): void {
  for (const [what, make, text] of WHOLE) {
    it(`has its length, and not chunks: ${what}`, async () => {
      const served = await open({ fetch: make });
      const answer = await raw(served.port, `${get}${end}`, { untilClosed: true });
      assert.match(answer.head, new RegExp(`^content-length: ${Buffer.byteLength(text)}$`, "im"));
      assert.doesNotMatch(answer.head, /transfer-encoding/i);
      assert.equal(Buffer.from(answer.body, "latin1").toString(), text);
    });
  }

  it("to HEAD has the length of what GET would answer, and no body", async () => {
    const served = await open({ fetch: () => new Response("hello") });
    const answer = await raw(served.port, `HEAD / HTTP/1.1\r\nHost: x\r\n\r\n${get}${end}`, { untilClosed: true });
    assert.match(answer.head, /^content-length: 5$/im);
    assert.match(answer.body, /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nhello$/);
  });

  it("204 has neither a length nor a body", async () => {
    const served = await open({ fetch: () => new Response(null, { status: 204 }) });
    const answer = await raw(served.port, `${get}\r\n${get}${end}`, { untilClosed: true });
    assert.doesNotMatch(answer.head, /content-length|transfer-encoding/i);
    assert.match(answer.body, /^HTTP\/1\.1 204 /);
  });

  it("of unknown length is in chunks, and to HTTP/1.0 ends with its connection", async () => {
    const stream = () =>
      new ReadableStream({
        async start(output) {
          output.enqueue(bytes);
          await pause(50);
          output.enqueue(bytes);
          output.close();
        },
      });
    const served = await open({ fetch: () => new Response(stream()) });
    const chunked = await raw(served.port, `${get}${end}`, { untilClosed: true });
    assert.match(chunked.head, /^transfer-encoding: chunked$/im);
    assert.equal(Buffer.from(chunked.body, "latin1").toString(), "5\r\ngrün\r\n5\r\ngrün\r\n0\r\n\r\n");
    const old = await raw(served.port, "GET / HTTP/1.0\r\n\r\n", { untilClosed: true });
    assert.deepEqual([old.status, Buffer.from(old.body, "latin1").toString()], [200, "grüngrün"]);
    assert.doesNotMatch(old.head, /transfer-encoding/i);
  });

  it("that is broken off is not whole for its client", async () => {
    const served = await open({
      fetch: (_request, exchange) => {
        setTimeout(() => exchange?.breakOff?.(), 50);
        return new Response(new ReadableStream({ start: (output) => output.enqueue(bytes) }));
      },
    });
    const answer = await raw(served.port, `${get}\r\n`, { untilClosed: true });
    assert.ok(answer.closed);
    assert.doesNotMatch(answer.body, /\r\n0\r\n\r\n$/);
  });

  it("comes in the order of the requests, whichever is ready first", async () => {
    const served = await open({
      fetch: async (request) => {
        const { pathname } = new URL(request.url);
        const body = await readBody(request, { maxBytes: 1_000 });
        await pause(pathname === "/1" ? 100 : 0);
        return new Response(`${pathname}:${body.length}`);
      },
    });
    const post = (path: string, body: string) =>
      `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n`;
    const answer = await raw(
      served.port,
      `${post("/1", "abc")}\r\nabc${post("/2", "de")}\r\nde${post("/3", "f")}${end}f`,
      { untilClosed: true },
    );
    assert.deepEqual(`${answer.head}\r\n\r\n${answer.body}`.match(/\/\d:\d/g), ["/1:3", "/2:2", "/3:1"]);
  });

  it("comes before the refusal of what follows its request", async () => {
    const served = await open({ fetch: () => pause(100).then(() => new Response("first")) });
    const answer = await raw(served.port, `${get}\r\nnonsense\r\n\r\n`, { untilClosed: true });
    assert.deepEqual(`${answer.head}\r\n\r\n${answer.body}`.match(/HTTP\/1\.1 \d+/g), ["HTTP/1.1 200", "HTTP/1.1 400"]);
  });
}

function requests({ open, raw, call }: ServeRig): void {
  it("has its target byte for byte", async () => {
    const served = await open({ fetch: (_request, exchange) => new Response(exchange?.target) });
    const targets = [
      "/a'b",
      "/m/../x",
      "/%27",
      '/?a=\'%20"b"',
      "//x//y",
      "/a;b=c,d|e",
      "/%7e~",
      "http://other/m/../x?'",
    ];
    for (const target of targets) {
      assert.equal((await raw(served.port, `GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`)).body, target);
    }
  });

  it("has each value of a header that comes several times, whatever its case", async () => {
    const served = await open({
      fetch: ({ headers }) => new Response(`${headers.get("X-A")} ${headers.get("authorization")}`),
    });
    const answer = await raw(served.port, `${get}X-A: 1\r\nx-a:  2 \r\nAuthorization: a\r\nAuthorization: b\r\n\r\n`);
    assert.equal(answer.body, "1, 2 a, b");
  });

  it("is asked for its body, if it expects that, and refused if it expects anything else", async () => {
    const served = await open();
    const post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n";
    const asked = await raw(served.port, async (socket) => {
      let received = "";
      socket.on("data", (part: Uint8Array) => void (received += Buffer.from(part).toString()));
      socket.write(`${post}Expect: 100-continue\r\n${end}`);
      await eventually("to be asked", () => received.startsWith("HTTP/1.1 100 Continue\r\n\r\n"));
      socket.write("abc");
    }, { untilClosed: true });
    assert.match(asked.body, /^HTTP\/1\.1 200 [^]*POST 3$/);
    const refused = await raw(served.port, `${post}Expect: nonsense\r\n\r\nabc`);
    assert.equal(refused.status, 417);
    assert.match(refused.body, /\.\n$/);
  });

  it("tells its client's address", async () => {
    const served = await open({ fetch: (_request, exchange) => new Response(exchange?.address) });
    assert.equal((await call(served.url)).text, "127.0.0.1");
  });
}

for (const scheme of SCHEMES) {
  const rig = await createServeRig(scheme);
  after(() => rig.close());
  describe(`an answer over ${scheme}`, () => answers(rig));
  describe(`a request over ${scheme}`, () => requests(rig));
}
