// Answers that other clients take without a word, and answers that nobody can take. A callback that sends one has its message, so the
// hub reads what can be read; of the rest it says what is wrong, and how to mend it (WIRE §3, §5). The files in `answers/` were seen.

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { createUndiciTransport } from "../../core/delivery/sending/undici-transport.ts";
import { createOutboundGuard } from "../../shared/outbound/guard.ts";
import { verifyIntent } from "../../shared/outbound/verification.ts";
import { pause } from "../../shared/pause.ts";
import { createChallenge } from "../../shared/random.ts";
import { AnswerError } from "../../shared/outbound/answer-head.ts";
import { AnswerHeads } from "../../shared/runtime/answer-heads.ts";
import { createGuardedConnector } from "../../shared/runtime/guarded-connect.ts";
import { createOutbound } from "../../shared/runtime/outbound.ts";
import { RawServer, sendPost } from "../support/rigs/transport-rig.ts";

const FILES = new URL("./answers/", import.meta.url);
const guard = createOutboundGuard(["127.0.0.0/8"]);
const outbound = createOutbound({ guard, userAgent: "test" });
const connect = createGuardedConnector({ guard });
const transport = createUndiciTransport({ connect, timeoutMs: 2_000, connectionsPerOrigin: 4 });
const server = new RawServer();
before(() => server.open());
after(async () => {
  await outbound.close();
  await transport.close();
  await server.close();
});

/** `BODY` and `LENGTH` stand for the answer's body and its length. */
const READABLE: Readonly<Record<string, string>> = {
  "line feeds alone": "HTTP/1.1 200 OK\nContent-Type: text/plain\nContent-Length: LENGTH\n\nBODY",
  "line feeds here and there": "HTTP/1.1 200 OK\r\nX-A: a\nContent-Length: LENGTH\r\n\nBODY",
  "the same length twice": "HTTP/1.1 200 OK\r\nContent-Length: LENGTH\r\nContent-Length: LENGTH\r\n\r\nBODY",
  "the same length in one header": "HTTP/1.1 200 OK\r\nContent-Length: LENGTH, LENGTH\r\n\r\nBODY",
  "a length beside a coding":
    "HTTP/1.1 200 OK\r\nContent-Length: LENGTH\r\nTransfer-Encoding: chunked\r\n\r\nHEX\r\nBODY\r\n0\r\n\r\n",
  "a coding beside a wrong length":
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nContent-Length: 1\r\n\r\nHEX\r\nBODY\r\n0\r\n\r\n",
  "chunked twice":
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\nHEX\r\nBODY\r\n0\r\n\r\n",
  "the coding identity": "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: LENGTH\r\n\r\nBODY",
  "folded lines": "HTTP/1.1 200 OK\r\nX-Policy: a\r\n b\r\n\tc\r\nContent-Length:\r\n LENGTH\r\n\r\nBODY",
  "a folded line of line feeds": "HTTP/1.1 200 OK\nX-Policy: a\n b\nContent-Length: LENGTH\n\nBODY",
  "a space before the colon": "HTTP/1.1 200 OK\r\nContent-Length : LENGTH\r\n\r\nBODY",
  "a line without a colon": "HTTP/1.1 200 OK\r\nhello\r\nContent-Length: LENGTH\r\n\r\nBODY",
  "a name with a space": "HTTP/1.1 200 OK\r\nX Y: a\r\nContent-Length: LENGTH\r\n\r\nBODY",
  "a NUL in a value": "HTTP/1.1 200 OK\r\nX-Y: a\0b\r\nContent-Length: LENGTH\r\n\r\nBODY",
  "a control character in the reason": "HTTP/1.1 200 O\x01K\r\nContent-Length: LENGTH\r\n\r\nBODY",
  "a CR in a value": "HTTP/1.1 200 OK\r\nX-Y: a\rb\r\nContent-Length: LENGTH\r\n\r\nBODY",
  "empty lines before it": "\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: LENGTH\r\n\r\nBODY",
  "two spaces before the status": "HTTP/1.1  200 OK\r\nContent-Length: LENGTH\r\n\r\nBODY",
  "no reason": "HTTP/1.1 200\r\nContent-Length: LENGTH\r\n\r\nBODY",
  "lower case": "http/1.1 200 ok\r\ncontent-length: LENGTH\r\n\r\nBODY",
  "another version": "HTTP/2 200\r\nContent-Length: LENGTH\r\n\r\nBODY",
  "17 KiB of headers": `HTTP/1.1 200 OK\r\nX-Y: ${"y".repeat(17_000)}\r\nContent-Length: LENGTH\r\n\r\nBODY`,
  "60 KiB of headers, folded": `HTTP/1.1 200 OK\nX-Y: y${
    "\n  0123456789".repeat(5_000)
  }\nContent-Length: LENGTH\n\nBODY`,
  "1,000 headers": `HTTP/1.1 200 OK\r\n${"X-Y: y\r\n".repeat(1_000)}Content-Length: LENGTH\r\n\r\nBODY`,
  "early answers of line feeds": "HTTP/1.1 103 Early\nLink: a\n\nHTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\n" +
    "Content-Length: LENGTH\n\nBODY",
};

const UNREADABLE: Readonly<Record<string, readonly [answer: string, sentence: RegExp]>> = {
  "two lengths": [
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    /two Content-Length headers that differ; send one/,
  ],
  "no number for a length": [
    "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok",
    /Content-Length is not a number of bytes; send decimal digits alone/,
  ],
  "a length below 0": ["HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok", /Content-Length is not a number/],
  "a length without a value": ["HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nok", /Content-Length is not a number/],
  "a length without end": [`HTTP/1.1 200 OK\r\nContent-Length: ${"9".repeat(30)}\r\n\r\nok`, /Content-Length is not a/],
  "another protocol": ["SSH-2.0-OpenSSH_8.9\r\n", /does not begin with HTTP\/1.1 and a status of three digits/],
  "a document alone": ["<html>hello</html>", /does not begin with HTTP\/1.1/],
  "a streaming server's": ["ICY 200 OK\r\n\r\n", /does not begin with HTTP\/1.1/],
  "no status": ["HTTP/1.1 OK\r\n\r\n", /does not begin with HTTP\/1.1/],
  "four digits": ["HTTP/1.1 2000 OK\r\n\r\n", /does not begin with HTTP\/1.1/],
  "70 KiB of headers": [`HTTP/1.1 200 OK\r\nX-Y: ${"y".repeat(70_000)}\r\n\r\n`, /more than 64 KiB of headers/],
  "an upgrade": ["HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n", /is 101, and the hub asked for no other protocol/],
};

/** After these the status is known, so a delivery has its answer; a verification and a fetch need the body. */
const UNREADABLE_BODY: Readonly<Record<string, readonly [answer: string, sentence: RegExp]>> = {
  "chunks of line feeds": [
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok\n0\n\n",
    /chunked, but a chunk does not begin with its size/,
  ],
  "a chunk without a size": [
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
    /chunked, but a chunk does not begin with its size/,
  ],
  "a chunk that is too long": [
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokX0\r\n\r\n",
    /chunked, but a chunk does not end where its size says/,
  ],
};

const withBody = (text: string, body: string) =>
  text.replaceAll("LENGTH", String(body.length)).replace("HEX", body.length.toString(16)).replace("BODY", body);

/** Answers each request with this text, in as many writes as there are `parts`; a body is the challenge, if there is one. */
const respondWith = (text: string, parts = 1) => (socket: Socket, request: string) => {
  const challenge = /hub\.challenge=([\w-]+)/.exec(request)?.[1] ?? "ok";
  const bytes = Buffer.from(withBody(text, challenge), "latin1");
  const each = Math.ceil(bytes.length / parts);
  const writeFrom = (at: number) => {
    if (at >= bytes.length) return;
    socket.write(bytes.subarray(at, at + each));
    setTimeout(writeFrom, 1, at + each);
  };
  socket.setNoDelay();
  writeFrom(0);
};

const deliver = () => sendPost(transport, server.url);
const fetchOnce = () =>
  outbound.call({ path: "fetch", method: "GET", url: server.url, deadlineMs: 2_000, maxBytes: 10_000 });
const verify = () =>
  verifyIntent({ mode: "subscribe", topic: "t", callback: server.url, leaseMs: 60_000 }, {
    outbound,
    now: () => performance.now(),
    clock: Date.now,
    challenge: createChallenge,
    pause: (_ms, signal) => pause(1, signal),
  });

describe("WIRE §3 an answer that other clients read", { timeout: 60_000 }, () => {
  for (const [name, text] of Object.entries(READABLE)) {
    it(`is read: ${name}`, async () => {
      for (const parts of [1, 7, 60]) {
        server.respond = respondWith(text, parts);
        assert.deepEqual(await deliver(), { status: 200, retryAfter: undefined });
        const verified = await verify();
        assert.ok(verified.kind === "result" && verified.verified && verified.tries === 1, JSON.stringify(verified));
        const fetched = await fetchOnce();
        assert.ok(fetched.kind === "answer" && fetched.status === 200, JSON.stringify(fetched));
        assert.equal(Buffer.from(fetched.body).toString(), "ok");
      }
    });
  }

  it("is read with its Retry-After and its type, and spoils no request that follows", async () => {
    server.respond = respondWith("HTTP/1.1 503 No\nRetry-After: 7\nContent-Type: a/b\nContent-Length: LENGTH\n\nBODY");
    assert.deepEqual(await deliver(), { status: 503, retryAfter: "7" });
    const fetched = await fetchOnce();
    assert.ok(fetched.kind === "answer" && fetched.headers["content-type"] === "a/b");
    server.respond = respondWith("HTTP/1.1 204 No\r\n\r\n");
    const before = server.connections;
    for (let n = 0; n < 5; n++) assert.deepEqual(await deliver(), { status: 204, retryAfter: undefined });
    assert.ok(server.connections - before <= 1, "a clear answer keeps its connection");
  });
});

describe("WIRE §3 the answers that were seen", { timeout: 60_000 }, () => {
  it("count as the 200 that they are, in deliveries, verifications and fetches", async () => {
    const names = (await readdir(FILES)).filter((name) => name.endsWith(".http"));
    assert.ok(names.length >= 4);
    for (const name of names) {
      const text = await readFile(new URL(name, FILES), "latin1");
      server.respond = respondWith(text);
      assert.deepEqual(await deliver(), { status: 200, retryAfter: undefined }, name);
      const fetched = await fetchOnce();
      assert.ok(fetched.kind === "answer" && fetched.status === 200, `${name}: ${JSON.stringify(fetched)}`);
      const verified = await verify();
      // Each is a whole answer, and not the challenge: a no, and no reason to ask again.
      assert.ok(
        verified.kind === "result" && verified.reason === "status 200, but the body is not the challenge",
        name,
      );
    }
  });
});

describe("WIRE §5 an answer that cannot be read", { timeout: 60_000 }, () => {
  for (const [name, [text, sentence]] of Object.entries(UNREADABLE)) {
    it(`has a sentence in status and log: ${name}`, async () => {
      for (const parts of [1, 5]) {
        server.respond = respondWith(text, parts);
        const delivered = await deliver();
        assert.ok("failed" in delivered, JSON.stringify(delivered));
        assert.match(delivered.failed, sentence);
        assertTold(await fetchOnce(), sentence);
        assert.match(await reasonOf(verify()), sentence);
      }
    });
  }
  for (const [name, [text, sentence]] of Object.entries(UNREADABLE_BODY)) {
    it(`has its status only: ${name}`, async () => {
      server.respond = respondWith(text);
      assert.deepEqual(await deliver(), { status: 200, retryAfter: undefined });
      assertTold(await fetchOnce(), sentence);
      assert.match(await reasonOf(verify()), sentence);
    });
  }
});

function assertTold(answer: Awaited<ReturnType<typeof fetchOnce>>, sentence: RegExp): void {
  assert.ok(answer.kind === "failed", JSON.stringify(answer));
  assert.match(answer.told ?? "", sentence);
}

async function reasonOf(verification: ReturnType<typeof verify>): Promise<string> {
  const result = await verification;
  assert.ok(result.kind === "result" && !result.verified && result.outcome === "failed", JSON.stringify(result));
  return result.reason ?? "";
}

describe("ARCHITECTURE §6.6 the head of an answer", { timeout: 60_000 }, () => {
  it("is read in time that grows with its length, whatever it is made of", () => {
    const begins = [
      "HTTP/1.1 200 OK\n",
      "HTTP/1.1 200 ",
      "HTTP/1.1 ",
      "HTTP/1.1 200 OK\r\nx:",
      "HTTP/1.1 200 OK\r\ncontent-length:",
    ];
    const parts = [
      " ",
      "\t",
      ":",
      ",",
      "\r",
      "\n ",
      "a",
      "\0",
      "a:",
      "a: b\r\n",
      "content-length:",
      "1,",
      "chunked,",
      "\xff",
    ];
    const timeOf = (text: string) => {
      let best = Infinity;
      for (let run = 0; run < 5; run++) {
        const begun = performance.now();
        try {
          new AnswerHeads().take(Buffer.from(`${text}\n\n`, "latin1"));
        } catch (error) {
          assert.ok(error instanceof AnswerError, String(error));
        }
        best = Math.min(best, performance.now() - begun);
      }
      return best;
    };
    for (const begin of begins) {
      for (const part of parts) {
        const [one, two, four] = [15_000, 30_000, 60_000].map((size) =>
          timeOf(begin + part.repeat(size / part.length))
        ) as [number, number, number];
        const seen = `${JSON.stringify(begin)} ${JSON.stringify(part)}: ${one} ${two} ${four} ms`;
        // Long lists are a collector's matter, and a head has at most 64 KiB: work by the square would take seconds.
        assert.ok(four < 40 || (two < 2.5 * one && four < 2.5 * two), seen);
      }
    }
  });
});
