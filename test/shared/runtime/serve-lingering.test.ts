// A client that has not sent everything when its answer comes: it still gets the answer.
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, describe, it } from "node:test";
import { readBody } from "../../../shared/request-body.ts";
import type { ServeOptions } from "../../../shared/serve.ts";
import { pause } from "../../support/eventually.ts";
import { exchangeRaw, type RawAnswer } from "../../support/servers/raw-http.ts";
import { createServeRig } from "../../support/servers/serve-rig.ts";

const rig = await createServeRig();
const { open } = rig;
after(() => rig.close());

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
      readBody(request, { maxBytes: 1_000 }).then(() => new Response("yes"), () => new Response("no", { status: 413 })),
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
    it(`still gets its answer: ${what}`, async () => {
      const served = await open(options);
      assert.equal((await slowUpload(served.port, head, body, 15)).status, status);
    });
  }

  it("gets the next answer on its connection too, whatever the method whose body was not read", async () => {
    const served = await open({ fetch: ({ method }) => new Response(`to ${method}`) });
    for (const method of ["GET", "DELETE", "OPTIONS", "POST", "PUT"]) {
      const long = `${method} / HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n${"x".repeat(500_000)}`;
      const answers = await exchangeRaw(served.port, async (socket) => {
        socket.write(long);
        await once(socket, "data");
        socket.write("PATCH / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
      }, { untilClosed: true });
      assert.match(`${answers.head}${answers.body}`, new RegExp(`to ${method}[^]*to PATCH`), method);
    }
  });

  for (const [what, options, head, body, status] of rows.slice(0, 3)) {
    it(`still gets its answer where the connection is not kept, and can send all: ${what}`, async () => {
      const served = await open(options);
      let [answeredAfter, sent] = [0, 0];
      const answer = await exchangeRaw(served.port, async (socket) => {
        const begun = performance.now();
        socket.once("data", () => answeredAfter = performance.now() - begun);
        socket.write(head.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
        for (; sent < 20 && !socket.destroyed; sent++) {
          await pause(50);
          socket.write(body);
        }
        if (body === chunk) socket.write("0\r\n\r\n");
      }, { untilClosed: true });
      assert.deepEqual([answer.status, answer.closed, sent], [status, true, 20]);
      assert.ok(answeredAfter < 500, "the answer does not wait for the request's end");
    });
  }

  it("leaves nothing behind on a connection that is kept", async () => {
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

  it("has the connection for its next request, once the body is over", async () => {
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
