import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { readBody } from "../../../shared/request-body.ts";
import { createHttpClient } from "../../../shared/runtime/http-client.ts";
import { serve } from "../../../shared/runtime/serve.ts";
import { runtime } from "../../../shared/runtime/which.ts";
import type { Served, ServeOptions } from "../../../shared/serve.ts";
import { eventually, pause } from "../../support/eventually.ts";
import { call } from "../../support/servers/http.ts";
import { exchangeRaw, type RawAnswer } from "../../support/servers/raw-http.ts";

const opened: Served[] = [];
after(() => Promise.all(opened.map((served) => served.close(0))));

async function open(options: Partial<ServeOptions> = {}): Promise<Served> {
  const served = await serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => new Response(`${request.method} ${(await readBody(request, 1_000)).length}`),
    ...options,
  });
  opened.push(served);
  return served;
}
const onNode = { skip: runtime() === "node" ? false : "this runtime has its own limits" };

describe("serving", () => {
  it("answers requests at the URL it says", async () => {
    const served = await open();
    assert.equal(served.url, `http://127.0.0.1:${served.port}`);
    const reply = await call(served.url, { body: "abc" });
    assert.deepEqual([reply.status, reply.text], [200, "POST 3"]);
  });

  it("says in a sentence that the port is in use", async () => {
    const served = await open();
    await assert.rejects(open({ port: served.port }), new RegExp(`port ${served.port} is already in use`));
  });

  it("writes an IPv6 host in brackets", async () => {
    const served = await open({ hostname: "::1" });
    assert.equal(served.url, `http://[::1]:${served.port}`);
    assert.equal((await call(served.url)).text, "GET 0");
  });

  it("lets a request in flight end when it closes, though its connection is kept alive", async () => {
    let finish = () => {};
    const finished = new Promise<void>((resolve) => finish = resolve);
    let begun = false;
    const served = await open({
      fetch: async () => {
        begun = true;
        await finished;
        return new Response("done");
      },
    });
    const client = createHttpClient();
    const request = client.send({ method: "GET", origin: served.url, path: "/", headers: {}, timeoutMs: 5_000 });
    await eventually("the request", () => begun);
    const closed = served.close(5_000);
    finish();
    assert.equal(new TextDecoder().decode((await request).body), "done");
    const at = performance.now();
    await closed;
    assert.ok(performance.now() - at < 1_000, "an idle connection held it");
    await client.close();
  });

  it("cuts what has not ended by the deadline", async () => {
    const served = await open({ fetch: () => new Promise(() => {}) });
    const request = call(served.url).then(() => "answered", () => "cut");
    await new Promise((resolve) => setTimeout(resolve, 50));
    const begun = performance.now();
    await served.close(100);
    assert.equal(await request, "cut");
    assert.ok(performance.now() - begun < 2_000);
  });

  it("refuses headers over 16 KiB with 431 and a sentence", onNode, async () => {
    const served = await open();
    const bomb = await exchangeRaw(served.port, `GET / HTTP/1.1\r\nHost: x\r\nA: ${"a".repeat(20_000)}\r\n\r\n`);
    assert.equal(bomb.status, 431);
    assert.match(bomb.body, /headers .*16384 bytes/);
    const many = await exchangeRaw(served.port, `GET / HTTP/1.1\r\nHost: x\r\n${"A: b\r\n".repeat(10_000)}\r\n`);
    assert.equal(many.status, 431);
    const line = await exchangeRaw(served.port, `GET /${"a".repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`);
    assert.equal(line.status, 431);
  });

  it("refuses headers and bodies that never end with 408 and a sentence", onNode, async () => {
    const served = await open({ headersTimeoutMs: 200, requestTimeoutMs: 400 });
    for (
      const start of ["GET / HTTP/1.1\r\nHost: x\r\n", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"]
    ) {
      const answer = await exchangeRaw(served.port, start, { untilClosed: true });
      assert.equal(answer.status, 408);
      assert.match(answer.body, /headers and its whole body/);
      assert.ok(answer.closed);
    }
  });

  it("refuses what is not HTTP, has no Host or a bad one, with 400 and a sentence", onNode, async () => {
    const served = await open();
    const bad = [
      "nonsense\r\n\r\n",
      "GET / HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
      "GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    ];
    for (const text of bad) {
      const answer = await exchangeRaw(served.port, Buffer.from(text, "latin1"));
      assert.equal(answer.status, 400, text);
      assert.match(answer.body, /\w+ \w+.*\.\n/, text);
    }
    assert.equal((await exchangeRaw(served.port, "GET / HTTP/1.0\r\n\r\n")).status, 200);
  });

  it("reports each refusal of its own", onNode, async () => {
    const refused: string[] = [];
    const onRefused = (limit: string) => void refused.push(limit);
    const served = await open({ maxConnections: 1, headersTimeoutMs: 200, maxHeaderBytes: 8_192, onRefused });
    await exchangeRaw(served.port, `GET / HTTP/1.1\r\nHost: x\r\nA: ${"a".repeat(9_000)}\r\n\r\n`, {
      untilClosed: true,
    });
    await exchangeRaw(served.port, `GET /${"a".repeat(9_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, { untilClosed: true });
    const slow = exchangeRaw(served.port, "GET / HTTP/1.1\r\nHost: x\r\n", { untilClosed: true });
    await exchangeRaw(served.port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", { untilClosed: true });
    await slow;
    await eventually("all to be told", () => refused.length === 4, { seen: () => refused.join() });
    assert.deepEqual(refused.toSorted(), ["connections", "deadline", "headers", "headers"]);
  });

  it("lets a connection rest after its answer, if the handler says so", onNode, async () => {
    let asked = 0;
    const served = await open({
      fetch: (_request, exchange) => {
        asked++;
        exchange?.rest?.(300);
        return new Response("x");
      },
    });
    const request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    const begun = performance.now();
    const twice = exchangeRaw(served.port, async (socket) => {
      socket.write(request);
      await eventually("the first answer", () => asked === 1);
      await new Promise((resolve) => setTimeout(resolve, 50));
      socket.write(request);
    }, { untilClosed: true, deadlineMs: 2_000 });
    await eventually("the second answer", () => asked === 2);
    assert.ok(performance.now() - begun >= 290);
    await call(served.url);
    await twice;
  });

  it("tells the client's address", async () => {
    const served = await open({ fetch: (_request, exchange) => new Response(exchange?.address) });
    assert.equal((await call(served.url)).text, "127.0.0.1");
  });

  it("takes no more connections than it was told", onNode, async () => {
    const served = await open({ maxConnections: 1 });
    const held = exchangeRaw(served.port, "GET / HTTP/1.1\r\nHost: x\r\n", { deadlineMs: 400 });
    const other = await exchangeRaw(served.port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", { untilClosed: true });
    assert.deepEqual([other.status, other.closed], [0, true]);
    await held;
    await eventually("room for another", () => call(served.url).then(({ status }) => status === 200, () => false));
  });
});

describe("a client that is answered before it has sent everything", { timeout: 30_000 }, () => {
  /** Sends the head, then a part every 100 ms, reads nothing before all is sent, and returns what it finds then. */
  async function slowUpload(port: number, head: string, part: Buffer, parts: number): Promise<RawAnswer> {
    return await exchangeRaw(port, async (socket) => {
      socket.pause();
      socket.write(head);
      for (let sent = 0; sent < parts && !socket.destroyed; sent++) {
        await pause(100);
        socket.write(part);
      }
      socket.resume();
    });
  }
  const post = "POST / HTTP/1.1\r\nHost: x\r\n";
  const part = Buffer.alloc(100_000, "x");
  const chunk = Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from("\r\n")]);
  const ignores = { fetch: () => new Response("no", { status: 413 }) };
  const reads: Partial<ServeOptions> = {
    fetch: (request) =>
      readBody(request, 1_000).then(() => new Response("yes"), () => new Response("no", { status: 413 })),
  };
  const rows: [string, Partial<ServeOptions>, string, Buffer, number][] = [
    ["a handler that reads nothing", ignores, `${post}Content-Length: 2000000\r\n\r\n`, part, 413],
    ["a length that is over the limit", reads, `${post}Content-Length: 2000000\r\n\r\n`, part, 413],
    ["chunks that are over the limit", reads, `${post}Transfer-Encoding: chunked\r\n\r\n`, chunk, 413],
    ["no Host", {}, "POST / HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n", part, 400],
    ["headers that are too long", {}, `${post}X: ${"x".repeat(20_000)}`, part, 431],
    ["what is not HTTP", {}, "no HTTP\r\n\r\n", part, 400],
  ];
  for (const [what, options, head, body, status] of rows) {
    it(`still gets its answer: ${what}`, onNode, async () => {
      const served = await open(options);
      assert.equal((await slowUpload(served.port, head, body, 15)).status, status);
    });
  }

  it("leaves nothing behind on a connection that is kept", onNode, async () => {
    const warnings: Error[] = [];
    const warned = (warning: Error) => void warnings.push(warning);
    process.on("warning", warned);
    try {
      const served = await open(ignores);
      const answer = await exchangeRaw(served.port, async (socket) => {
        // More than Node lets listen to one event before it warns.
        for (let sent = 0; sent < 12; sent++) {
          socket.write(`${post}Content-Length: 3\r\n${sent === 11 ? "Connection: close\r\n" : ""}\r\n`);
          await pause(20);
          socket.write("abc");
        }
      }, { untilClosed: true });
      assert.equal(`${answer.head}${answer.body}`.match(/HTTP\/1\.1 413/g)?.length, 12);
      assert.deepEqual(warnings, []);
    } finally {
      process.off("warning", warned);
    }
  });

  it("has the connection for its next request, once the body is over", onNode, async () => {
    const served = await open(reads);
    const first = `${post}Content-Length: 100000\r\n\r\n`;
    const answer = await exchangeRaw(served.port, async (socket) => {
      socket.write(first);
      await pause(700);
      socket.write(part);
      socket.write(`${post}Content-Length: 3\r\nConnection: close\r\n\r\nabc`);
    }, { untilClosed: true });
    assert.deepEqual(`${answer.head}${answer.body}`.match(/HTTP\/1\.1 \d+/g), ["HTTP/1.1 413", "HTTP/1.1 200"]);
  });
});

describe("reading a body", () => {
  it("refuses a Content-Length over the limit before it reads, and a chunked body as soon as it is over", async () => {
    const served = await open({
      fetch: async (request) => {
        try {
          return new Response(String((await readBody(request, 10)).length));
        } catch (error) {
          return new Response((error as Error).name, { status: 413 });
        }
      },
    });
    const post = "POST / HTTP/1.1\r\nHost: x\r\n";
    const lies = await exchangeRaw(served.port, `${post}Content-Length: 2000000000\r\n\r\n`);
    assert.equal(lies.status, 413);
    const chunks = `${post}Transfer-Encoding: chunked\r\n\r\n`;
    assert.equal((await exchangeRaw(served.port, `${chunks}b\r\n12345678901\r\n`)).status, 413);
    assert.match((await exchangeRaw(served.port, `${chunks}5\r\n12345\r\n5\r\n67890\r\n0\r\n\r\n`)).body, /10/);
    assert.match((await exchangeRaw(served.port, `${post}Content-Length: 10\r\n\r\n1234567890`)).body, /10/);
  });
});
