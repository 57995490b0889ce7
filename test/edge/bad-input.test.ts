// Requests that no honest client sends, over raw sockets to an edge in a process of its own. Each gets a 4xx with a sentence;
// the process survives, and its memory stays bounded.

import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { runChild } from "../support/hub/child.ts";
import type { Child } from "../support/hub/child.ts";
import { eventually } from "../support/eventually.ts";
import { openFakeCore } from "../support/rigs/fake-core.ts";
import type { FakeCore } from "../support/rigs/fake-core.ts";
import { call } from "../support/servers/http.ts";
import { EDGE_KEY } from "../support/keys.ts";
import { exchangeRaw } from "../support/servers/raw-http.ts";
import type { RawAnswer } from "../support/servers/raw-http.ts";

const FORM = "Content-Type: application/x-www-form-urlencoded\r\n";
const CALLBACK = "hub.callback=http%3A%2F%2F127.0.0.1%3A9999%2F";
/** Far above what an edge needs, far below what one of these would fill if it were kept. */
const MEMORY_BOUND = 400_000_000;

describe("bad input", () => {
  let core: FakeCore;
  let child: Child;
  let port = 0;
  let operatingUrl = "";
  before(async () => {
    core = await openFakeCore();
    child = runChild(new URL("../../edge/main.ts", import.meta.url), {
      settings: {
        TIDINGS_CORE_URL: core.origin,
        TIDINGS_EDGE_KEY: JSON.stringify(EDGE_KEY),
        TIDINGS_EDGE_LISTEN: "127.0.0.1:0",
        TIDINGS_EDGE_OPERATING_LISTEN: "127.0.0.1:0",
        TIDINGS_LOG_LEVEL: "warning",
      },
    });
    const [, url = "", operating = ""] = await child.says(/ready at (\S+) \(for operators at ([^)]+)\)/);
    port = Number(new URL(url).port);
    operatingUrl = operating;
  });
  after(async () => {
    // Nothing of all this was worth a warning, let alone a crash.
    assert.deepEqual([child.process.exitCode, child.stderr()], [null, ""]);
    await child[Symbol.asyncDispose]();
    await core.close();
  });

  const assertRefused = (answer: RawAnswer, status: number, names: RegExp) => {
    assert.equal(answer.status, status, answer.head);
    assert.match(answer.head, /^content-type: text\/plain/im);
    assert.match(answer.body, names);
    assert.doesNotMatch(answer.body, /\bat .+:\d+:\d+|node:|Error:/);
  };
  const post = (body: string, { path = "/hub", headers = FORM } = {}) => {
    const bytes = Buffer.from(body, "latin1");
    const head = `POST ${path} HTTP/1.1\r\nHost: h\r\n${headers}Content-Length: ${bytes.length}\r\n\r\n`;
    return exchangeRaw(port, Buffer.concat([Buffer.from(head, "latin1"), bytes]));
  };

  const FIELDS: readonly [what: string, body: string, names: RegExp][] = [
    ["no body at all", "", /^hub\.mode is missing/],
    ["nothing but separators", "&&&=&=", /^hub\.mode is missing/],
    ["a mode that is missing", `hub.topic=t&${CALLBACK}`, /^hub\.mode is missing/],
    ["a mode with NUL", "hub.mode=subscribe%00&hub.topic=t", /^hub\.mode must be/],
    ["a mode of 60,000 letters", `hub.mode=${"x".repeat(60_000)}&hub.topic=t`, /^hub\.mode must be .{0,200}$/m],
    ["a topic that is missing", `hub.mode=subscribe&${CALLBACK}`, /^hub\.topic is missing/],
    ["a topic that is empty", `hub.mode=subscribe&hub.topic=&hub.topic=t&${CALLBACK}`, /^hub\.topic is empty/],
    ["a topic with NUL", `hub.mode=subscribe&hub.topic=a%00b&${CALLBACK}`, /^hub\.topic has a control/],
    ["a topic with a raw NUL", `hub.mode=register&hub.topic=a\0b`, /^hub\.topic has a control/],
    ["a topic that is a lone surrogate", "hub.mode=register&hub.topic=%ED%A0%80", /^hub\.topic is not percent-enc/],
    ["a topic in latin1", "hub.mode=register&hub.topic=\xe9", /^hub\.topic is not percent-encoded UTF-8/],
    ["a topic that is overlong UTF-8", "hub.mode=register&hub.topic=%C0%AF", /^hub\.topic is not percent-encoded/],
    ["a topic of 3,000 bytes", `hub.mode=register&hub.topic=${"x".repeat(3_000)}`, /^hub\.topic is longer than 2048/],
    ["a topic of 60,000 bytes", `hub.mode=register&hub.topic=${"x".repeat(60_000)}`, /^hub\.topic is longer/],
    ["a callback that is missing", "hub.mode=subscribe&hub.topic=t", /^hub\.callback is missing/],
    ["a callback that is no URL", "hub.mode=subscribe&hub.topic=t&hub.callback=x", /^hub\.callback must be/],
    ["a callback with a line feed", `hub.mode=subscribe&hub.topic=t&${CALLBACK}%0d%0aX:y`, /^hub\.callback has a/],
    [
      "a callback of 5,000 bytes",
      `hub.mode=subscribe&hub.topic=t&${CALLBACK}${"x".repeat(5_000)}`,
      /^hub\.callback is lo/,
    ],
    [
      "a forbidden callback",
      "hub.mode=subscribe&hub.topic=t&hub.callback=http://169.254.169.254/",
      /^hub\.callback names/,
    ],
    ["a lease of letters", `hub.mode=subscribe&hub.topic=t&${CALLBACK}&hub.lease_seconds=1e3`, /^hub\.lease_seconds/],
    [
      "a secret of 200 bytes",
      `hub.mode=subscribe&hub.topic=t&${CALLBACK}&hub.secret=${"s".repeat(200)}`,
      /^hub\.secret/,
    ],
    [
      "a huge verify token",
      `hub.mode=subscribe&hub.topic=t&${CALLBACK}&hub.verify_token=${"v".repeat(9_000)}`,
      /^hub\.ver/,
    ],
    ["a start of nonsense", `hub.mode=subscribe&hub.topic=t&${CALLBACK}&hub.start=%00`, /^hub\.start must be/],
    ["a concurrency of 65", `hub.mode=subscribe&hub.topic=t&${CALLBACK}&hub.concurrency=65`, /^hub\.concurrency must/],
    ["a broken escape", `hub.mode=subscribe&hub.topic=t&${CALLBACK}&hub.verify=%`, /^hub\.verify is not percent-enc/],
    ["10,000 parameters", `hub.mode=register&hub.topic=t${"&a=b".repeat(10_000)}`, /^The form has more than 1000/],
    ["3,000 topics to ping", `hub.mode=publish${"&hub.url=http://t/".repeat(3_000)}`, /^The form has more than 1000/],
  ];
  for (const [what, body, names] of FIELDS) {
    it(`refuses ${what} with 400 and a sentence`, async () => assertRefused(await post(body), 400, names));
  }

  it("refuses the same in the query", async () => {
    const QUERIES = [
      ["hub.mode=publish&hub.topic=%00", /^hub\.topic has a control/],
      ["hub.mode=publish&hub.topic=%ED%A0%80", /^hub\.topic is not/],
      ["hub.mode=publish&hub.topic=%", /^hub\.topic is not/],
      [`hub.mode=publish${"&a".repeat(2_000)}`, /^The query has more than 1000/],
      [`hub.mode=publish&hub.topic=${"x".repeat(2_049)}`, /^hub\.topic is longer/],
    ] as const;
    for (const [query, names] of QUERIES) {
      assertRefused(await post("body", { path: `/hub?${query}`, headers: "" }), 400, names);
    }
  });

  it("refuses a form of another type, and an unknown x-ballerina-publisher", async () => {
    const form = "hub.mode=register&hub.topic=t";
    for (
      const headers of [
        "Content-Type: text/plain\r\n",
        "Content-Type: ,\r\n",
        `Content-Type: ${"x".repeat(9_000)}\r\n`,
      ]
    ) {
      assertRefused(await post(form, { headers }), 400, /Content-Type/);
    }
    assertRefused(await post(`topic=t&${form}`, { headers: "" }), 400, /Content-Type/);
    const publisher = `${FORM}X-Ballerina-Publisher: \xff\r\n`;
    assertRefused(await post(form, { headers: publisher }), 400, /^x-ballerina-publisher must be/);
  });

  const start = `POST /hub?hub.mode=publish&hub.topic=t HTTP/1.1\r\nHost: h\r\n`;

  it("refuses a Content-Length of 2 GB at once, with 413", async () => {
    const answer = await exchangeRaw(port, `${start}Content-Length: 2147483648\r\n\r\nabc`);
    assertRefused(answer, 413, /longer than 1000000 bytes/);
    const absurd = await exchangeRaw(port, `${start}Content-Length: ${"9".repeat(30)}\r\n\r\nabc`);
    assert.ok(absurd.status >= 400 && absurd.status < 500, absurd.head);
  });

  it("refuses a form of over 64 KiB with 413, by its Content-Length before its bytes, and takes one of 64 KiB", async () => {
    const form = `POST /hub HTTP/1.1\r\nHost: h\r\n${FORM}`;
    assertRefused(await exchangeRaw(port, `${form}Content-Length: 65537\r\n\r\n`), 413, /longer than 65536 bytes/);
    const chunk = `10001\r\n${"\xff".repeat(0x10001)}\r\n`;
    const chunked = Buffer.from(`${form}Transfer-Encoding: chunked\r\n\r\n${chunk}`, "latin1");
    assertRefused(await exchangeRaw(port, chunked), 413, /hub\.mode and hub\.topic in the query/);
    assertRefused(await post("a".repeat(65_536)), 400, /^hub\.mode is missing/);
  });

  it("refuses a body that turns out too long, with 413, and keeps none of it", async () => {
    const flood = async (socket: Socket) => {
      socket.write(`${start}Transfer-Encoding: chunked\r\n\r\n`);
      const chunk = Buffer.concat([Buffer.from("10000\r\n"), Buffer.alloc(0x10000, "x"), Buffer.from("\r\n")]);
      for (let sent = 0; sent < 300_000_000 && socket.writable; sent += chunk.length) {
        if (!socket.write(chunk)) {
          await new Promise((resolve) => {
            socket.once("drain", resolve);
            socket.once("close", resolve);
          });
        }
      }
    };
    const answer = await exchangeRaw(port, flood, { deadlineMs: 20_000 });
    assertRefused(answer, 413, /longer than 1000000 bytes/);
  });

  it("refuses chunks that lie", async () => {
    const chunked = `${start}Transfer-Encoding: chunked\r\n\r\n`;
    for (
      const body of [
        "5\r\nabc\r\n0\r\n\r\nxxxx",
        "-1\r\n",
        "ffffffffffffffffff\r\n",
        "3\nabc\n0\n\n",
        "3;\0\r\nabc\r\n",
      ]
    ) {
      const answer = await exchangeRaw(port, `${chunked}${body}`);
      assert.ok(answer.status >= 400 && answer.status < 500, JSON.stringify([body, answer]));
      assert.match(answer.body, /\w+ \w+.*\.\n/);
    }
  });

  it("refuses a message framed in two ways, which could smuggle another", async () => {
    const FRAMES: [number, string][] = [
      [400, "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: h\r\n\r\n"],
      [501, "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: h\r\n\r\n"],
      [400, "Content-Length: 3\r\nContent-Length: 30\r\n\r\nabc"],
    ];
    for (const [status, frame] of FRAMES) {
      const answer = await exchangeRaw(port, `${start}${frame}`);
      assert.equal(answer.status, status, JSON.stringify([frame, answer]));
      assert.doesNotMatch(answer.body, /tidings_/);
    }
  });

  it("refuses header bombs with 431", async () => {
    const BOMBS = [
      `X: ${"y".repeat(1_000_000)}\r\n`,
      "X: y\r\n".repeat(100_000),
      `${"Z".repeat(50_000)}: y\r\n`,
      `Cookie: ${"a=b; ".repeat(20_000)}\r\n`,
    ];
    for (const bomb of BOMBS) {
      assertRefused(
        await exchangeRaw(port, `${start}${bomb}\r\n`),
        431,
        /headers together must be at most 32768 bytes/,
      );
    }
  });

  it("drops a client that leaves in the middle, and goes on", async () => {
    for (
      const part of [
        "POST",
        start,
        `${start}Content-Length: 10\r\n\r\nabc`,
        `${start}Transfer-Encoding: chunked\r\n\r\n5\r\na`,
      ]
    ) {
      const leave = (socket: Socket) => void socket.write(part, () => socket.destroy());
      assert.equal((await exchangeRaw(port, leave)).status, 0);
    }
    assert.equal((await call(`http://127.0.0.1:${port}/healthz`)).status, 200);
  });

  it("survives 500 clients at once that never end their bodies, with bounded memory", async () => {
    const sockets: Socket[] = [];
    const begin = (socket: Socket) => {
      sockets.push(socket);
      socket.write(`${start}Content-Length: 900000\r\n\r\n${"x".repeat(50_000)}`);
    };
    const waiting = Array.from({ length: 500 }, () => exchangeRaw(port, begin, { deadlineMs: 60_000 }));
    await eventually("500 connections", () => sockets.length === 500);
    const reply = await call(`http://127.0.0.1:${port}/hub?hub.mode=publish&hub.topic=t`, { body: "x" });
    assert.equal(reply.status, 200);
    for (const socket of sockets) socket.destroy();
    await Promise.all(waiting);
    const metrics = await call(`${operatingUrl}/metrics`);
    const resident = Number(/^tidings_process_resident_memory_bytes\{[^}]*\} (\S+)$/m.exec(metrics.text)?.[1]);
    assert.ok(resident > 0 && resident < MEMORY_BOUND, `${resident} bytes`);
  });

  it("has passed only complete requests on to the core", () => {
    assert.deepEqual(core.operations, []);
    assert.deepEqual(core.contents.map(({ body }) => body.toString()), ["x"]);
  });
});
