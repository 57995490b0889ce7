import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeCursor } from "../../../core/messages/cursor-text.ts";
import { topicIdOf } from "../../../core/state/ids.ts";
import { eventually } from "../../support/eventually.ts";
import { withCore } from "../../support/rigs/shared-core.ts";
import type { TestCore } from "../../support/rigs/test-core.ts";

const TOPIC = "https://example.com/feed";

let callbacks = 0;

/** What a new subscription to the topic gets, before a last message that is published to end the test. */
async function received(core: TestCore, start: string | undefined, topic = TOPIC): Promise<string[]> {
  const callback = `http://127.0.0.1:9/callback/${++callbacks}`;
  const path = new URL(callback).pathname;
  await core.subscribe(topic, callback, start === undefined ? {} : { start });
  const last = `last ${callbacks}`;
  await core.publish(topic, last);
  await eventually(last, () => core.transport.to(path).includes(last));
  return core.transport.to(path).slice(0, -1);
}

async function refusal(core: TestCore, start: string): Promise<string> {
  const callback = "http://127.0.0.1:9/refused";
  const { status, refusal } = await core.operate({ kind: "intent", mode: "subscribe", topic: TOPIC, callback, start });
  assert.equal(status, 400, `${start} was accepted`);
  assert.equal(refusal.code, "invalid_request");
  return refusal.message;
}

const iso = (ms: number) => new Date(ms).toISOString();

describe("WIRE §2 hub.start", { timeout: 60_000 }, () => {
  it("latest, or no hub.start: from now on", async () => {
    await withCore({}, async (core) => {
      await core.publish(TOPIC, "1");
      assert.deepEqual(await received(core, "latest"), []);
      assert.deepEqual(await received(core, undefined), []);
    });
  });

  it("earliest: everything that is kept, of this topic", async () => {
    await withCore({}, async (core) => {
      await core.publish(TOPIC, "1");
      await core.publish("another topic", "not this");
      await core.publish(TOPIC, "2");
      assert.deepEqual(await received(core, "earliest"), ["1", "2"]);
    });
  });

  it("a time: everything published at that time or later, in any spelling of it", async () => {
    await withCore({}, async (core) => {
      await core.publish(TOPIC, "1");
      core.clock.advance(60_000);
      const between = core.clock() - 30_000;
      await core.publish(TOPIC, "2");
      assert.deepEqual(await received(core, iso(between)), ["2"]);
      assert.deepEqual((await received(core, iso(between).replace("Z", "+00:00")))[0], "2");
      assert.deepEqual((await received(core, iso(between - 3_600_000))).slice(0, 2), ["1", "2"]);
      assert.deepEqual(await received(core, iso(core.clock() + 60_000)), [], "a clock a little ahead of ours");
    });
  });

  it("a cursor: everything after the message that it names", async () => {
    await withCore({}, async (core) => {
      const { answer } = await core.publish(TOPIC, "1");
      await core.publish(TOPIC, "2");
      assert.deepEqual(await received(core, answer.cursor), ["2"]);
      const before = encodeCursor(topicIdOf(TOPIC), { partition: 0, offset: -1 });
      assert.deepEqual((await received(core, before)).slice(0, 2), ["1", "2"]);
    });
  });

  it("no start reaches back to the messages before a deregister", async () => {
    await withCore({}, async (core) => {
      const { answer } = await core.publish(TOPIC, "old 1");
      await core.publish(TOPIC, "old 2");
      await core.operate({ kind: "deregister", topic: TOPIC });
      await core.operate({ kind: "register", topic: TOPIC });
      await core.publish(TOPIC, "new");
      for (const start of ["earliest", answer.cursor, iso(core.clock() - 3_600_000)]) {
        assert.equal((await received(core, start))[0], "new", start);
      }
    });
  });

  it("no start reaches back to them either if the subscribe itself makes the topic anew", async () => {
    await withCore({}, async (core) => {
      const { answer } = await core.publish(TOPIC, "old 1");
      await core.publish(TOPIC, "old 2");
      const time = iso(core.clock() - 3_600_000);
      for (const start of ["earliest", answer.cursor, time]) {
        await core.operate({ kind: "deregister", topic: TOPIC });
        const isGone = async () => (await core.operate({ kind: "deregister", topic: TOPIC })).status === 404;
        await eventually("its end", isGone);
        assert.deepEqual(await received(core, start), [], start);
      }
    });
  });

  it("a renewal ignores it: the position stays", async () => {
    await withCore({}, async (core) => {
      const callback = "http://127.0.0.1:9/renewed";
      await core.publish(TOPIC, "1");
      await core.subscribe(TOPIC, callback);
      await core.publish(TOPIC, "2");
      await eventually("the second", () => core.transport.to("/renewed").length === 1);
      await core.subscribe(TOPIC, callback, { start: "earliest" });
      await core.publish(TOPIC, "3");
      await eventually("the third", () => core.transport.to("/renewed").length === 2);
      assert.deepEqual(core.transport.to("/renewed"), ["2", "3"]);
    });
  });

  it("anything else is 400 and says what it may be", async () => {
    await withCore({}, async (core) => {
      const { answer } = await core.publish(TOPIC, "1");
      const other = encodeCursor(topicIdOf("another topic"), { partition: 0, offset: 0 });
      const beyond = encodeCursor(topicIdOf(TOPIC), { partition: 0, offset: 1 });
      const elsewhere = encodeCursor(topicIdOf(TOPIC), { partition: 3, offset: 0 });
      const flipped = answer.cursor.replace(
        /^(.{12})(.)/,
        (_, head: string, one: string) => head + (one === "A" ? "B" : "A"),
      );
      const wrong = [
        "yesterday",
        "Latest",
        " ",
        "7",
        answer.cursor.slice(1),
        flipped,
        other,
        beyond,
        elsewhere,
        "2026-02-30T00:00:00Z",
        "2026-06-31T10:00Z",
        "2026-13-01T00:00Z",
        "2026-01-01T25:00Z",
        "2026-01-01",
        "2026-01-01T00:00:00",
        iso(core.clock() + 3_600_000),
      ];
      for (const start of wrong) assert.match(await refusal(core, start), /^hub\.start /, start);
    });
  });
});
