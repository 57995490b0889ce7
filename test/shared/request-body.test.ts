// A body that is read as it comes: on a real socket, and from a stream, as where the runtime tells nothing of the way.

import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { after, describe, it } from "node:test";
import { type BodyLimits, readBody } from "../../shared/request-body.ts";
import type { Served } from "../../shared/serve.ts";
import { serve } from "../../shared/runtime/serve.ts";
import { pause } from "../support/eventually.ts";
import { exchangeRaw } from "../support/servers/raw-http.ts";

const POST = "POST / HTTP/1.1\r\nHost: x\r\n";
const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;

for (const way of ["beside the runtime's own reading", "from its stream"]) {
  describe(`a body that is read ${way}`, () => {
    const opened: Served[] = [];
    after(() => Promise.all(opened.map((served) => served.close(0))));

    async function open(limits: Partial<BodyLimits>): Promise<number> {
      const served = await serve({
        hostname: "127.0.0.1",
        port: 0,
        fetch: async (request, exchange) => {
          const flow = way === "from its stream" ? undefined : exchange?.flow;
          try {
            const body = await readBody(request, { maxBytes: 1_000_000, flow, ...limits });
            return new Response(`${body.length} ${body.every((byte) => byte === 0x78)}`);
          } catch (error) {
            return new Response((error as Error).name, { status: 400 });
          }
        },
      });
      opened.push(served);
      return served.port;
    }

    it("is whole, in whatever parts it comes", async () => {
      const port = await open({});
      for (const size of [0, 5, 5_000, 200_000]) {
        const text = "x".repeat(size);
        assert.equal((await exchangeRaw(port, `${POST}Content-Length: ${size}\r\n\r\n${text}`)).body, `${size} true`);
        const parts = async (socket: Socket) => {
          socket.write(`${POST}Transfer-Encoding: chunked\r\n\r\n`);
          for (let at = 0; at < 3 && size > 0; at++) {
            socket.write(chunk(text));
            await pause(5);
          }
          socket.write("0\r\n\r\n");
        };
        assert.match((await exchangeRaw(port, parts)).body, new RegExp(`${3 * size} true`));
      }
    });

    it("counts as it comes, waits for room, and is refused where there is none in time", async () => {
      let free = 50_000;
      const room = { take: (bytes: number) => bytes <= free && ((free -= bytes), true) };
      const port = await open({ room, roomWithinMs: 500 });
      const began = async (socket: Socket) => {
        socket.write(`${POST}Transfer-Encoding: chunked\r\n\r\n${chunk("x".repeat(40_000))}`);
        await pause(100);
        assert.equal(free, 10_000, "what has come");
        socket.write(`${chunk("x".repeat(12_000))}0\r\n\r\n`);
        await pause(100);
        free += 20_000;
      };
      assert.match((await exchangeRaw(port, began)).body, /52000 true/);
      free = 10_000;
      const late = await exchangeRaw(port, `${POST}Content-Length: 40000\r\n\r\n${"x".repeat(40_000)}`);
      assert.equal(late.body, "NoBodyRoomError");
    });

    it("waits for room no longer than it may, however many parts wait in turn", async () => {
      let closedUntil = 0;
      const room = {
        take: () => {
          const now = performance.now();
          if (now < closedUntil) return false;
          closedUntil = now + 300;
          return true;
        },
      };
      const port = await open({ room, roomWithinMs: 500 });
      const parts = async (socket: Socket) => {
        socket.write(`${POST}Transfer-Encoding: chunked\r\n\r\n`);
        for (let at = 0; at < 5; at++) {
          socket.write(chunk("x".repeat(1_000)));
          await pause(5);
        }
        socket.write("0\r\n\r\n");
      };
      const { body } = await exchangeRaw(port, parts);
      assert.equal(body, "NoBodyRoomError");
    });

    it("is refused where it comes too slowly, and where it is too long", async () => {
      const port = await open({ pace: { graceMs: 300, bytesPerSecond: 10_000 }, maxBytes: 100_000 });
      for (
        const head of [
          "Content-Length: 100\r\n\r\n",
          "Content-Length: 90000\r\n\r\n",
          "Transfer-Encoding: chunked\r\n\r\n",
        ]
      ) {
        const begunAt = performance.now();
        const { body } = await exchangeRaw(port, `${POST}${head}1`);
        const took = performance.now() - begunAt;
        assert.equal(body, "BodyTooSlowError", head);
        assert.ok(took > 250, `refused after ${took} ms`);
      }
      const paced = async (socket: Socket) => {
        socket.write(`${POST}Content-Length: 12000\r\n\r\n`);
        for (let at = 0; at < 6; at++) {
          socket.write("x".repeat(2_000));
          await pause(150);
        }
      };
      assert.match((await exchangeRaw(port, paced)).body, /12000 true/, "as fast as it must be");
      const long = `${POST}Transfer-Encoding: chunked\r\n\r\n${chunk("x".repeat(60_000)).repeat(2)}`;
      assert.equal((await exchangeRaw(port, long)).body, "BodyTooLargeError");
    });

    it("that breaks off is an error", async () => {
      let error: unknown;
      const served = await serve({
        hostname: "127.0.0.1",
        port: 0,
        fetch: async (request, exchange) => {
          const flow = way === "from its stream" ? undefined : exchange?.flow;
          await readBody(request, { maxBytes: 100_000, flow }).catch((thrown: unknown) => error = thrown);
          return new Response("");
        },
      });
      opened.push(served);
      await exchangeRaw(served.port, async (socket) => {
        socket.write(`${POST}Content-Length: 90000\r\n\r\nxxx`);
        await pause(50);
        socket.destroy();
      });
      for (let n = 0; n < 100 && error === undefined; n++) await pause(10);
      assert.ok(error instanceof Error);
    });
  });
}

describe("a body of which a runtime tells after it was to pause", () => {
  it("is whole only when there was room for all of it", async () => {
    let free = 4;
    const room = { take: (bytes: number) => bytes <= free && ((free -= bytes), true) };
    let tell = (_bytes: number) => {};
    const flow = {
      watch: (told: typeof tell) => void (tell = told),
      pause: () => {},
      resume: () => {},
      drop: () => {},
    };
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const request = new Request("http://x/", { method: "POST", body: readable, duplex: "half" } as RequestInit);
    const outcome = readBody(request, { maxBytes: 100, room, flow, roomWithinMs: 200 })
      .then((body) => body.length, (error: Error) => error.name);
    const writer = writable.getWriter();
    for (let part = 0; part < 3; part++) {
      tell(4);
      await writer.write(new Uint8Array(4));
    }
    free += 4;
    await pause(100);
    assert.equal(free, 0, "the second part has its room");
    await writer.close();
    assert.equal(await outcome, "NoBodyRoomError", "the third has none in time");
  });
});
