import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { RefusalCode } from "../../shared/core-api.ts";
import { headerBytes, MESSAGE_HEAD_MAX_BYTES } from "../../shared/request-head.ts";
import { openCallbackServer } from "../support/servers/callback-server.ts";
import { PROCESS_MEMORY } from "../../edge/limits/memory.ts";
import { openEdge } from "../support/rigs/edge.ts";
import type { OwnEdge } from "../support/rigs/edge.ts";
import { openFakeCore, refusal } from "../support/rigs/fake-core.ts";
import type { FakeCore } from "../support/rigs/fake-core.ts";
import { exchangeRaw } from "../support/servers/raw-http.ts";
import { eventually } from "../support/eventually.ts";
import { decodeForm, encodeForm } from "../support/form.ts";
import type { Parameters } from "../support/form.ts";
import { freePort } from "../support/free-port.ts";
import { call } from "../support/servers/http.ts";
import type { CallOptions, Reply } from "../support/servers/http.ts";
import { requesterIdOf } from "../../shared/shares/requester.ts";

const FORM = "application/x-www-form-urlencoded";

describe("the edge", () => {
  let core: FakeCore;
  let edge: OwnEdge;
  before(async () => {
    core = await openFakeCore();
    edge = await openEdge([core.origin], { messageMaxBytes: 100_000, compactJson: ["compact"] });
  });
  after(async () => {
    await edge.close();
    await core.close();
  });

  const to = (path: string, options?: CallOptions) => call(`${edge.url}${path}`, options);
  const form = (parameters: Parameters, headers: Record<string, string> = {}) =>
    to("/hub", { body: encodeForm(parameters), headers: { "content-type": FORM, ...headers } });
  const publish = (topic: string, options: CallOptions) =>
    to(`/hub?${encodeForm({ "hub.mode": "publish", "hub.topic": topic })}`, options);
  const accepted = (reply: Reply, status: number) => {
    assert.deepEqual([reply.status, reply.headers["content-type"], reply.text], [status, FORM, "hub.mode=accepted"]);
  };
  /** Until the end of `act`, the core answers everything like this. */
  async function refusing<T>(status: number, code: RefusalCode, act: () => Promise<T>): Promise<T> {
    const answer = refusal(status, code, "The reason: é & more.");
    core.onOperation = core.onContent = () => answer;
    core.onStatus = () => answer;
    try {
      return await act();
    } finally {
      core.onOperation = core.onContent = () => null;
    }
  }

  describe("WIRE §1 answers", () => {
    it("content is 200 with the message id", async () => {
      const reply = await publish("a/b", { body: "x", headers: { "content-type": "text/x" } });
      accepted(reply, 200);
      assert.equal(reply.headers["webhook-id"], core.contents.at(-1)?.id);
      assert.match(core.contents.at(-1)?.id ?? "", /^msg_[\w-]{22}$/);
    });

    it("a form ping is 204 without a body, one in the query 200", async () => {
      const quiet = await form({ "hub.mode": "publish", "hub.url": "http://t.example/" });
      assert.deepEqual([quiet.status, quiet.text], [204, ""]);
      const query = encodeForm({ "hub.mode": "publish", "hub.topic": "http://t.example/" });
      accepted(await to(`/hub?${query}`, { method: "POST" }), 200);
      const ping = core.operations.at(-1);
      assert.deepEqual(ping?.kind === "ping" && ping.topics, ["http://t.example/"]);
    });

    it("register and deregister are 200, subscribe and unsubscribe 202", async () => {
      for (const mode of ["register", "deregister", "unregister"]) {
        accepted(await form({ "hub.mode": mode, "hub.topic": "t" }), 200);
      }
      const { kind } = core.operations.at(-1)!;
      assert.equal(kind, "deregister");
      await using callbacks = await openCallbackServer();
      for (const mode of ["subscribe", "unsubscribe"]) {
        const callback = callbacks.callback();
        accepted(await form({ "hub.mode": mode, "hub.topic": "t", "hub.callback": callback.url }), 202);
        await callback.challenged();
      }
    });

    it("the core's refusals become 400, 404, 413, 429 and 503, never a 2xx", async () => {
      const requests = [
        () => publish("t", { body: "x" }),
        () => form({ "hub.mode": "register", "hub.topic": "t" }),
        () => form({ "hub.mode": "subscribe", "hub.topic": "t", "hub.callback": "http://127.0.0.1:9999/" }),
        () => form({ "hub.mode": "publish", "hub.topic": "http://t.example/" }),
      ];
      for (const send of requests) {
        const denied = await refusing(404, "not_found", send);
        assert.equal(denied.status, 404);
        assert.equal(denied.headers["content-type"], FORM);
        assert.deepEqual(decodeForm(denied.text), [["hub.mode", "denied"], ["hub.reason", "The reason: é & more."]]);
        for (const [code, status] of [["invalid_request", 400], ["too_large", 413], ["too_many", 429]] as const) {
          const reply = await refusing(status, code, send);
          assert.deepEqual([reply.status, reply.text], [status, "The reason: é & more.\n"]);
          assert.match(reply.headers["content-type"] ?? "", /^text\/plain/);
          assert.equal(reply.headers["retry-after"] !== undefined, status === 429);
        }
        const stale = await refusing(409, "stale_operation", send);
        assert.equal(stale.status, 503);
        assert.ok(Number(stale.headers["retry-after"]) > 0);
      }
    });

    it("a core that stays down is 503 with Retry-After, for everything that must be durable", async () => {
      // A clock that runs fast, so that patience is short.
      const client = { now: () => performance.now() * 100 };
      await using alone = await openEdge([`http://127.0.0.1:${await freePort()}`], { client });
      const send = (body: string, query = "") =>
        call(`${alone.url}/hub${query}`, { body, headers: { "content-type": FORM } });
      const replies = await Promise.all([
        send("x", "?hub.mode=publish&hub.topic=t"),
        send("hub.mode=register&hub.topic=t"),
        send("hub.mode=publish&hub.url=http://t.example/"),
        send("hub.mode=subscribe&hub.topic=t&hub.callback=http://127.0.0.1:9999/"),
        call(`${alone.url}/subscriptions?topic=t&callback=c`),
      ]);
      for (const reply of replies) {
        assert.equal(reply.status, 503);
        assert.ok(Number(reply.headers["retry-after"]) > 0);
        assert.match(reply.text, /(?:send it|ask) again a little later/);
      }
      assert.equal((await call(`${alone.url}/healthz`)).status, 200);
      assert.equal((await call(`${alone.url}/readyz`)).status, 503);
      const actuator = await call(`${alone.url}/hub/actuator/health`);
      assert.deepEqual([actuator.status, actuator.text], [503, '{"status":"DOWN"}']);
    });

    it("too many long bodies at once are 503 with Retry-After, and those that came before them go on", async () => {
      const memory = { ...PROCESS_MEMORY, bodiesBytes: 4_000_000 };
      await using large = await openEdge([core.origin], { memory, bodyPatience: { roomWithinMs: 100 } });
      const head = "POST /hub?hub.mode=publish&hub.topic=t HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n";
      const begun = Array.from(
        { length: 2 },
        () => exchangeRaw(large.port, `${head}${"x".repeat(999_999)}`, { deadlineMs: 1_000 }),
      );
      const long = () => call(`${large.url}/hub?hub.mode=publish&hub.topic=t`, { body: "x".repeat(60_000) });
      const reply = await eventually("a refusal", async () => {
        const answer = await long();
        return answer.status === 503 && answer;
      });
      assert.match(reply.text, /^Too many long request bodies at once/);
      assert.ok(Number(reply.headers["retry-after"]) > 0);
      assert.equal((await call(`${large.url}/hub?hub.mode=publish&hub.topic=t`, { body: "short" })).status, 200);
      assert.deepEqual((await Promise.all(begun)).map(({ status }) => status), [0, 0]);
      // They went away: their room is free again.
      await eventually("room", async () => (await long()).status === 200);
    });

    it("H26 a subscribe is answered before its callback is", async () => {
      await using callbacks = await openCallbackServer();
      const callback = callbacks.callback();
      callback.onChallenge = () => {};
      const reply = await form({ "hub.mode": "subscribe", "hub.topic": "t", "hub.callback": callback.url });
      accepted(reply, 202);
      assert.ok(reply.elapsedMs < 1_000);
    });
  });

  describe("WIRE §2 an intent", () => {
    it("reaches the core whole, and then its result", async () => {
      await using callbacks = await openCallbackServer();
      const callback = callbacks.callback({ query: "a=%20+" });
      const before = core.operations.length;
      await form({
        "hub.mode": "subscribe",
        "hub.topic": "t é",
        "hub.callback": callback.url,
        "hub.lease_seconds": "60",
        "hub.secret": "s é",
        "hub.verify_token": "v",
        "hub.concurrency": "2",
        "hub.start": "earliest",
      });
      await callback.challenged();
      const [intent] = core.operations.slice(before);
      const { id, madeAt, ...rest } = intent!;
      assert.ok(Math.abs(Date.now() - madeAt) < 10_000);
      assert.deepEqual(rest, {
        kind: "intent",
        mode: "subscribe",
        topic: "t é",
        callback: callback.url,
        leaseMs: 60_000,
        secret: "s é",
        verifyToken: "v",
        concurrency: 2,
        start: "earliest",
        requester: await requesterIdOf("127.0.0.1"),
      });
      const results = () => core.operations.slice(before).filter((operation) => operation.kind === "result");
      const [result] = await core.result().then(results);
      assert.ok(result?.kind === "result" && result.intent === id && result.verified);
    });

    it("is not verified where the core says that it does so, or has denied it", async () => {
      await using callbacks = await openCallbackServer();
      const [left, verified] = [callbacks.callback(), callbacks.callback()];
      core.onOperation = () => ({ status: 200, body: { kind: "intent", offset: 1, verify: false } });
      accepted(await form({ "hub.mode": "subscribe", "hub.topic": "t", "hub.callback": left.url }), 202);
      core.onOperation = () => null;
      await form({ "hub.mode": "subscribe", "hub.topic": "t", "hub.callback": verified.url });
      await verified.challenged();
      assert.equal(left.requests.length, 0);
    });
  });

  describe("WIRE §1 Idempotency-Key", () => {
    it("goes to the core with content as it came, of 1 to 255 visible ASCII characters", async () => {
      for (const key of ["k", '!~"%41', "x".repeat(255)]) {
        accepted(await publish("t", { body: "x", headers: { "idempotency-key": key } }), 200);
        assert.equal(core.contents.at(-1)?.key, key);
      }
      await publish("t", { body: "x" });
      assert.equal(core.contents.at(-1)?.key, null);
    });

    it("is 400 with a sentence that names it if it is anything else, and nothing is stored", async () => {
      const before = core.contents.length;
      for (const key of ["", "a b", "x".repeat(256), "\u00e9", "a\tb"]) {
        const reply = await publish("t", { body: "x", headers: { "idempotency-key": key } });
        assert.equal(reply.status, 400, key);
        assert.match(reply.text, /Idempotency-Key/);
      }
      assert.equal(core.contents.length, before);
    });

    it("means nothing to a ping", async () => {
      const reply = await form({ "hub.mode": "publish", "hub.url": "http://t.example/" }, { "idempotency-key": "a b" });
      assert.equal(reply.status, 204, reply.text);
    });

    it("with another body is 422 as the core says", async () => {
      const reply = await refusing(
        422,
        "conflict",
        () => publish("t", { body: "x", headers: { "idempotency-key": "k" } }),
      );
      assert.equal(reply.status, 422);
      assert.equal(reply.text, "The reason: é & more.\n");
    });
  });

  describe("WIRE §3 what travels with content", () => {
    it("is the bytes and the Content-Type, untouched", async () => {
      const body = Buffer.from([0xff, 0, 13, 10, 0xc3, 0x28]);
      await publish("t", { body, headers: { "content-type": 'Application/X;  Q="é\u00ff" ;;' } });
      const stored = core.contents.at(-1)!;
      assert.deepEqual(stored.body, body);
      assert.equal(stored.contentType, 'Application/X;  Q="é\u00ff" ;;');
      await publish("t", { body });
      assert.equal(core.contents.at(-1)?.contentType, "application/octet-stream");
      await publish("t", { body, headers: { "content-type": "" } });
      assert.equal(core.contents.at(-1)?.contentType, "application/octet-stream");
    });

    it("is an allow-list of headers, and no credentials", async () => {
      const travels = {
        "ce-id": "é",
        "CE-Type": "t",
        "content-language": "de",
        "content-encoding": "gzip",
        "X-Hub-MessageId": "m",
        "tracestate": "a=b",
      };
      const stays = { authorization: "Bearer x", cookie: "a=b", te: "trailers", "x-own": "1", "accept": "*/*" };
      // As bytes: node:http would write the headers as UTF-8 beside a text.
      await publish("t", { body: Buffer.from("x"), headers: { ...travels, ...stays } });
      const expected = Object.entries(travels).map(([name, value]) => [name.toLowerCase(), value]);
      assert.deepEqual(core.contents.at(-1)?.headers, Object.fromEntries(expected));
      await publish("t", { body: "x", headers: stays });
      assert.equal(core.contents.at(-1)?.headers, null);
    });

    it("is at most 5 KiB of type, headers and topic, else 400 with a sentence that names the longest", async () => {
      await using roomy = await openEdge([core.origin], { server: { maxHeaderBytes: 64_000 } });
      const send = (headers: Record<string, string>, topic = "t") =>
        call(`${roomy.url}/hub?hub.mode=publish&hub.topic=${topic}`, { body: "x", headers });
      const base = "t".length + headerBytes("content-type", "a/b");
      const most = MESSAGE_HEAD_MAX_BYTES - base - headerBytes("ce-x", "");
      const type = { "content-type": "a/b" };
      // The worst case of what the core's server must take: every byte escaped twice.
      assert.equal((await send({ ...type, "ce-x": '"'.repeat(most) })).status, 200);
      const one = await send({ ...type, "ce-x": '"'.repeat(most + 1) });
      assert.equal(one.status, 400);
      assert.match(one.text, /ce-x takes 510\d bytes.*may take 5120 together, and take 5121/);
      assert.equal((await send({ ...type, "ce-x": "x".repeat(most) }, "tt")).status, 400, "the topic counts");
      for (const name of ["content-language", "content-encoding", "tracestate", "x-hub-messageid", "ce-type"]) {
        const reply = await send({ ...type, [name]: "y".repeat(16_000) });
        assert.equal(reply.status, 400, name);
        assert.match(reply.text, new RegExp(`${name} takes 160\\d\\d bytes`));
      }
      const long = await send({ "content-type": `application/json;x=${"y".repeat(17_000)}` });
      assert.equal(long.status, 400);
      assert.match(long.text, /Content-Type takes 170\d\d bytes/);
      const many = Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`ce-n${n}`, "x".repeat(100)]));
      assert.equal((await send(many)).status, 400, "many short ones");
      const short = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`ce-n${n}`, "x"]));
      assert.equal((await send({ ...type, ...short(62) })).status, 200);
      const numerous = await send({ ...type, ...short(63) });
      assert.equal(numerous.status, 400);
      assert.match(numerous.text, /63 headers are to travel with the message; send at most 62/);
    });

    it("is the publisher's trace, or a new one", async () => {
      const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
      await publish("t", { body: "x", headers: { traceparent } });
      assert.equal(core.contents.at(-1)?.traceparent, traceparent);
      await publish("t", { body: "x", headers: { traceparent: "nonsense" } });
      assert.match(core.contents.at(-1)?.traceparent ?? "", /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
    });

    it("COMPACT_JSON takes the whitespace out of listed topics alone", async () => {
      const body = '{ "a b" : 1.0,\n"c" : " d\\" " }';
      await publish("compact", { body });
      assert.equal(core.contents.at(-1)?.body.toString(), '{"a b":1.0,"c":" d\\" "}');
      await publish("other", { body });
      assert.equal(core.contents.at(-1)?.body.toString(), body);
    });

    it("is at most MESSAGE_MAX_BYTES, else 413 naming the limit", async () => {
      assert.equal((await publish("t", { body: "x".repeat(100_000) })).status, 200);
      const reply = await publish("t", { body: "x".repeat(100_001) });
      assert.equal(reply.status, 413);
      assert.match(reply.text, /longer than 100000 bytes/);
      await using tiny = await openEdge([core.origin], { messageMaxBytes: 10 });
      const send = (body: string, query: string) =>
        call(`${tiny.url}/hub${query}`, { body, headers: { "content-type": FORM } });
      assert.equal((await send("x".repeat(11), "?hub.mode=publish&hub.topic=t")).status, 413);
      accepted(await send("hub.mode=register&hub.topic=t", ""), 200);
    });
  });

  describe("WIRE §1 and §8 paths and methods", () => {
    it("has one hub at /hub and /, with or without a slash at the end", async () => {
      for (const path of ["/hub", "/hub/", "/", "//"]) {
        const reply = await to(path, { body: "hub.mode=register&hub.topic=t", headers: { "content-type": FORM } });
        accepted(reply, 200);
      }
    });

    it("answers GET and HEAD there 405 with Allow, as a page only where HTML is preferred", async () => {
      const PAGES = ["text/html", "text/html,application/xhtml+xml,*/*;q=0.8", "text/html;q=0.5, text/plain;q=0.4"];
      const SENTENCES = [
        "*/*",
        "text/plain",
        "text/*",
        "application/json",
        "text/html;q=0.5,text/plain",
        "text/html;q=0",
      ];
      for (const path of ["/", "/hub", "/hub/"]) {
        for (const accept of [...PAGES, ...SENTENCES]) {
          const reply = await to(path, { headers: { accept } });
          assert.deepEqual([reply.status, reply.headers.allow], [405, "POST, OPTIONS"]);
          const isPage = (reply.headers["content-type"] ?? "").startsWith("text/html");
          assert.equal(isPage, PAGES.includes(accept), accept);
        }
        const head = await to(path, { method: "HEAD" });
        assert.deepEqual([head.status, head.headers.allow, head.text], [405, "POST, OPTIONS", ""]);
      }
    });

    it("answers OPTIONS 204, other methods 405, unknown paths 404, and lets no other origin in", async () => {
      const options = await to("/hub", { method: "OPTIONS", headers: { origin: "https://x.example" } });
      assert.deepEqual([options.status, options.headers.allow], [204, "POST, OPTIONS"]);
      assert.ok(!Object.keys(options.headers).some((name) => name.startsWith("access-control")));
      for (const method of ["PUT", "DELETE", "PATCH", "PROPFIND"]) {
        assert.deepEqual([(await to("/", { method })).status, (await to("/hub/", { method })).status], [405, 405]);
      }
      for (const path of ["/nothing", "/hub/x", "/HUB", "/hub%2F", "/subscriptions/x"]) {
        const reply = await to(path);
        assert.equal(reply.status, 404, path);
        assert.match(reply.headers["content-type"] ?? "", /^text\/plain/);
      }
    });

    it("answers operators", async () => {
      for (const path of ["/healthz", "/readyz", "/healthz/"]) assert.equal((await to(path)).status, 200);
      const actuator = await to("/hub/actuator/health");
      assert.deepEqual([actuator.status, actuator.text], [200, '{"status":"UP"}']);
      assert.match(
        await edge.metrics(),
        /^tidings_requests_total\{operation="content",status="200",tier="edge"\} \d+$/m,
      );
      assert.equal((await to("/healthz", { method: "POST" })).status, 405);
      assert.equal((await to("/metrics")).status, 404);
    });
  });

  describe("WIRE §5 GET /subscriptions", () => {
    it("is the core's answer for the pair as it was asked", async () => {
      core.onStatus = (topic, callback) => ({ status: 200, body: { topic, callback, state: "active" } });
      const query = encodeForm({ topic: "t é&", callback: "http://c.example/?a=%20+" });
      const reply = await to(`/subscriptions/?${query}`);
      assert.equal(reply.status, 200);
      assert.equal(reply.headers["content-type"], "application/json");
      assert.deepEqual(JSON.parse(reply.text), {
        topic: "t é&",
        callback: "http://c.example/?a=%20+",
        state: "active",
      });
    });

    it("is 404 for a pair never known, and 400 with the name of what is wrong", async () => {
      const unknown = await refusing(404, "not_found", () => to("/subscriptions?topic=t&callback=c"));
      assert.equal(unknown.status, 404);
      assert.match(unknown.headers["content-type"] ?? "", /^text\/plain/);
      const WRONG = [
        ["", /^topic is missing/],
        ["?callback=c", /^topic is missing/],
        ["?topic=&callback=c", /^topic is empty/],
        ["?topic=t", /^callback is missing/],
        ["?topic=t&callback=", /^callback is missing/],
        ["?topic=%ff&callback=c", /topic.* is not percent-encoded/],
        [`?topic=t&callback=${"c".repeat(2_049)}`, /^callback is longer/],
      ] as const;
      for (const [query, sentence] of WRONG) {
        const reply = await to(`/subscriptions${query}`);
        assert.equal(reply.status, 400, query);
        assert.match(reply.text, sentence);
      }
      assert.equal((await to("/subscriptions", { method: "POST" })).status, 405);
    });
  });
});
