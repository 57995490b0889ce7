import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ContentHead, openFrame } from "../../../shared/content-frame.ts";
import { CoreError } from "../../../edge/core/core-answers.ts";
import { retryPause } from "../../../edge/core/core-calls.ts";
import { createCoreClient } from "../../../edge/core/core-client.ts";
import type { CoreClient, CoreClientOptions } from "../../../edge/core/core-client.ts";
import { createSessions } from "../../../edge/core/session.ts";
import { makeEdgeKey } from "../../../shared/jwks.ts";
import { NODE_DIGESTS } from "../../../shared/runtime/digests.ts";
import { createHttpClient } from "../../../shared/runtime/http-client.ts";
import { HttpClientError } from "../../../shared/http-client.ts";
import type { HttpCall, HttpReply } from "../../../shared/http-client.ts";
import type { Sessions } from "../../../edge/core/session.ts";
import { openFakeCore, refusal } from "../../support/rigs/fake-core.ts";
import { openCoreClient } from "../../support/rigs/edge.ts";
import { freePort } from "../../support/free-port.ts";

const CONTENT = {
  topic: "t",
  client: null,
  key: null,
  contentType: "text/x",
  headers: null,
  traceparent: "tp",
  body: new Uint8Array([1, 2]),
};
const REPORT = {
  kind: "result",
  intent: "op_1",
  mode: "subscribe",
  topic: "t",
  callback: "c",
  verified: true,
} as const;

/** What is scripted here is not how requests are signed: test/core/face/door.test.ts shows that. */
const UNSIGNED: Sessions = {
  with: () =>
    Promise.resolve({
      sealer: { kid: "k", seal: () => Promise.resolve("sealed") },
      sign: (sent) => Promise.resolve(sent),
    }),
  forget: () => {},
};

/** A client on scripted replies (the last one stays) and a clock that only moves with them. */
function scripted(
  replies: readonly (HttpReply | "lost")[],
  { tryMs = 1, ...options }: Partial<CoreClientOptions> & { tryMs?: number } = {},
): { core: CoreClient; calls: HttpCall[]; pauses: number[]; elapsed: () => number } {
  let time = 50;
  const calls: HttpCall[] = [];
  const pauses: number[] = [];
  const core = createCoreClient({
    http: {
      send: async (call) => {
        calls.push(call);
        time += Math.min(tryMs, call.timeoutMs);
        const reply = replies[Math.min(calls.length, replies.length) - 1]!;
        if (reply === "lost") throw new HttpClientError("lost");
        return reply;
      },
      stream: () => Promise.reject(new HttpClientError("not scripted")),
      close: async () => {},
    },
    sessions: UNSIGNED,
    origins: ["http://core"],
    clock: () => 1_000_000 + time,
    now: () => time,
    pause: async (ms) => {
      pauses.push(ms);
      time += ms;
    },
    random: () => 0.5,
    ...options,
  });
  return { core, calls, pauses, elapsed: () => time - 50 };
}

const reply = (status: number, body: unknown): HttpReply => ({
  status,
  body: new TextEncoder().encode(typeof body === "string" ? body : JSON.stringify(body)),
});
const DONE = reply(200, { kind: "done" });
const STORED = reply(200, { id: "msg_1", cursor: "c" });
const AWAY = reply(503, { code: "unavailable", message: "The log is away." });
const codeOf = (error: unknown) => error instanceof CoreError && error.code;
const bodyOf = (call: HttpCall | undefined) => JSON.parse(String(call?.body)) as Record<string, unknown>;

describe("A3.8 the edge's client of the core", () => {
  it("repeats an operation with the same id and time until it is answered", async () => {
    const { core, calls } = scripted([AWAY, "lost", reply(502, "<html>"), DONE]);
    const { id } = await core.operate({ kind: "register", topic: "t" });
    assert.equal(calls.length, 4);
    assert.equal(new Set(calls.map(({ body }) => body)).size, 1);
    assert.equal(bodyOf(calls[0])["id"], id);
    assert.equal(bodyOf(calls[0])["madeAt"], 1_000_050);
    assert.match(id, /^[A-Za-z0-9_-]{1,64}$/);
  });

  it("repeats content with the same id", async () => {
    const { core, calls } = scripted(["lost", STORED]);
    assert.deepEqual(await core.publish(CONTENT), { id: "msg_1", cursor: "c" });
    assert.equal(calls.length, 2);
    const [first, again] = calls.map(({ body }) => openFrame(body as Uint8Array)!);
    assert.deepEqual(first, again);
    assert.equal((again!.head as ContentHead).topic, CONTENT.topic);
    assert.deepEqual(again!.body, CONTENT.body);
  });

  it("gives each operation an id of its own", async () => {
    const { core } = scripted([DONE]);
    const ids = new Set<string>();
    for (let n = 0; n < 1_000; n++) ids.add((await core.operate({ kind: "ping", topics: ["t"] })).id);
    assert.equal(ids.size, 1_000);
  });

  it("keeps a client waiting for at most 10 s, however the core fails", async () => {
    for (const [failure, tryMs] of [[AWAY, 1], ["lost", 60_000]] as const) {
      const { core, elapsed, calls } = scripted([failure], { tryMs });
      assert.equal(await core.publish(CONTENT).catch(codeOf), "unavailable");
      assert.ok(elapsed() <= 10_000, `${elapsed()} ms`);
      assert.ok(calls.length > 1);
    }
  });

  it("repeats a result for up to 60 s, each time saying anew how long ago the challenge was sent", async () => {
    const { core, calls, elapsed } = scripted([AWAY], { tryMs: 10 });
    assert.equal(await core.report({ ...REPORT, challengedAt: 20 }).catch(codeOf), "unavailable");
    assert.ok(elapsed() > 55_000 && elapsed() <= 60_000, `${elapsed()} ms`);
    const ages = calls.map((call) => Number(bodyOf(call)["elapsedMs"]));
    assert.equal(ages[0], 30);
    assert.ok(ages.every((age, n) => n === 0 || age > ages[n - 1]!));
    assert.equal(new Set(calls.map((call) => bodyOf(call)["id"])).size, 1);
  });

  it("takes a refusal for the answer and does not repeat it", async () => {
    for (const [status, code] of [[400, "invalid_request"], [404, "not_found"], [429, "too_many"]] as const) {
      const { core, calls } = scripted([reply(status, { code, message: "m" }), DONE]);
      await assert.rejects(
        core.operate({ kind: "register", topic: "t" }),
        (error) => codeOf(error) === code && error instanceof Error && error.message === "m",
      );
      assert.equal(calls.length, 1);
    }
  });

  it("takes only a 200 of the core's own shape for done", async () => {
    const answers = [
      reply(204, ""),
      reply(201, { kind: "done" }),
      reply(404, "not here"),
      reply(200, "OK"),
      reply(200, {}),
    ];
    for (const other of [...answers, reply(302, ""), reply(200, { kind: "intent" }), reply(200, "null")]) {
      const { core } = scripted([other]);
      assert.equal(await core.operate({ kind: "register", topic: "t" }).catch(codeOf), "unavailable");
      assert.equal(await core.publish(CONTENT).catch(codeOf), "unavailable");
    }
  });

  it("does not repeat what a server in between answers with a 4xx", async () => {
    for (const status of [400, 404, 413, 431]) {
      const { core, calls } = scripted([reply(status, "not a refusal of the core")]);
      assert.equal(await core.publish(CONTENT).catch(codeOf), "unavailable");
      assert.equal(calls.length, 1);
    }
  });

  it("goes to another core when one fails, and stays there", async () => {
    const origins = ["http://a", "http://b"];
    const { core, calls } = scripted(["lost", DONE, DONE, AWAY, DONE], { origins });
    for (let n = 0; n < 3; n++) await core.operate({ kind: "register", topic: "t" });
    assert.deepEqual(calls.map(({ origin }) => origin), [
      "http://a",
      "http://b",
      "http://b",
      "http://b",
      "http://a",
    ]);
  });

  it("a core that hangs does not use up the patience: the next one is asked in time, also for a read", async () => {
    const asked: { readonly origin: string; readonly timeoutMs: number }[] = [];
    let time = 0;
    const hang = ({ origin, timeoutMs }: HttpCall) => {
      asked.push({ origin, timeoutMs });
      time += timeoutMs;
      return Promise.reject(new HttpClientError("timed out"));
    };
    const http = { send: hang, stream: hang, close: async () => {} };
    const { core } = scripted([], { http, origins: ["http://a", "http://b"], now: () => time });
    const pair = { topic: "t", callback: "c" };
    await core.read({ pair, caller: { kind: "anyone" }, given: [] }, "page").catch(codeOf);
    await core.publish(CONTENT).catch(codeOf);
    assert.deepEqual(asked.map(({ origin }) => origin), ["http://a", "http://b", "http://a", "http://b"]);
    assert.ok(asked.every(({ timeoutMs }) => timeoutMs <= 7_000), JSON.stringify(asked));
  });

  it("over sockets: content and its fields arrive as they are, and a core that is back takes what was waiting", async () => {
    const port = await freePort();
    const { core, close } = openCoreClient([`http://127.0.0.1:${port}`]);
    const body = new Uint8Array([0, 255, 13, 10]);
    const headers = { "ce-id": "é %", "tracestate": "a=b" };
    const stored = core.publish({
      topic: "t é%20\n",
      client: null,
      key: "k",
      contentType: 'a/b; q="é"',
      headers,
      traceparent: "tp",
      body,
    });
    await using fake = await openFakeCore(port);
    const { id } = await stored;
    const { madeAt, ...content } = fake.contents[0]!;
    assert.ok(Math.abs(Date.now() - madeAt) < 10_000);
    assert.deepEqual(content, {
      id,
      topic: "t é%20\n",
      client: null,
      key: "k",
      contentType: 'a/b; q="é"',
      headers,
      traceparent: "tp",
      body: Buffer.from(body),
    });
    await close();
  });

  it("over sockets: an answer that was lost is asked for again, with the same id", async () => {
    await using fake = await openFakeCore();
    const { core, close } = openCoreClient([fake.origin]);
    let times = 0;
    fake.onOperation = async () => (times += 1) === 1 ? refusal(503, "unavailable", "later") : null;
    const { id, answer } = await core.operate({ kind: "intent", mode: "subscribe", topic: "t", callback: "c" });
    assert.deepEqual(answer, { kind: "intent", offset: 2, verify: true });
    assert.deepEqual(fake.operations.map((operation) => operation.id), [id, id]);
    await close();
  });

  it("over sockets: a core that no longer knows the session, restarted or another one, gets a new one unnoticed", async () => {
    const port = await freePort();
    const retries: number[] = [];
    const { core, close } = openCoreClient([`http://127.0.0.1:${port}`], { onRetry: () => void retries.push(1) });
    try {
      const question = { pair: { topic: "t'", callback: "c" }, caller: { kind: "anyone" }, given: [] } as const;
      for (let life = 0; life < 2; life++) {
        await using fake = await openFakeCore(port);
        fake.onQuestion = () => ({ status: 200, body: { life } });
        const before = retries.length;
        // As many at once as an edge has in flight: they share the new session.
        const answers = await Promise.all([
          core.operate({ kind: "intent", mode: "subscribe", topic: "t", callback: "c", secret: "s" }),
          core.operate({ kind: "register", topic: "t" }),
          core.publish({ ...CONTENT, key: "k" }),
          core.ask("subscriptions", question),
          core.read(question, "events").then((stream) => new Response(stream.body).json()),
        ]);
        assert.deepEqual(answers[4], { life });
        const intent = fake.operations.find(({ kind }) => kind === "intent");
        assert.equal(intent?.kind === "intent" && intent.secret, "s");
        assert.equal(fake.contents.length, 1);
        // A connection that the first core closed may cost one; a session that is over costs none.
        if (life === 0) assert.equal(retries.length, before);
      }
    } finally {
      await close();
    }
  });

  it("over sockets: a core that does not know this edge counts as down, and the client is not told why", async () => {
    await using fake = await openFakeCore();
    const http = createHttpClient();
    const sessions = createSessions({ http, key: await makeEdgeKey(), digests: NODE_DIGESTS, clock: Date.now });
    let time = 0;
    const { core, close } = openCoreClient([fake.origin], { sessions, now: () => time += 1_000 });
    await assert.rejects(core.operate({ kind: "register", topic: "t" }), (error) => {
      return error instanceof CoreError && error.code === "unavailable" && !/edge|key/i.test(error.message);
    });
    assert.deepEqual(fake.operations, []);
    await Promise.all([close(), http.close()]);
  });

  it("is not ready before a core that does not know its key", async () => {
    await using fake = await openFakeCore();
    const http = createHttpClient();
    const sessions = createSessions({ http, key: await makeEdgeKey(), digests: NODE_DIGESTS, clock: Date.now });
    const { core, close } = openCoreClient([fake.origin], { sessions });
    assert.equal(await core.isReady(), false);
    await Promise.all([close(), http.close()]);
  });

  it("says whether any core is ready", async () => {
    await using fake = await openFakeCore();
    const { core, close } = openCoreClient([`http://127.0.0.1:${await freePort()}`, fake.origin]);
    assert.equal(await core.isReady(), true);
    fake.ready = false;
    assert.equal(await core.isReady(), false);
    await close();
  });
});

describe("the policy of repeating", () => {
  it("doubles the gap from 50 ms up to 1 s, with jitter over its upper half", () => {
    assert.deepEqual([1, 2, 3, 6, 60].map((tries) => retryPause(tries, 0, 10_000, 1)), [50, 100, 200, 1_000, 1_000]);
    assert.deepEqual([1, 2, 6].map((tries) => retryPause(tries, 0, 10_000, 0)), [25, 50, 500]);
  });

  it("gives up where the next try would begin too late", () => {
    assert.equal(retryPause(6, 9_001, 10_000, 1), null);
    assert.equal(retryPause(6, 8_999, 10_000, 1), 1_000);
  });
});
