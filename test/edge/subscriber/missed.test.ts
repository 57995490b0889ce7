import assert from "node:assert/strict";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { after, before, beforeEach, describe, it } from "node:test";
import { createHash } from "node:crypto";
import type { RefusalCode } from "../../../shared/core-api.ts";
import { REFUSALS } from "../../../shared/core-api.ts";
import { openEdge } from "../../support/rigs/edge.ts";
import type { OwnEdge } from "../../support/rigs/edge.ts";
import { eventually, never, pause } from "../../support/eventually.ts";
import { openFakeCore, refusal } from "../../support/rigs/fake-core.ts";
import type { FakeCore } from "../../support/rigs/fake-core.ts";
import { encodeForm } from "../../support/form.ts";
import { call } from "../../support/servers/http.ts";
import type { CallOptions } from "../../support/servers/http.ts";
import { requesterIdOf } from "../../../shared/shares/requester.ts";

const PAIR = encodeForm({ topic: "t", callback: "http://c.example/" });
const EVENTS = { accept: "text/event-stream" };
const EMPTY_SHA256 = createHash("sha256").digest("hex");

/** A body that is made for ever, and tells how much was taken and whether it was cancelled. */
function endless(part: Uint8Array = new Uint8Array(16_384).fill(0x78), everyMs = 0) {
  const seen = { bytes: 0, cancelled: false };
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (everyMs > 0) await new Promise((resolve) => setTimeout(resolve, everyMs));
      if (seen.cancelled) return;
      seen.bytes += part.length;
      controller.enqueue(part);
    },
    cancel: () => void (seen.cancelled = true),
  }, { highWaterMark: 0 });
  return { seen, body };
}

describe("WIRE §5 at the edge", () => {
  let core: FakeCore;
  let edge: OwnEdge;
  before(async () => {
    core = await openFakeCore();
    edge = await openEdge([core.origin], { stallMs: 400, silenceMs: 400, server: { stallTimeoutMs: 800 } });
  });
  after(async () => {
    await edge.close();
    await core.close();
  });
  beforeEach(() => {
    core.onQuestion = () => ({ status: 200, body: { asked: true } });
  });
  const to = (target: string, options: CallOptions = {}) => call(edge.url, { target, ...options });
  const asked = () => core.questions.at(-1)!;
  const streaming = (body: ReadableStream<Uint8Array>, type = "text/event-stream") =>
    core.onQuestion = () => new Response(body, { headers: { "content-type": type } });

  /** Asks for a stream and reads nothing of it. */
  async function neverReading(accept = "text/event-stream"): Promise<{ socket: Socket; closed: () => boolean }> {
    const socket = connect({ port: edge.port, host: "127.0.0.1" });
    let closed = false;
    socket.on("error", () => {}).on("close", () => closed = true);
    await new Promise((resolve) => socket.once("connect", resolve));
    socket.pause();
    socket.write(`GET /messages?${PAIR} HTTP/1.1\r\nHost: h\r\nAccept: ${accept}\r\n\r\n`);
    return { socket, closed: () => closed };
  }

  describe("questions", () => {
    it("reach the core with what it reads, and nothing else", async () => {
      const query = encodeForm({
        topic: "t é&",
        callback: "http://c.example/?a=%20+",
        limit: "-5",
        since: "é",
        after: "&",
        x: "y",
      });
      const reply = await to(`/messages?${query}&limit=2`);
      assert.deepEqual([reply.status, reply.text], [200, '{"asked":true}']);
      assert.equal(reply.headers["content-type"], "application/json");
      assert.equal(reply.headers["cache-control"], "no-store");
      assert.deepEqual(asked(), {
        path: "/v1/messages",
        parameters: { topic: "t é&", callback: "http://c.example/?a=%20+", after: "&", since: "é", limit: "-5" },
        caller: { kind: "anyone", requester: await requesterIdOf("127.0.0.1") },
        accept: "application/json",
      });
      await to(`/dead-letters/?${PAIR}&after=a&since=b&limit=c&lastEventId=d`);
      assert.deepEqual(asked().path, "/v1/dead-letters");
      assert.deepEqual(asked().parameters, { topic: "t", callback: "http://c.example/", after: "a", limit: "c" });
      await to(`/subscriptions?${PAIR}&after=a`);
      assert.deepEqual(asked().parameters, { topic: "t", callback: "http://c.example/" });
    });

    it("are for events if Accept names them, and then go on from Last-Event-ID", async () => {
      const ACCEPTS = [
        ["text/event-stream", true],
        ["application/json, Text/Event-Stream;q=0.1", true],
        ["text/event-streams", false],
        ["*/*", false],
        ["", false],
      ] as const;
      for (const [accept, events] of ACCEPTS) {
        await to(`/messages?${PAIR}&after=a&limit=3`, { headers: { accept, "last-event-id": "A_z-9" } });
        assert.equal(asked().accept, events ? "text/event-stream" : "application/json", accept);
        const from = events ? { after: "a", limit: "3", lastEventId: "A_z-9" } : { after: "a", limit: "3" };
        assert.deepEqual(asked().parameters, { topic: "t", callback: "http://c.example/", ...from });
      }
      await to(`/messages?${PAIR}&after=a`, { headers: EVENTS });
      assert.deepEqual(asked().parameters, { topic: "t", callback: "http://c.example/", after: "a" });
      const wrong = await to(`/messages?${PAIR}`, { headers: { ...EVENTS, "last-event-id": "\u00e9" } });
      assert.deepEqual([wrong.status, wrong.text.startsWith("Last-Event-ID must be a cursor")], [400, true]);
      // What the query calls so is no header.
      await to(`/messages?${PAIR}&lastEventId=x`, { headers: EVENTS });
      assert.deepEqual(asked().parameters, { topic: "t", callback: "http://c.example/" });
    });

    it("carry a signature as it was sent, with the target of the request line byte for byte", async () => {
      const headers = {
        "x-subscriber-timestamp": " 17 ",
        "x-subscriber-signature": "v1=AAAAAAAAAAAAAAAAAAAA+b/cAAAAAAAAAAAAAAAAAAA=",
      };
      const target = `/messages/?topic=it's+%7e&callback=${"c"}&%20&&x`;
      await to(target, { headers });
      assert.deepEqual(asked().caller, {
        kind: "signature",
        method: "GET",
        path: "/messages/",
        query: target.slice(target.indexOf("?") + 1),
        timestamp: "17",
        signature: "v1=AAAAAAAAAAAAAAAAAAAA+b/cAAAAAAAAAAAAAAAAAAA=",
        bodySha256: EMPTY_SHA256,
        requester: await requesterIdOf("127.0.0.1"),
        headers: { idempotencyKey: "", lastEventId: "", events: false },
      });
      await to(target, { headers: { ...headers, ...EVENTS, "idempotency-key": "k", "last-event-id": "l" } });
      const { caller: covered } = asked();
      assert.ok(covered.kind === "signature");
      assert.deepEqual(covered.headers, { idempotencyKey: "k", lastEventId: "l", events: true });
      await to(target, { method: "HEAD", headers });
      const { caller } = asked();
      assert.equal(caller.kind === "signature" && caller.method, "HEAD");
    });

    it("with one of a signature's two headers are 401, and name the other one", async () => {
      const before = core.questions.length;
      for (const path of ["/messages", "/dead-letters", "/subscriptions"]) {
        const one = await to(`${path}?${PAIR}`, { headers: { "x-subscriber-signature": "v1=" } });
        const other = await to(`${path}?${PAIR}`, { headers: { "x-subscriber-timestamp": "1" } });
        assert.match(one.text, /^X-Subscriber-Timestamp is missing/);
        assert.match(other.text, /^X-Subscriber-Signature is missing/);
        for (const reply of [one, other]) {
          assert.deepEqual([reply.status, reply.headers["www-authenticate"]], [401, "Bearer"]);
          assert.match(reply.headers["content-type"] ?? "", /^text\/plain/);
        }
      }
      assert.equal(core.questions.length, before);
    });

    it("that the core refuses are one sentence with its status, also for a stream", async () => {
      const EXPECTED: Partial<Record<RefusalCode, number>> = {
        invalid_request: 400,
        unauthorized: 401,
        not_found: 404,
        gone: 410,
        conflict: 422,
        too_many: 429,
        overloaded: 503,
      };
      for (const [code, status] of Object.entries(EXPECTED) as [RefusalCode, number][]) {
        core.onQuestion = () => refusal(REFUSALS[code], code, "The reason: é & more.");
        for (const [path, headers] of [["/messages", {}], ["/messages", EVENTS], ["/dead-letters", {}]] as const) {
          const reply = await to(`${path}?${PAIR}`, { headers });
          assert.deepEqual([reply.status, reply.text], [status, "The reason: é & more.\n"]);
          assert.match(reply.headers["content-type"] ?? "", /^text\/plain/);
          assert.equal(reply.headers["www-authenticate"], status === 401 ? "Bearer" : undefined);
          assert.equal(reply.headers["retry-after"] !== undefined, status === 429 || status === 503);
        }
      }
    });

    it("that no core answers are 503 with Retry-After", async () => {
      // A clock that runs fast, so that patience is short.
      const client = { now: () => performance.now() * 100 };
      await using alone = await openEdge(["http://127.0.0.1:1"], { client });
      for (const headers of [{}, EVENTS]) {
        const reply = await call(`${alone.url}/messages?${PAIR}`, { headers });
        assert.deepEqual([reply.status, reply.headers["retry-after"]], [503, "5"]);
        assert.match(reply.text, /^The hub cannot look this up now/);
      }
    });
  });

  describe("streams", () => {
    it("pass on each part as it comes, and the core's end", async () => {
      let output: ReadableStreamDefaultController<Uint8Array> | undefined;
      streaming(new ReadableStream({ start: (made) => void (output = made) }));
      const response = await fetch(`${edge.url}/messages?${PAIR}`, { headers: EVENTS });
      assert.equal(response.headers.get("content-type"), "text/event-stream");
      assert.equal(response.headers.get("x-accel-buffering"), "no");
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      for (const text of ["id: 1\n\n", ":\n\n"]) {
        output?.enqueue(new TextEncoder().encode(text));
        assert.equal((await reader.read()).value, text);
      }
      output?.close();
      assert.equal((await reader.read()).done, true);
    });

    it("end at the core when the client hangs up, also while nothing comes", async () => {
      for (const everyMs of [1, 200]) {
        const { seen, body } = endless(new Uint8Array([0x3a]), everyMs);
        streaming(body);
        const hang = new AbortController();
        const response = await fetch(`${edge.url}/messages?${PAIR}`, { headers: EVENTS, signal: hang.signal });
        await response.body!.getReader().read();
        hang.abort();
        await eventually("the end at the core", () => seen.cancelled, { deadlineMs: 2_000 });
      }
    });

    it("§6.7 to a client that never reads hold little, and are cut", async () => {
      for (const accept of ["text/event-stream", "application/json"]) {
        const { seen, body } = endless();
        streaming(body, accept);
        const { socket, closed } = await neverReading(accept);
        await eventually("something taken", () => seen.bytes > 0);
        await eventually("the end at the core", () => seen.cancelled, { deadlineMs: 3_000 });
        // As much as fits into the sockets' buffers between core, edge and client, and no endless stream.
        assert.ok(seen.bytes < 32_000_000, `${seen.bytes} bytes were taken`);
        // A socket notices its end only when it is read: after a cut within 800 ms it ends with what was in flight.
        await pause(1_600);
        socket.resume();
        await eventually("the end of the connection", closed, { deadlineMs: 1_000 });
      }
    });

    it("to a client that reads slowly but steadily are not cut", async () => {
      const { seen, body } = endless(new Uint8Array([0x3a]), 150);
      streaming(body);
      const response = await fetch(`${edge.url}/messages?${PAIR}`, { headers: EVENTS });
      const reader = response.body!.getReader();
      await never("a cut", async () => (await reader.read()).done, 1_500);
      assert.equal(seen.cancelled, false);
      await reader.cancel();
    });

    it("of a core that falls silent end; its client comes back", async () => {
      const body = new ReadableStream<Uint8Array>({ start: (made) => made.enqueue(new Uint8Array([0x3a])) });
      streaming(body);
      const reply = await to(`/messages?${PAIR}`, { headers: EVENTS });
      assert.deepEqual([reply.status, reply.text], [200, ":"]);
    });

    it("of a core that breaks off end, and a page that breaks off is broken for its client, too", async () => {
      // A core of its own, since its process ends in the middle of its answers.
      for (const accept of ["text/event-stream", "application/json"]) {
        const own = await openFakeCore();
        await using before = await openEdge([own.origin]);
        own.onQuestion = () =>
          new Response(endless(new Uint8Array([0x3a]), 20).body, { headers: { "content-type": accept } });
        const response = await fetch(`${before.url}/messages?${PAIR}`, { headers: { accept } });
        const read = response.text();
        // It may break off before anybody waits for it.
        read.catch(() => {});
        await new Promise((resolve) => setTimeout(resolve, 100));
        await own.close();
        if (accept === "application/json") await assert.rejects(read);
        else assert.match(await read, /^:+$/);
      }
    });

    it("leave the connections of other calls alone", async () => {
      const bodies = Array.from({ length: 150 }, () => endless(new Uint8Array([0x3a]), 50));
      let next = 0;
      core.onQuestion = ({ accept }) =>
        accept === "text/event-stream" ? new Response(bodies[next++]!.body) : { status: 200, body: {} };
      const hang = new AbortController();
      const open = await Promise.all(
        bodies.map(() => fetch(`${edge.url}/messages?${PAIR}`, { headers: EVENTS, signal: hang.signal })),
      );
      assert.ok(open.every(({ status }) => status === 200));
      const reply = await to(`/subscriptions?${PAIR}`);
      assert.ok(reply.status === 200 && reply.elapsedMs < 2_000);
      hang.abort();
      await eventually("all ends", () => bodies.every(({ seen }) => seen.cancelled));
    });

    it("end when the edge stops, so that it stops at once", async () => {
      const { seen, body } = endless(new Uint8Array([0x3a]), 20);
      streaming(body);
      const own = await openEdge([core.origin]);
      const response = await fetch(`${own.url}/messages?${PAIR}`, { headers: EVENTS });
      const text = response.text();
      own.endStreams();
      assert.match(await text, /^:*$/);
      await eventually("the end at the core", () => seen.cancelled);
      const begun = performance.now();
      await own.close();
      assert.ok(performance.now() - begun < 2_000);
    });

    it("are not opened for HEAD", async () => {
      const { seen, body } = endless();
      streaming(body, "application/json");
      const reply = await to(`/messages?${PAIR}`, { method: "HEAD", headers: EVENTS });
      assert.deepEqual([reply.status, reply.headers["content-type"], reply.text], [200, "application/json", ""]);
      assert.equal(asked().accept, "application/json");
      await eventually("the end at the core", () => seen.cancelled);
    });
  });
});
