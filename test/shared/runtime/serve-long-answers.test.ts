// An answer that takes long: it goes on for as long as it moves, and is cut where it stands still (`stallTimeoutMs`).
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { after, describe, it } from "node:test";
import { eventually, pause } from "../../support/eventually.ts";
import { createServeRig, SCHEMES, type ServeRig } from "../../support/servers/serve-rig.ts";

const get = "GET / HTTP/1.1\r\nHost: x\r\n";

/** Passes on what both sides send, and of what the server sends only so many bytes: the rest it does not read. */
async function openRelay(port: number, mostBytes: number): Promise<{ readonly port: number } & AsyncDisposable> {
  const relay = createServer((client) => {
    const server = connect(port, "127.0.0.1");
    let bytes = 0;
    client.on("data", (part: Uint8Array) => server.write(part));
    server.on("data", (part: Uint8Array) => {
      client.write(part);
      if ((bytes += part.length) > mostBytes) server.pause();
    });
    for (const [one, other] of [[client, server], [server, client]] as const) {
      one.on("error", () => {}).on("close", () => other.destroy());
    }
  });
  const sockets: Socket[] = [];
  relay.on("connection", (socket) => sockets.push(socket));
  relay.listen(0, "127.0.0.1");
  await once(relay, "listening");
  return {
    port: (relay.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      relay.close();
    },
  };
}

function longAnswers({ open, raw, call }: ServeRig): void {
  const text = new TextEncoder();
  const stallTimeoutMs = 400;

  it("goes on for as long as something comes", async () => {
    let cancelled = false;
    const served = await open({
      stallTimeoutMs,
      fetch: () =>
        new Response(
          new ReadableStream({
            async start(output) {
              for (let n = 0; n < 15 && !cancelled; n++) {
                output.enqueue(text.encode(`part ${n}\n`));
                await pause(100);
              }
              output.close();
            },
            cancel: () => void (cancelled = true),
          }),
        ),
    });
    assert.match((await call(served.url)).text, /^(?:part \d+\n){15}$/);
  });

  const bytes = 32_000_000;
  const parts = () => {
    let made = 0;
    return new ReadableStream<Uint8Array>({
      pull(output) {
        if ((made += 100_000) > bytes) output.close();
        else output.enqueue(new Uint8Array(100_000));
      },
    });
  };
  for (const [how, body] of [["in parts", parts], ["at once", () => new Uint8Array(bytes)]] as const) {
    it(`goes on for as long as its client takes something, if it is written ${how}`, async () => {
      const served = await open({ stallTimeoutMs: 1_000, fetch: () => new Response(body()) });
      const answer = await raw(served.port, (socket) => {
        socket.write(`${get}Connection: close\r\n\r\n`);
        // 16 MB/s.
        socket.on("data", (part: Uint8Array) => {
          socket.pause();
          setTimeout(() => socket.resume(), part.length / 16_000);
        });
      }, { untilClosed: true });
      assert.ok(answer.body.length >= bytes, `${answer.body.length} bytes`);
    });
  }

  it("is cut where nothing comes, and its handler learns of it", async () => {
    let cancelled = false;
    const served = await open({
      stallTimeoutMs,
      fetch: () =>
        new Response(
          new ReadableStream({
            start: (output) => output.enqueue(text.encode("first")),
            cancel: () => void (cancelled = true),
          }),
        ),
    });
    const begun = performance.now();
    const answer = await raw(served.port, `${get}\r\n`, { untilClosed: true });
    const elapsed = performance.now() - begun;
    assert.match(answer.body, /first/);
    assert.ok(answer.closed && elapsed >= stallTimeoutMs - 20 && elapsed < 3 * stallTimeoutMs, `${elapsed} ms`);
    await eventually("the handler to be told", () => cancelled);
  });

  it("is cut where its client takes nothing, and its handler learns of it", async () => {
    let cancelled = 0;
    const served = await open({
      stallTimeoutMs,
      fetch: () =>
        new Response(
          new ReadableStream({
            pull: (output) => output.enqueue(new Uint8Array(100_000)),
            cancel: () => void (cancelled = performance.now()),
          }),
        ),
    });
    const begun = performance.now();
    await using relay = await openRelay(served.port, 50_000);
    void raw(relay.port, `${get}\r\n`, { untilClosed: true });
    await eventually("the handler to be told", () => cancelled > 0);
    assert.ok(cancelled - begun < 8 * stallTimeoutMs, `${cancelled - begun} ms`);
  });

  it("leaves its connection as long as any other idle one", async () => {
    const served = await open({ stallTimeoutMs: 100, keepAliveTimeoutMs: 20_000 });
    const answer = await raw(served.port, async (socket) => {
      socket.write(`${get}\r\n`);
      await pause(500);
      socket.write(`${get}Connection: close\r\n\r\n`);
    }, { untilClosed: true });
    assert.equal(`${answer.head}${answer.body}`.match(/HTTP\/1\.1 200/g)?.length, 2);
  });
}

for (const scheme of SCHEMES) {
  const rig = await createServeRig(scheme);
  after(() => rig.close());
  describe(`an answer to GET that takes long, over ${scheme}`, () => longAnswers(rig));
}
