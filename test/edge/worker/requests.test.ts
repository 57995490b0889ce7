// What reaches an edge on real workerd, and what becomes of it there: targets, addresses, streams, the load, a restart.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { passesLimits } from "../../hostile/passes-limits.ts";
import { NO_PATHS, PATHS, spellingsOf } from "../../hostile/spellings.ts";
import { eventually, pause } from "../../support/eventually.ts";
import { refusal } from "../../support/rigs/fake-core.ts";
import { openWorkerEdge, type WorkerEdge } from "../../support/rigs/worker-edge.ts";
import { call } from "../../support/servers/http.ts";
import { exchangeRaw } from "../../support/servers/raw-http.ts";

const publish = ({ url }: WorkerEdge, headers: Record<string, string> = {}) =>
  call(`${url}/hub?hub.mode=publish&hub.topic=t`, { method: "POST", body: "x", headers });
const PAIR = "topic=t&callback=http%3A%2F%2Fexample.com%2F";

describe("an edge on workerd", { timeout: 60_000 }, () => {
  it("passes on what a subscriber signed as it was sent, byte for byte", async () => {
    await using edge = await openWorkerEdge();
    edge.core.onQuestion = () => refusal(404, "not_found", "no such subscription");
    const headers = {
      "x-subscriber-timestamp": "1",
      "x-subscriber-signature": "v1=AAAAAAAAAAAAAAAAAAAA+b/cAAAAAAAAAAAAAAAAAAA=",
    };
    const targets = [
      `/messages?${PAIR}&after='`,
      `/messages?${PAIR}&after=%27&x=%7e|^{}`,
      `/messages?callback=HTTP://Example.com/a/../b&topic=t`,
      `/messages?${PAIR}&x=a+b%20c`,
    ];
    for (const target of targets) {
      const { status, text } = await call(edge.url, { headers, target });
      assert.equal(status, 404, `${target}: ${text}`);
      const { caller } = edge.core.questions.at(-1)!;
      assert.equal(caller.kind === "signature" && `${caller.path}?${caller.query}`, target);
    }
  });

  it("never sees a target that no URI may have: workerd answers 400 and alters nothing", async () => {
    await using edge = await openWorkerEdge();
    for (const character of ['"', "<", "\u00e9", "\u0001"]) {
      const target = `/messages?${PAIR}&x=${character}`;
      const head = `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`;
      assert.equal((await exchangeRaw(edge.port, Buffer.from(head, "latin1"))).status, 400, JSON.stringify(target));
    }
    assert.equal(edge.core.questions.length, 0);
  });

  it("has no path but those that were sent: /x/../hub is not /hub", async () => {
    await using edge = await openWorkerEdge();
    for (const target of ["/x/../healthz", "/./healthz", "//healthz", "/%68ealthz/x"]) {
      assert.equal((await call(edge.url, { target })).status, 404, target);
    }
  });

  it("takes a client's address from the header that ADDRESS_HEADER names, and from no other", async () => {
    const named = (address: string) => ({ "cf-connecting-ip": address });
    await using edge = await openWorkerEdge({
      TIDINGS_REQUESTS_PER_ADDRESS: "1",
      TIDINGS_ADDRESS_HEADER: "CF-Connecting-IP",
    });
    for (let n = 0; n < 10; n++) assert.equal((await publish(edge, named("203.0.113.7"))).status, 200);
    assert.equal((await publish(edge, named("203.0.113.7"))).status, 429);
    assert.equal((await publish(edge, { ...named("203.0.113.8"), "x-forwarded-for": "203.0.113.7" })).status, 200);
    await using unsaid = await openWorkerEdge({ TIDINGS_REQUESTS_PER_ADDRESS: "1" });
    for (let n = 0; n < 15; n++) assert.equal((await publish(unsaid, named("203.0.113.7"))).status, 200);
  });

  it("ends the core's stream when the reader of events leaves", async () => {
    await using edge = await openWorkerEdge();
    let cancelled = 0;
    edge.core.onQuestion = () => {
      let timer: ReturnType<typeof setInterval>;
      const body = new ReadableStream({
        start: (output) => void (timer = setInterval(() => output.enqueue(Buffer.from(":\n\n")), 50)),
        cancel: () => {
          clearInterval(timer);
          cancelled++;
        },
      });
      return new Response(body, { headers: { "content-type": "text/event-stream" } });
    };
    const leave = await edge.begin(`GET /messages?${PAIR} HTTP/1.1\r\nAccept: text/event-stream`);
    await eventually("the stream", () => edge.core.questions.length === 1);
    leave();
    await eventually("its end", () => cancelled === 1);
  });

  it("does not take its own lateness for the core's", async () => {
    await using edge = await openWorkerEdge();
    const limit = "tidings_core_requests_limit{";
    assert.equal((await publish(edge)).status, 200);
    const before = await edge.metric(limit);
    const { promise, resolve } = Promise.withResolvers<null>();
    edge.core.onContent = () => promise;
    const answers = Array.from({ length: 20 }, () => publish(edge));
    await eventually("all to wait for the core", () => edge.core.contents.length === 21);
    // The core answers at once, and the edge sleeps over it.
    edge.process.sleep();
    resolve(null);
    await pause(1_500);
    edge.process.wake();
    assert.deepEqual(new Set((await Promise.all(answers)).map(({ status }) => status)), new Set([200]));
    assert.equal(await edge.metric(limit), before);
  });

  it("asks less of a core that is late", async () => {
    await using edge = await openWorkerEdge({ TIDINGS_OVERLOAD_AFTER: "50ms" });
    const limit = "tidings_core_requests_limit{";
    const before = await edge.metric(limit);
    edge.core.onContent = async () => {
      await pause(400);
      return null;
    };
    await Promise.all(Array.from({ length: 20 }, () => publish(edge)));
    await eventually("the limit to fall", async () => await edge.metric(limit) < before);
  });

  it("goes on after it was killed, on the same port", async () => {
    await using edge = await openWorkerEdge();
    assert.equal((await publish(edge)).status, 200);
    await edge.process.kill();
    await assert.rejects(publish(edge));
    await edge.process.start();
    assert.equal((await publish(edge)).status, 200);
  });

  it("lets an address that is over its limit pass by no spelling of any path", async () => {
    await using edge = await openWorkerEdge({
      TIDINGS_ACCESS: "public",
      TIDINGS_REQUESTS_PER_ADDRESS: "1",
      TIDINGS_ADDRESS_HEADER: "X-Address",
    });
    const headers = { "x-address": "203.0.113.7" };
    for (let n = 0, last = 0; n < 200 && last !== 429; n++) last = (await call(`${edge.url}/hub`, { headers })).status;
    const found = [];
    for (const method of ["GET", "POST"]) {
      for (const target of [...PATHS.flatMap((path) => spellingsOf(path, "127.0.0.1")), ...NO_PATHS]) {
        const passed = await passesLimits(edge.port, method, target);
        if (passed !== undefined) found.push(`${method} ${JSON.stringify(target)}: ${passed}`);
      }
    }
    assert.deepEqual(found, []);
  });

  it("has no figures at its public address, only at its entrypoint `operating`", async () => {
    await using edge = await openWorkerEdge();
    assert.equal((await call(`${edge.url}/metrics`)).status, 404);
    for (const path of ["/healthz", "/readyz", "/metrics"]) {
      assert.equal((await call(`${edge.process.operatingUrl}${path}`)).status, 200, path);
    }
    assert.equal((await call(`${edge.process.operatingUrl}/hub`)).status, 404);
  });

  it("says in its metrics that they are one isolate's", async () => {
    await using edge = await openWorkerEdge();
    assert.match(
      (await call(`${edge.process.operatingUrl}/metrics`)).text,
      /^# These figures are of one isolate of a Worker/,
    );
  });

  it("answers an invalid Host like any other", async () => {
    await using edge = await openWorkerEdge({ TIDINGS_ACCESS: "public" });
    for (const host of ["[", "a b", "%"]) {
      for (
        const [line, status] of [["POST /hub", 400], ["GET /messages", 400], ["GET /", 405], ["GET /x", 404]] as const
      ) {
        const head = `${line} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`;
        assert.equal((await exchangeRaw(edge.port, head)).status, status, `${line} at ${host}`);
      }
    }
  });

  it("with ACCESS=open answers at loopback addresses only, since anyone can call a Worker", async () => {
    await using edge = await openWorkerEdge();
    const elsewhere = await publish(edge, { host: "hub.example.org" });
    assert.deepEqual([elsewhere.status, edge.core.contents.length], [503, 0]);
    assert.match(elsewhere.text, /TIDINGS_ACCESS is open/);
    for (const host of ["[", "a b", "%", "127.0.0.1@hub.example"]) {
      const head = `POST /hub HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`;
      const { status } = await exchangeRaw(edge.port, head);
      assert.ok(status === 503 || status === 400, `${status} with ${host}`);
    }
    for (const host of ["localhost", "127.0.0.1:80", "[::1]"]) {
      assert.equal((await publish(edge, { host })).status, 200);
    }
  });
});
