import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decodeCursor } from "../../../core/messages/cursor-text.ts";
import { topicIdOf } from "../../../core/state/ids.ts";
import { type Log, LogError } from "../../../core/log/log.ts";
import { type ContentHead, frameContent } from "../../../shared/content-frame.ts";
import { CORE_PATHS } from "../../../shared/core-api.ts";
import { operationId, withDirectory } from "../../support/rigs/core-rig.ts";
import { eventually, never } from "../../support/eventually.ts";
import { createScriptedTransport } from "../../support/rigs/scripted-transport.ts";
import { withCore } from "../../support/rigs/shared-core.ts";
import { openTestCore, type TestCore } from "../../support/rigs/test-core.ts";

const CALLBACK = "http://127.0.0.1:9/callback";
const TOPIC = "https://example.com/feed";

/** A frame with any head. */
function sendFrame(core: TestCore, head: object, body: string) {
  return core.call(CORE_PATHS.messages, {
    method: "POST",
    body: frameContent(head as ContentHead, Buffer.from(body)),
  });
}

/** A log whose appends of content wait until they are let through. */
function gated(log: Log): Log & { release: () => void; waiting: () => number; most: () => number } {
  const gate = Promise.withResolvers<void>();
  let waiting = 0;
  let most = 0;
  return {
    ...log,
    async append(stream, record, partition) {
      if (stream === "messages") {
        most = Math.max(most, ++waiting);
        await gate.promise;
        waiting--;
      }
      return await log.append(stream, record, partition);
    },
    release: gate.resolve,
    waiting: () => waiting,
    most: () => most,
  };
}

describe("WIRE §1 content", { timeout: 60_000 }, () => {
  it("is answered with its id and cursor when it is durable, and is delivered unchanged", async () => {
    await withCore({}, async (core) => {
      await core.subscribe(TOPIC, CALLBACK);
      const body = Uint8Array.from({ length: 256 }, (_, byte) => byte);
      const id = operationId();
      const { status, answer } = await core.publish(TOPIC, body, {
        id,
        contentType: "text/plain; charset=UTF-8",
        headers: { "ce-id": "7", "content-language": "de" },
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      });
      assert.equal(status, 200);
      assert.equal(answer.id, id);
      const at = decodeCursor(topicIdOf(TOPIC), answer.cursor);
      const { records } = await core.log.read("messages", at.partition, at.offset, { maxBytes: 1_000 });
      assert.deepEqual(records[0]!.value, body, "in the log when it is answered");
      const [sent] = await eventually("delivery", () => core.transport.posts.length > 0 && core.transport.posts);
      assert.ok(sent!.post.body.equals(body));
      assert.equal(sent!.id, id);
      assert.equal(sent!.header("content-type"), "text/plain; charset=UTF-8");
      assert.equal(sent!.header("x-hub-cursor"), answer.cursor);
      assert.equal(sent!.header("ce-id"), "7");
      assert.equal(sent!.header("content-language"), "de");
      assert.equal(sent!.header("traceparent"), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    });
  });

  it("an empty body without a type is a message too", async () => {
    await withCore({}, async (core) => {
      await core.subscribe(TOPIC, CALLBACK);
      assert.equal(
        (await sendFrame(core, { id: operationId(), madeAt: core.clock(), topic: TOPIC }, "")).status,
        200,
      );
      const [sent] = await eventually("delivery", () => core.transport.posts.length > 0 && core.transport.posts);
      assert.equal(sent!.header("content-type"), "application/octet-stream");
      assert.equal(sent!.post.body.length, 0);
    });
  });

  it("a body as long as the limit is accepted, one that is a byte longer is 413", async () => {
    await withCore({ settings: { TIDINGS_MESSAGE_MAX_BYTES: "1000" } }, async (core) => {
      assert.equal((await core.publish(TOPIC, Buffer.alloc(1_000))).status, 200);
      const { status, refusal } = await core.publish(TOPIC, Buffer.alloc(1_001));
      assert.deepEqual([status, refusal.code], [413, "too_large"]);
      assert.equal(await core.log.end("messages", 0), 1);
      // The limit is on content, not on the fields that the hub writes with it.
      await core.subscribe(TOPIC, `${CALLBACK}?${"x".repeat(2_000)}`);
    });
  });

  it("wrong fields are 400 and named, and write nothing", async () => {
    await withCore({}, async (core) => {
      const good = { id: "an-id", madeAt: core.clock(), topic: "topic", contentType: "text/plain" };
      const wrong: readonly (readonly [name: string, value: unknown])[] = [
        ["id", undefined],
        ["id", "a b"],
        ["id", "x".repeat(65)],
        ["madeAt", undefined],
        ["madeAt", "soon"],
        ["madeAt", 1.5],
        ["topic", undefined],
        ["topic", ""],
        ["topic", "\ud800"],
        ["topic", "x".repeat(16_385)],
        ["contentType", 1],
        ["headers", "ce-id: 7"],
        ["headers", { "ce-id": 7 }],
        ["key", ""],
        ["key", "ä"],
        ["key", "x".repeat(256)],
        ["traceparent", {}],
      ];
      for (const [name, value] of wrong) {
        const reply = await sendFrame(core, { ...good, [name]: value }, "x");
        assert.equal(reply.status, 400, `${name}: ${String(value).slice(0, 20)} → ${reply.text}`);
        assert.ok(reply.text.includes(name), reply.text);
      }
      assert.equal(await core.log.end("messages", 0), 0);
      assert.equal(await core.log.end("events", 0), 0);
    });
  });

  it("A3.8 content that was made over 90 s ago is stale", async () => {
    await withCore({}, async (core) => {
      const { status, refusal } = await core.publish(TOPIC, "x", { madeAt: core.clock() - 91_000 });
      assert.deepEqual([status, refusal.code], [409, "stale_operation"]);
      assert.equal(await core.log.end("messages", 0), 0);
    });
  });
});

describe("A4.4 content that an edge sends again", { timeout: 60_000 }, () => {
  it("A4.4 side by side, one after the other and later: one message, one answer, one delivery", async () => {
    await withCore({}, async (core) => {
      await core.subscribe(TOPIC, CALLBACK);
      const again = { id: operationId(), madeAt: core.clock() };
      const answers = await Promise.all(Array.from({ length: 8 }, () => core.publish(TOPIC, "once", again)));
      core.clock.advance(8_000);
      answers.push(await core.publish(TOPIC, "once", again));
      core.clock.advance(50_000);
      answers.push(await core.publish(TOPIC, "once", again));
      for (const { status, answer } of answers) {
        assert.equal(status, 200);
        assert.deepEqual(answer, answers[0]!.answer);
      }
      assert.equal(await core.log.end("messages", 0), 1);
      await eventually("delivery", () => core.transport.posts.length > 0);
      await never("a second one", () => core.transport.posts.length > 1, 60);
    });
  });

  it("A4.4 over a restart: the log is read again, and the next try is the same message", async () => {
    await withDirectory(async (directory) => {
      const again = { id: operationId(), madeAt: Date.now() };
      let first;
      {
        await using core = await openTestCore({ directory });
        await core.subscribe(TOPIC, CALLBACK);
        first = await core.publish(TOPIC, "once", again);
      }
      await using core = await openTestCore({ directory });
      const second = await core.publish(TOPIC, "once", again);
      assert.deepEqual(second.answer, first.answer);
      assert.equal(await core.log.end("messages", 0), 1);
    });
  });

  it("A4.4 of two copies in the log, from two cores that did not know of each other, one is delivered", async () => {
    const transport = createScriptedTransport(() => "hold");
    await withDirectory(async (directory) => {
      const id = operationId();
      const append = async (core: TestCore, body: string) =>
        await core.log.append("messages", {
          key: topicIdOf(TOPIC),
          value: Buffer.from(body),
          headers: { id, "content-type": "text/plain" },
        });
      {
        await using core = await openTestCore({ directory, transport });
        await core.subscribe(TOPIC, CALLBACK);
        await append(core, "first");
        await append(core, "again");
        await core.publish(TOPIC, "next");
        const [sent] = await eventually("delivery", () => transport.posts.length > 0 && transport.posts);
        sent!.post.answered(503, undefined);
        await eventually("the next try", () => transport.posts.length > 1);
      }
      transport.posts.length = 0;
      transport.answer = () => 204;
      await using core = await openTestCore({ directory, transport });
      await core.publish(TOPIC, "last");
      await eventually("all", () => transport.to("/callback").includes("last"));
      assert.deepEqual(transport.to("/callback"), ["first", "next", "last"]);
    });
  });
});

describe("§6.7 a core that cannot keep up", { timeout: 60_000 }, () => {
  it("§6.7 takes 64 MiB of content at once, answers 503 beyond that, and goes on when there is room", async () => {
    let gate: ReturnType<typeof gated> | undefined;
    await withCore({ wrap: (log) => gate = gated(log) }, async (core) => {
      const body = Buffer.alloc(999_000);
      const replies = Promise.all(Array.from({ length: 80 }, () => core.publish(TOPIC, body)));
      await eventually("what it takes", () => gate!.waiting() >= 60);
      const { status, refusal } = await eventually("a refusal", async () => {
        const reply = await core.publish(TOPIC, body);
        return reply.status !== 200 && reply;
      });
      assert.deepEqual([status, refusal.code], [503, "unavailable"]);
      gate!.release();
      for (const reply of await replies) assert.ok([200, 503].includes(reply.status), `${reply.status}`);
      assert.ok(gate!.most() <= 67, `${gate!.most()} bodies of a megabyte were held at once`);
      assert.equal((await core.publish(TOPIC, body)).status, 200);
    });
  });

  for (const [code, reason] of [["full", /no room/], ["unavailable", /cannot be reached/]] as const) {
    it(`a log that is ${code}: 503 with a Retry-After, nothing that looks accepted, and then it goes on`, async () => {
      let fails = false;
      await withCore({
        wrap: (log) => ({
          ...log,
          append: (...args) => fails ? Promise.reject(new LogError(code, "of a test")) : log.append(...args),
        }),
      }, async (core) => {
        await core.subscribe(TOPIC, CALLBACK);
        fails = true;
        const { status, refusal } = await core.publish(TOPIC, "lost");
        assert.equal(status, 503);
        assert.match(refusal.message, reason);
        const raw = await core.raw(
          JSON.stringify({ kind: "register", id: operationId(), madeAt: core.clock(), topic: "t" }),
        );
        assert.equal(raw.status, 503);
        assert.equal(raw.headers["retry-after"], "2");
        fails = false;
        assert.equal((await core.publish(TOPIC, "kept")).status, 200);
        await eventually("delivery", () => core.transport.to("/callback").length === 1);
        assert.deepEqual(core.transport.to("/callback"), ["kept"]);
      });
    });
  }

  it("after a failed try the next one with the same id is accepted", async () => {
    let fails = true;
    await withCore({
      wrap: (log) => ({
        ...log,
        append: (...args) =>
          fails && args[0] === "messages"
            ? Promise.reject(new LogError("unavailable", "of a test"))
            : log.append(...args),
      }),
    }, async (core) => {
      const again = { id: operationId(), madeAt: core.clock() };
      assert.equal((await core.publish(TOPIC, "x", again)).status, 503);
      fails = false;
      assert.equal((await core.publish(TOPIC, "x", again)).status, 200);
      assert.equal(await core.log.end("messages", 0), 1);
    });
  });
});
