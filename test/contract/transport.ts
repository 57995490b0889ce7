// What every adapter of the delivery transport must do, against real sockets: whatever a callback does costs one attempt, and the
// attempt says no more than what happened. An adapter's test calls `transportContract` with how it is opened.
import assert from "node:assert/strict";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import type { Post, Transport } from "../../core/delivery/sending/transport.ts";
import { parseHttpUrl } from "../../shared/http-url.ts";
import { createOutboundGuard, type OutboundGuard } from "../../shared/outbound/guard.ts";
import { eventually, pause } from "../support/eventually.ts";
import { RawServer, sendPost } from "../support/rigs/transport-rig.ts";

export interface TransportSetting {
  /** Why this adapter cannot be tested here, or false. */
  readonly skip: string | false;
  open(options: {
    /** The transport dials no address that it forbids. */
    readonly guard: OutboundGuard;
    /** From the start of an attempt to the head of its answer, and to connect, ms. */
    readonly timeoutMs: number;
    readonly connectionsPerOrigin: number;
  }): Transport;
}

const TIMEOUT_MS = 400;

export function transportContract(name: string, setting: TransportSetting): void {
  describe(`${name}: the contract of the delivery transport`, { skip: setting.skip, timeout: 60_000 }, () => {
    const server = new RawServer();
    const open = (allow: readonly string[] = ["127.0.0.0/8"]) =>
      setting.open({ guard: createOutboundGuard(allow), timeoutMs: TIMEOUT_MS, connectionsPerOrigin: 4 });
    let transport: Transport;
    const respondWith = (...parts: string[]) => (socket: Socket) => {
      for (const part of parts) socket.write(part);
    };
    before(async () => {
      await server.open();
      transport = open();
    });
    after(async () => {
      await transport?.close();
      await server.close();
    });

    it("A3.4 a request that may no longer go when its connection is there is not sent", async () => {
      let asked = 0;
      const before = server.requests.length;
      const result = await sendPost(transport, server.url, {
        mayGo: () => {
          asked++;
          return false;
        },
      });
      assert.equal(asked, 1);
      assert.match((result as { failed: string }).failed, /^not sent/);
      assert.equal(server.requests.length, before);
    });

    it("sends the bytes it was given, with their length and the headers as they stand", async () => {
      server.respond = respondWith("HTTP/1.1 204 No Content\r\n\r\n");
      const body = Buffer.from([0, 255, 13, 10, 128]);
      const headers = ["content-type", "text/plain; x=\xe9", "x-hub-signature", "sha256=aa"];
      assert.deepEqual(await sendPost(transport, server.url, { body, headers }), {
        status: 204,
        retryAfter: undefined,
      });
      const [head = "", sent] = server.requests.at(-1)!.split("\r\n\r\n");
      const lines = head.split("\r\n").map((line) => line.toLowerCase());
      assert.equal(head.split("\r\n")[0], "POST /callback?x=1 HTTP/1.1");
      assert.equal(sent, body.toString("latin1"));
      const { port } = new URL(server.url);
      assert.deepEqual(lines.slice(1).toSorted(), [
        "connection: keep-alive",
        "content-length: 5",
        "content-type: text/plain; x=\xe9",
        `host: 127.0.0.1:${port}`,
        "x-hub-signature: sha256=aa",
      ]);
    });

    it("WIRE §3 an empty body has Content-Length 0, and is not chunked", async () => {
      assert.deepEqual(await sendPost(transport, server.url, { body: Buffer.alloc(0) }), {
        status: 204,
        retryAfter: undefined,
      });
      assert.match(server.requests.at(-1)!, /\r\ncontent-length: 0\r\n/i);
      assert.doesNotMatch(server.requests.at(-1)!, /transfer-encoding/i);
    });

    it("calls the callback's path and query as given; only characters that no URL has are percent-encoded", async () => {
      const target = "/%7e/ü?q=%2F&&=[a]&x=%20+|";
      await sendPost(transport, new URL(server.url).origin + target);
      const line = server.requests.at(-1)!.split("\r\n")[0];
      assert.equal(line, "POST /%7e/%C3%BC?q=%2F&&=[a]&x=%20+%7C HTTP/1.1");
    });

    it("an attempt that begins as soon as another is over takes its connection", async () => {
      const transport = open();
      const before = server.connections;
      const url = parseHttpUrl(server.url);
      let left = 20;
      await new Promise<void>((resolve, reject) => {
        const answered = () => {
          left--;
          if (left === 0) resolve();
          else transport.post(post);
        };
        const failed = (reason: string) => reject(new Error(reason));
        const post: Post = {
          url,
          body: Buffer.from("body"),
          requester: "",
          headers: ["content-type", "text/plain"],
          mayGo: () => true,
          answered,
          failed,
        };
        transport.post(post);
      });
      assert.equal(server.connections - before, 1);
      await transport.close();
    });

    it("keeps its connection for the next attempt", async () => {
      await sendPost(transport, server.url);
      const { connections } = server;
      for (let times = 0; times < 5; times++) await sendPost(transport, server.url);
      assert.equal(server.connections, connections);
    });

    for (const status of [200, 201, 202, 301, 307, 308, 400, 410, 500, 503, 599]) {
      it(`tells ${status} as it is, and follows nothing (H57)`, async () => {
        const requests = server.requests.length;
        const elsewhere = `location: ${new URL(server.url).origin}/elsewhere`;
        server.respond = respondWith(`HTTP/1.1 ${status} X\r\n${elsewhere}\r\ncontent-length: 2\r\n\r\nok`);
        assert.deepEqual(await sendPost(transport, server.url), { status, retryAfter: undefined });
        assert.equal(server.requests.length, requests + 1);
      });
    }

    it("hands on Retry-After as text, the first of several", async () => {
      server.respond = respondWith("HTTP/1.1 503 X\r\nretry-after: 17\r\ncontent-length: 0\r\n\r\n");
      assert.deepEqual(await sendPost(transport, server.url), { status: 503, retryAfter: "17" });
      server.respond = respondWith("HTTP/1.1 503 X\r\nretry-after: 5\r\nretry-after: 9\r\ncontent-length: 0\r\n\r\n");
      assert.deepEqual(await sendPost(transport, server.url), { status: 503, retryAfter: "5" });
    });

    it("waits for the final answer after early ones (1xx)", async () => {
      server.respond = (socket) => {
        socket.write("HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n");
        setTimeout(() => socket.write("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"), 50);
      };
      assert.deepEqual(await sendPost(transport, server.url), { status: 202, retryAfter: undefined });
    });

    const FINAL = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
    const CONTINUES = {
      "at once": [`HTTP/1.1 100 Continue\r\n\r\n${FINAL}`],
      "before the answer": ["HTTP/1.1 100 Continue\r\n\r\n", FINAL],
      "in pieces": [
        "HTTP/1.1 100 Continue\r\nx-",
        "early: 1\r",
        "\n\r\nHTTP/1.1 202 Accep",
        "ted\r\ncontent-length: 0\r\n\r\n",
      ],
      "twice, and other early ones": [
        `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n${FINAL}`,
      ],
    };
    for (const [how, parts] of Object.entries(CONTINUES)) {
      it(`passes over a 100 Continue that it did not ask for, ${how} (RFC 9110 §15.2)`, async () => {
        server.respond = (socket) => {
          socket.setNoDelay(true);
          for (const [index, part] of parts.entries()) setTimeout(() => socket.write(part), index * 20);
        };
        const { connections } = server;
        assert.deepEqual(await sendPost(transport, server.url), { status: 202, retryAfter: undefined });
        assert.deepEqual(await sendPost(transport, server.url), { status: 202, retryAfter: undefined });
        assert.ok(server.connections - connections <= 1, "the connection is kept");
      });
    }

    it("a 100 Continue and nothing else is a failed attempt, however long its head", async () => {
      server.respond = (socket) =>
        void socket.write(`HTTP/1.1 100 Continue\r\n${"x-filler: 0123456789\r\n".repeat(10_000)}`);
      const result = await sendPost(transport, server.url);
      assert.ok("failed" in result, JSON.stringify(result));
      server.respond = (socket) => void socket.end("HTTP/1.1 100 Continue\r\n\r\n");
      assert.deepEqual(await sendPost(transport, server.url), { failed: "connection broken" });
    });

    it("gives up on early answers without an end at its deadline", async () => {
      server.respond = (socket) => {
        const timer = setInterval(() => socket.write("HTTP/1.1 102 Processing\r\n\r\n"), 20);
        socket.on("close", () => clearInterval(timer));
      };
      assert.deepEqual(await sendPost(transport, server.url), { failed: "timed out" });
    });

    it("H58 a success with an endless body is a success within a second or so, and the connection is given up", async () => {
      server.respond = (socket) => {
        socket.write("HTTP/1.1 200 OK\r\n\r\n");
        const timer = setInterval(() => socket.write("x"), 20);
        socket.on("close", () => clearInterval(timer));
      };
      const began = performance.now();
      assert.deepEqual(await sendPost(transport, server.url), { status: 200, retryAfter: undefined });
      assert.ok(performance.now() - began < 3_000);
      await eventually("the connection to be cut", () => server.last!.destroyed);
    });

    it("H58 a success with 100 MB of body is a success at once, and little of it is read", async () => {
      let written = 0;
      server.respond = (socket) => {
        const block = Buffer.alloc(64 * 1024, "x");
        socket.write("HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n");
        const write = () => {
          while (!socket.destroyed && written < 100_000_000) {
            written += block.length;
            if (!socket.write(block)) return;
          }
        };
        socket.on("drain", write);
        write();
      };
      const began = performance.now();
      assert.deepEqual(await sendPost(transport, server.url), { status: 200, retryAfter: undefined });
      assert.ok(performance.now() - began < 900, "it waited");
      await eventually("the connection to be cut", () => server.last!.destroyed);
      assert.ok(written < 20_000_000, `${written} bytes were taken`);
    });

    it("a failure whose body breaks off or is too long is told by its status all the same", async () => {
      server.respond = (socket) => socket.end("HTTP/1.1 500 X\r\ncontent-length: 1000\r\n\r\nshort");
      assert.deepEqual(await sendPost(transport, server.url), { status: 500, retryAfter: undefined });
      server.respond = (socket) => {
        socket.write("HTTP/1.1 410 Gone\r\ncontent-length: 1000\r\n\r\n");
        setTimeout(() => socket.resetAndDestroy(), 30);
      };
      assert.deepEqual(await sendPost(transport, server.url), { status: 410, retryAfter: undefined });
    });

    const GARBAGE = {
      "noise": Buffer.from([0, 1, 2, 255, 254, 10, 13, 10, 13]).toString("latin1").repeat(20),
      "another protocol": "220 mail.example ESMTP\r\n",
      "a head without an end": `HTTP/1.1 200 OK\r\n${"x-filler: 0123456789\r\n".repeat(10_000)}`,
      "a status that is not a number": "HTTP/1.1 abc OK\r\ncontent-length: 0\r\n\r\n",
      "contradicting lengths": "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
      "a protocol switch that was not asked for":
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    };
    for (const [what, bytes] of Object.entries(GARBAGE)) {
      it(`${what} instead of an answer is a failed attempt`, async () => {
        server.respond = (socket) => void socket.write(bytes, "latin1");
        const result = await sendPost(transport, server.url);
        assert.ok("failed" in result && result.failed !== "", JSON.stringify(result));
        assert.ok(result.failed.length <= 200);
        await eventually("the connection to be cut", () => server.last!.destroyed);
      });
    }

    it("a connection that is closed or reset without an answer is a failed attempt, and the next one succeeds", async () => {
      for (const end of [(socket: Socket) => socket.destroy(), (socket: Socket) => socket.resetAndDestroy()]) {
        server.respond = end;
        assert.deepEqual(await sendPost(transport, server.url), { failed: "connection broken" });
        server.respond = respondWith("HTTP/1.1 204 No Content\r\n\r\n");
        assert.deepEqual(await sendPost(transport, server.url), { status: 204, retryAfter: undefined });
      }
    });

    it("a callback that never answers costs its deadline, and its connection", async () => {
      server.respond = () => {};
      const began = performance.now();
      assert.deepEqual(await sendPost(transport, server.url), { failed: "timed out" });
      const took = performance.now() - began;
      assert.ok(took >= TIMEOUT_MS - 60 && took < TIMEOUT_MS + 1_000, `${took} ms`);
      await eventually("the connection to be cut", () => server.last!.destroyed);
    });

    it("a head that comes byte by byte does not prolong the deadline", async () => {
      server.respond = (socket) => {
        const bytes = `HTTP/1.1 200 OK\r\nx-slow: ${"x".repeat(10_000)}`.split("");
        const timer = setInterval(() => socket.write(bytes.shift()!), 10);
        socket.on("close", () => clearInterval(timer));
      };
      assert.deepEqual(await sendPost(transport, server.url), { failed: "timed out" });
    });

    it("a callback that reads nothing costs its deadline, also with a large body", async () => {
      const deaf = createServer((socket) => void socket.pause().on("error", () => {}));
      await new Promise<void>((resolve) => deaf.listen(0, "127.0.0.1", resolve));
      const url = `http://127.0.0.1:${(deaf.address() as AddressInfo).port}/`;
      assert.deepEqual(await sendPost(transport, url, { body: Buffer.alloc(20_000_000) }), { failed: "timed out" });
      deaf.close();
    });

    it("attempts that wait for a connection time out as well, and are not sent later", async () => {
      const over = new Set<string>();
      const late: string[] = [];
      server.respond = (_socket, request) => {
        const body = request.split("\r\n\r\n")[1]!;
        if (over.has(body)) late.push(body);
      };
      await Promise.all(Array.from({ length: 12 }, async (_, index) => {
        const body = `attempt ${index}`;
        assert.deepEqual(await sendPost(transport, server.url, { body: Buffer.from(body) }), { failed: "timed out" });
        over.add(body);
      }));
      server.respond = respondWith("HTTP/1.1 204 No Content\r\n\r\n");
      const requests = server.requests.length;
      await sendPost(transport, server.url);
      await pause(50);
      assert.deepEqual(late, []);
      assert.equal(server.requests.length, requests + 1);
    });

    it("a refused connection is a failed attempt", async () => {
      const closed = new RawServer();
      await closed.open();
      const { url } = closed;
      await closed.close();
      assert.deepEqual(await sendPost(transport, url), { failed: "connection refused" });
    });

    it("a name that does not resolve is a failed attempt", async () => {
      assert.deepEqual(await sendPost(transport, "http://no-such-host.invalid/"), { failed: "no address to call" });
    });

    it("WIRE §7 an address that the guard forbids is not dialled", async () => {
      const guarded = open([]);
      const { connections } = server;
      assert.deepEqual(await sendPost(guarded, server.url), { failed: "no address to call" });
      const named = server.url.replace("127.0.0.1", "localhost");
      assert.deepEqual(await sendPost(guarded, named), { failed: "no address to call" });
      assert.equal(server.connections, connections);
      await guarded.close();
    });

    it("§6.6 a header that cannot be written is a failed attempt, and stops no other attempt", async () => {
      for (
        const headers of [["x-a", "b\r\nc: d"], ["x-a", "日"], ["", "b"], ["a b", "c"], [
          "transfer-encoding",
          "chunked",
        ]]
      ) {
        // As many as there are connections, and more.
        for (let times = 0; times < 6; times++) {
          const result = await sendPost(transport, server.url, { headers });
          assert.ok("failed" in result, headers.join());
        }
        assert.deepEqual(await sendPost(transport, server.url), { status: 204, retryAfter: undefined });
      }
    });

    it("H68 a callback that speaks no TLS where TLS is expected is a failed attempt, not a request in the clear", async () => {
      const { port } = new URL(server.url);
      const requests = server.requests.length;
      const result = await sendPost(transport, `https://127.0.0.1:${port}/`);
      assert.ok("failed" in result);
      assert.equal(server.requests.length, requests);
    });

    it("a close fails what is in flight, once, and leaves nothing behind", async () => {
      const closing = open();
      server.respond = () => {};
      const before = server.requests.length;
      const results = Promise.all([sendPost(closing, server.url), sendPost(closing, server.url)]);
      await eventually("both to be sent", () => server.requests.length === before + 2);
      await closing.close();
      for (const result of await results) assert.ok("failed" in result);
      await eventually("its connections to be cut", () => server.last!.destroyed);
    });
  });
}
