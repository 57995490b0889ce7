// Pings turned into messages, with a real site, the real outbound client and a real log.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import type { Fetched, TopicRecord } from "../../../core/state/records.ts";
import { type Message, toMessage } from "../../../core/messages/message.ts";
import { openLibsqlLog } from "../../../core/log/libsql/libsql-log.ts";
import { type Log, LogError } from "../../../core/log/log.ts";
import { FETCH_BOUNDS } from "../../../core/effects/fetch-places.ts";
import { createTopicFetcher } from "../../../core/effects/topic-fetcher.ts";
import { createCompact } from "../../../shared/compact-json.ts";
import { createOutboundGuard } from "../../../shared/outbound/guard.ts";
import type { Outbound } from "../../../shared/outbound/outbound.ts";
import { createOutbound } from "../../../shared/runtime/outbound.ts";
import { topicIdOf } from "../../../core/state/ids.ts";
import { answer, cut, hang, script } from "../../support/servers/answers.ts";
import { eventually, pause } from "../../support/eventually.ts";
import type { Responder } from "../../support/servers/recording-server.ts";
import { openTopicServer, type Topic, type TopicServer } from "../../support/servers/topic-server.ts";

const HUB = "http://hub.example/hub";
const TRACE = "00-11111111111111111111111111111111-2222222222222222-00";
const MAX_BYTES = 100_000;

describe("fetching a topic after a ping (WIRE §3)", () => {
  let directory: string;
  let log: Log;
  let site: TopicServer;
  let outbound: Outbound;
  const stopping = new AbortController();
  let pings = 0;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "tidings-fetch-"));
    log = await openLibsqlLog({
      directory,
      retentionMs: 1e9,
      maxMessageBytes: MAX_BYTES,
      onFatal: (error) => assert.fail(error),
    });
    site = await openTopicServer(HUB);
    outbound = createOutbound({ guard: createOutboundGuard(["127.0.0.0/8"]), userAgent: "tidings/test" });
  });
  after(async () => {
    stopping.abort();
    await outbound.close();
    await site.close();
    await log.close();
    await rm(directory, { recursive: true, force: true });
  });

  const fetcherOf = (more: { log?: Log; outbound?: Outbound; signal?: AbortSignal } = {}) =>
    createTopicFetcher({
      log,
      outbound,
      hubUrl: HUB,
      maxBytes: MAX_BYTES,
      compact: createCompact([`${site.origin}/compact/*`]),
      traceparent: () => TRACE,
      signal: stopping.signal,
      ...more,
    });

  function recordOf(url: string, fetched?: Fetched): TopicRecord {
    const ping = ++pings;
    const owed = { ping, since: Date.now() };
    return {
      topic: url,
      version: ping,
      start: 0,
      operations: [],
      fetchOwed: owed,
      ...(fetched === undefined ? {} : { fetched }),
    };
  }

  /** Fetches for one ping; failed tries are repeated at once. */
  async function fetchOnce(topic: Topic, fetched?: Fetched, fetcher = fetcherOf()): Promise<Fetched | undefined> {
    const record = recordOf(topic.url, fetched);
    return await new Promise((resolve) => {
      const id = topicIdOf(topic.url);
      const hurrying = setInterval(() => fetcher.hurry(id, record), 10);
      fetcher.fetch(id, record, (ping, found) => {
        clearInterval(hurrying);
        assert.equal(ping, record.fetchOwed!.ping);
        resolve(found);
      });
    });
  }

  async function messagesOf(topic: Topic): Promise<Message[]> {
    const keys = new Set([topicIdOf(topic.url)]);
    const { records } = await log.read("messages", 0, 0, { maxBytes: 1e9, keys });
    return records.map(toMessage);
  }

  it("H47, H49, H50 appends the same bytes with the same Content-Type, and asks for any type", async () => {
    const topic = site.topic();
    const body = Buffer.from([0, 255, 128, 10, 13]);
    topic.serve({ body, contentType: "image/png; x=y" });
    await fetchOnce(topic);
    const [message] = await messagesOf(topic);
    assert.deepEqual(message!.body, body);
    assert.equal(message!.contentType, "image/png; x=y");
    assert.equal(message!.traceparent, TRACE);
    assert.match(message!.id, /^msg_[A-Za-z0-9_-]{22}$/);
    const { method, headers } = topic.fetches[0]!;
    assert.equal(method, "GET");
    assert.equal(headers.accept, "*/*");
    assert.equal(headers["if-none-match"], undefined);
  });

  it("H50 appends a compressed document decoded; one in an unknown encoding as it is, with the encoding's name", async () => {
    const topic = site.topic();
    topic.serve({ body: gzipSync("hello"), headers: { "content-encoding": "gzip" } });
    await fetchOnce(topic);
    topic.serve({ body: "squeezed", headers: { "content-encoding": "x-own" } });
    await fetchOnce(topic);
    const [plain, squeezed] = await messagesOf(topic);
    assert.deepEqual([plain!.body.toString(), plain!.extra], ["hello", []]);
    assert.deepEqual([squeezed!.body.toString(), squeezed!.extra], ["squeezed", ["content-encoding", "x-own"]]);
  });

  it("WIRE §3 leaves out links that no subscriber would take, and fails for a type or a coding that is too long", async () => {
    const topic = site.topic();
    const hubs = Array.from({ length: 1_000 }, (_, n) => `<https://hub${n}.example/>; rel="hub"`).join(", ");
    topic.serve({ body: "one", contentType: "text/plain", headers: { link: hubs } });
    await fetchOnce(topic);
    const [{ link = "", extra }] = await messagesOf(topic) as [Message];
    assert.ok(link.length > 4_000 && link.length < 5_120, `${link.length}`);
    assert.deepEqual(extra, []);
    topic.serve({ body: "two", contentType: `text/plain;x=${"y".repeat(6_000)}` });
    assert.equal(await fetchOnce(topic), undefined, "given up at once");
    topic.serve({
      body: "three",
      contentType: "text/plain",
      headers: { "content-encoding": `x-${"y".repeat(6_000)}` },
    });
    assert.equal(await fetchOnce(topic), undefined, "given up at once");
    assert.equal((await messagesOf(topic)).length, 1);
  });

  it("WIRE §1 JSON of a topic that COMPACT_JSON lists loses its whitespace, and is unchanged if only that changed", async () => {
    const topic = site.topic({ path: "/compact/feed" });
    topic.serve({ body: '{ "a" : 1 }\r\n', contentType: "application/json" });
    const fetched = await fetchOnce(topic);
    topic.serve({ body: '{"a":1}\n', contentType: "application/json" });
    assert.deepEqual(await fetchOnce(topic, fetched), fetched);
    topic.serve({ body: gzipSync(" [ ] "), headers: { "content-encoding": "gzip" } });
    await fetchOnce(topic, fetched);
    topic.serve({ body: " [ ] ", headers: { "content-encoding": "x-own" } });
    await fetchOnce(topic, fetched);
    assert.deepEqual((await messagesOf(topic)).map(({ body }) => body.toString()), ['{"a":1}', "[]", " [ ] "]);
  });

  it("H49 a Content-Type beyond ASCII is the same bytes", async () => {
    const topic = site.topic();
    topic.serve({ body: "x", contentType: Buffer.from("text/plain; name=日").toString("latin1") });
    await fetchOnce(topic);
    assert.equal(Buffer.from((await messagesOf(topic))[0]!.contentType, "latin1").toString(), "text/plain; name=日");
  });

  it("a document without Content-Type, or with an empty one, is application/octet-stream", async () => {
    for (const headers of [{}, { "content-type": "" }]) {
      const topic = site.topic();
      topic.respond(answer(200, "x", headers));
      await fetchOnce(topic);
      assert.equal((await messagesOf(topic))[0]!.contentType, "application/octet-stream");
    }
  });

  const EMPTY: readonly (readonly [what: string, responder: Responder])[] = [
    ["a 204", answer(204)],
    ["a 205", answer(205)],
    ["an empty 200", answer(200, "", { "content-type": "text/html" })],
    ["an empty 200 with an etag of its own", answer(200, "", { etag: '"empty"' })],
    ["an empty 203", answer(203)],
    ["an answer as to a HEAD", (_request, response) => void response.writeHead(204, { "content-type": "a/b" }).end()],
    ["an empty document that is packed", answer(200, gzipSync(""), { "content-encoding": "gzip" })],
    ["no bytes at all that are said to be packed", answer(200, "", { "content-encoding": "gzip" })],
  ];
  for (const [what, responder] of EMPTY) {
    it(`${what} brings no message, and the document that was there is not delivered again`, async () => {
      const topic = site.topic();
      topic.respond(responder);
      assert.equal(await fetchOnce(topic), undefined);
      assert.equal(topic.fetches.length, 1);
      topic.serve({ body: "one", headers: { etag: '"v1"' } });
      const fetched = await fetchOnce(topic);
      topic.respond(responder);
      assert.deepEqual(await fetchOnce(topic, fetched), fetched);
      topic.serve({ body: "one", headers: { etag: '"v1"' } });
      await fetchOnce(topic, fetched);
      assert.deepEqual((await messagesOf(topic)).map(({ body }) => body.toString()), ["one"]);
    });
  }

  it("asks conditionally, and a 304 brings no message", async () => {
    const topic = site.topic();
    const headers = { "etag": '"v1"', "last-modified": "Thu, 01 Jan 2026 00:00:00 GMT" };
    topic.serve({ body: "one", headers });
    const fetched = await fetchOnce(topic);
    assert.deepEqual({ etag: fetched!.etag, lastModified: fetched!.lastModified }, {
      etag: '"v1"',
      lastModified: headers["last-modified"],
    });
    topic.respond(answer(304));
    assert.deepEqual(await fetchOnce(topic, fetched), fetched);
    const again = topic.fetches.at(-1)!.headers;
    assert.equal(again["if-none-match"], '"v1"');
    assert.equal(again["if-modified-since"], headers["last-modified"]);
    assert.equal((await messagesOf(topic)).length, 1);
  });

  it("unchanged bytes bring no message; another type, or other bytes, do", async () => {
    const topic = site.topic();
    topic.serve({ body: "one", contentType: "text/plain" });
    let fetched = await fetchOnce(topic);
    fetched = await fetchOnce(topic, fetched);
    assert.equal((await messagesOf(topic)).length, 1);
    topic.serve({ body: "one", contentType: "text/html" });
    fetched = await fetchOnce(topic, fetched);
    topic.serve({ body: "two", contentType: "text/html" });
    await fetchOnce(topic, fetched);
    assert.deepEqual((await messagesOf(topic)).map(({ body }) => body.toString()), ["one", "one", "two"]);
  });

  it("a validator that cannot be sent back is forgotten", async () => {
    for (const etag of ["\xe9", "x".repeat(2_000)]) {
      const topic = site.topic();
      topic.serve({ body: "one", headers: { etag } });
      assert.equal((await fetchOnce(topic))!.etag, undefined);
    }
  });

  it("the same ping and bytes are the same message, also if another process fetches them again", async () => {
    const topic = site.topic();
    topic.serve({ body: "one" });
    const record = recordOf(topic.url);
    for (let times = 0; times < 2; times++) {
      await new Promise((resolve) => fetcherOf().fetch(topicIdOf(topic.url), record, resolve));
    }
    await fetchOnce(topic);
    const [first, second, third] = (await messagesOf(topic)).map(({ id }) => id);
    assert.equal(first, second);
    assert.notEqual(first, third);
  });

  it("H46 follows at most three redirects", async () => {
    const target = site.topic();
    target.serve({ body: "moved" });
    const hop = (to: string) => {
      const topic = site.topic();
      topic.respond(answer(302, "", { location: to }));
      return topic;
    };
    const one = hop(target.url);
    const three = hop(hop(one.url).url);
    const four = hop(three.url);
    assert.ok(await fetchOnce(three));
    assert.equal((await messagesOf(three))[0]!.body.toString(), "moved");
    assert.equal(await fetchOnce(four), undefined);
    assert.deepEqual(await messagesOf(four), []);
  });

  it("H52, H53 delivers with the links that the topic advertises, relative ones from where it was found", async () => {
    const topic = site.topic({ path: "/deep/feed" });
    const self = Buffer.from("self-ü").toString("latin1");
    topic.serve({ body: "x", headers: { link: `<https://h.example/>; rel="hub", <${self}>; rel="self"` } });
    await fetchOnce(topic);
    const expected = `<https://h.example/>; rel="hub", <${site.origin}/deep/self-%C3%BC>; rel="self"`;
    assert.equal((await messagesOf(topic))[0]!.link, expected);
  });

  it("H52, H53 finds the links in the document, and leaves the Link header to the lane if there are none", async () => {
    const html = site.topic();
    html.respond(
      answer(200, '<link rel=hub href="https://h.example/"><link rel=self href="/s">', { "content-type": "text/html" }),
    );
    await fetchOnce(html);
    const expected = `<https://h.example/>; rel="hub", <${site.origin}/s>; rel="self"`;
    assert.equal((await messagesOf(html))[0]!.link, expected);
    const bare = site.topic();
    bare.respond(answer(200, "x", { "content-type": "text/plain" }));
    await fetchOnce(bare);
    assert.equal((await messagesOf(bare))[0]!.link, undefined);
  });

  it("tries 5 times if another try may succeed, then gives up", async () => {
    for (const responder of [answer(500), answer(503), answer(429), cut()]) {
      const topic = site.topic();
      topic.respond(responder);
      assert.equal(await fetchOnce(topic), undefined);
      assert.equal(topic.fetches.length, 5);
    }
    const topic = site.topic();
    topic.respond(script(answer(500), cut(), answer(200, "late")));
    assert.ok(await fetchOnce(topic));
    assert.equal((await messagesOf(topic))[0]!.body.toString(), "late");
  });

  it("tries once if no other try can succeed", async () => {
    for (
      const responder of [
        answer(206, "a part"),
        answer(404),
        answer(410),
        answer(403),
        answer(200, "x".repeat(MAX_BYTES + 1)),
      ]
    ) {
      const topic = site.topic();
      topic.respond(responder);
      assert.equal(await fetchOnce(topic), undefined);
      assert.equal(topic.fetches.length, 1);
      assert.deepEqual(await messagesOf(topic), []);
    }
    const forbidden = createOutbound({ guard: createOutboundGuard([]), userAgent: "tidings/test" });
    const topic = site.topic();
    assert.equal(await fetchOnce(topic, undefined, fetcherOf({ outbound: forbidden })), undefined);
    assert.equal(topic.fetches.length, 0);
    await forbidden.close();
  });

  it("a ping that comes during a try ends the pause after it", async () => {
    const topic = site.topic();
    const id = topicIdOf(topic.url);
    const fetcher = fetcherOf();
    const record = recordOf(topic.url);
    topic.respond((_request, response) => {
      if (topic.fetches.length === 1) fetcher.hurry(id, record);
      response.writeHead(topic.fetches.length === 1 ? 500 : 200).end("x");
    });
    const began = performance.now();
    await new Promise((resolve) => fetcher.fetch(id, record, resolve));
    assert.equal(topic.fetches.length, 2);
    assert.ok(performance.now() - began < 5_000);
  });

  it("the fetch is tried again if the log does not take the message", async () => {
    const topic = site.topic();
    topic.serve({ body: "one" });
    let refusals = 2;
    const unwilling: Log = {
      ...log,
      append: (...args) => refusals-- > 0 ? Promise.reject(new LogError("unavailable", "away")) : log.append(...args),
    };
    assert.ok(await fetchOnce(topic, undefined, fetcherOf({ log: unwilling })));
    assert.equal((await messagesOf(topic)).length, 1);
  });

  it("a fetch that the hub's stop interrupts stays owed", async () => {
    const topic = site.topic();
    topic.respond(hang());
    const stop = new AbortController();
    let done = 0;
    fetcherOf({ signal: stop.signal }).fetch(topicIdOf(topic.url), recordOf(topic.url), () => done++);
    await eventually("the request", () => topic.fetches.length === 1);
    stop.abort();
    await pause(50);
    assert.equal(done, 0);
  });

  it("§6.7 fetches are bounded, of each requester and per host: a hanging host does not hold up the others", async () => {
    const waiting = new Map<string, (() => void)[]>();
    let most = 0;
    let under = 0;
    const slow: Outbound = {
      supports: { pinning: true },
      call: async ({ url }) => {
        most = Math.max(most, ++under);
        await new Promise<void>((resolve) => {
          const key = new URL(url).host;
          waiting.set(key, [...waiting.get(key) ?? [], resolve]);
        });
        under--;
        return { kind: "failed", code: "too_large", reason: "x" };
      },
      close: () => Promise.resolve(),
    };
    const fetcher = fetcherOf({ outbound: slow });
    let done = 0;
    const fetch = (url: string) => fetcher.fetch(topicIdOf(url), recordOf(url), () => done++);
    for (let index = 0; index < 50; index++) fetch(`http://hangs.example/${index}`);
    await eventually("as many as one host may have", () => under === 8);
    for (let index = 0; index < 100; index++) fetch(`http://site${index}.example/`);
    await eventually("as many as one requester may have", () => under === FETCH_BOUNDS.of.new / 2);
    while (done < 100) {
      for (const [host, resolves] of waiting) {
        if (host !== "hangs.example") { for (const resolve of resolves.splice(0)) resolve(); }
      }
      await pause(1);
    }
    assert.equal(waiting.get("hangs.example")!.length, 8);
    while (done < 150) {
      for (const resolve of waiting.get("hangs.example")!.splice(0)) resolve();
      await pause(1);
    }
    assert.equal(most, FETCH_BOUNDS.of.new / 2);
  });

  it("remembers that a fetch was slow, and that one was not", async () => {
    const topic = site.topic();
    topic.serve({ body: "x" });
    const fetched = await fetchOnce(topic, { sha256: "old", slow: true });
    assert.equal(fetched?.slow, undefined);
  });
});
