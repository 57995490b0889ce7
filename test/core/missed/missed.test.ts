import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createReadMessages } from "../../../core/messages/read-messages.ts";
import { MESSAGE_HEADERS } from "../../../core/messages/message.ts";
import { RecentIds } from "../../../core/messages/recent-ids.ts";
import { keyedMessageIdOf, topicIdOf } from "../../../core/state/ids.ts";
import { encodeCursor } from "../../../core/messages/cursor-text.ts";
import { createAdmit } from "../../../core/requests/admission.ts";
import { createStandingOf } from "../../../core/requests/standing.ts";
import { NO_QUOTAS } from "../../support/rigs/no-quotas.ts";
import { Topics } from "../../../core/requests/topics.ts";
import { createReadDeadLetters } from "../../../core/missed/dead-letter-page.ts";
import { createMissed } from "../../../core/missed/missed.ts";
import type { Missed, MissedOptions } from "../../../core/missed/missed.ts";
import { createReadTopic } from "../../../core/missed/topic-messages.ts";
import type { Caller, MissedMessages } from "../../../shared/core-api.ts";
import { openCoreRig, operationId, TOPIC, withDirectory } from "../../support/rigs/core-rig.ts";
import type { CoreRig } from "../../support/rigs/core-rig.ts";
import { createScriptedTransport } from "../../support/rigs/scripted-transport.ts";
import { eventually } from "../../support/eventually.ts";
import { OPEN_SECRETS } from "../../support/keys.ts";

const CALLBACK = "http://subscriber.example/a";
const ALWAYS = "1970-01-01T00:00:00Z";
const OPEN: Caller = { kind: "anyone" };

interface Asking {
  readonly missed: Missed;
  readonly page: (query?: Record<string, string>, callback?: string, topic?: string) => Promise<MissedMessages>;
  readonly stream: (query?: Record<string, string>) => Promise<ReadableStreamDefaultReader<Uint8Array>>;
  readonly deadLetters: (query?: Record<string, string>) => Promise<unknown>;
}

/** Missed messages over a rig whose subscribers never answer: all that is published stays undelivered. */
function over(rig: CoreRig, more: Partial<MissedOptions> = {}): Asking {
  const { log, replica, engine } = rig;
  const { ownership, delivery: { tail }, blocks: index } = engine;
  const clock = Date.now;
  const topics = new Topics({ log, replica, quotas: NO_QUOTAS, retentionMs: 1e9, clock });
  const admit = createAdmit({ log, replica, topics, secrets: OPEN_SECRETS, clock });
  const standingOf = createStandingOf({ log, replica, ownership, tail });
  const read = createReadTopic({
    tail,
    readMessages: createReadMessages({ log, index, recentIds: new RecentIds(clock) }),
  });
  const missed = createMissed({
    log,
    replica,
    topics,
    admit,
    standingOf,
    read,
    tail,
    secrets: OPEN_SECRETS,
    clock,
    ...more,
  });
  const readDeadLetters = createReadDeadLetters({ log, replica, admit });
  const asked = (query: Record<string, string>, callback: string, topic = TOPIC) => ({
    topic,
    callback,
    caller: OPEN,
    query: new URLSearchParams(query),
  });
  return {
    missed,
    page: async (query = {}, callback = CALLBACK, topic = TOPIC) =>
      await (await missed.page(asked(query, callback, topic))).json() as MissedMessages,
    stream: async (query = {}) => (await missed.stream(asked(query, CALLBACK))).body!.getReader(),
    deadLetters: (query = {}) => readDeadLetters(asked(query, CALLBACK)),
  };
}

async function withRig(run: (rig: CoreRig) => Promise<void>): Promise<void> {
  await withDirectory(async (directory) => {
    await using rig = await openCoreRig({ directory, transport: createScriptedTransport(() => "hold") });
    await run(rig);
  });
}

const bodies = ({ messages }: MissedMessages) => messages.map((message) => "body" in message && message.body);
const text = (part: { value?: Uint8Array | undefined }) => Buffer.from(part.value ?? []).toString();
const refusal = (code: string, message: RegExp) => ({ name: "Refusal", code, message });

describe("WIRE §5 missed messages", () => {
  it("are those from the subscription's position on, and never from before its start", () =>
    withRig(async (rig) => {
      const { page } = over(rig);
      await rig.publish(TOPIC, "before");
      await rig.intend({ callback: CALLBACK, verified: true });
      await rig.publish("other", "other");
      await rig.publish(TOPIC, "one");
      await rig.publish(TOPIC, "two");
      assert.deepEqual(bodies(await page()), ["one", "two"]);
      assert.deepEqual(bodies(await page({ since: ALWAYS })), ["one", "two"]);
      const { id } = new Topics({ ...rig, quotas: NO_QUOTAS, retentionMs: 1e9, clock: Date.now }).identify(TOPIC);
      assert.deepEqual(bodies(await page({ after: encodeCursor(id, { partition: 0, offset: -1 }) })), ["one", "two"]);
      // The first was delivered: the position moves, and so does what is missed.
      const post = await eventually("an attempt", () => rig.transport.posts[0]);
      post.post.answered(204, undefined);
      await eventually("the move", async () => bodies(await page()).join() === "two");
    }));

  it("A3.11 include what was published just before, for a subscription made just before", () =>
    withRig(async (rig) => {
      const { page } = over(rig);
      for (let n = 0; n < 20; n++) {
        const callback = `${CALLBACK}/${n}`;
        void rig.intend({ callback, verified: true });
        await eventually("the result in the log", async () => await rig.log.end("events", 0) === 2 * (n + 1));
        await rig.publish(TOPIC, `message ${n}`);
        assert.deepEqual(bodies(await page({}, callback)), [`message ${n}`]);
      }
    }));

  it("A4.4 come once, however often their publisher sent them", () =>
    withRig(async (rig) => {
      await rig.intend({ callback: CALLBACK, verified: true });
      const [id, sha256, topicId] = [keyedMessageIdOf("", topicIdOf(TOPIC), "k"), topicIdOf("one"), topicIdOf(TOPIC)];
      for (const body of ["one", "one again"]) {
        const headers = { [MESSAGE_HEADERS.id]: id, [MESSAGE_HEADERS.sha256]: sha256 };
        await rig.log.append("messages", { key: topicId, value: Buffer.from(body), headers });
      }
      await rig.publish(TOPIC, "two");
      await rig.crash();
      const transport = createScriptedTransport(() => "hold");
      await using again = await openCoreRig({ directory: rig.directory, transport });
      await again.publish(TOPIC, "three");
      const { page } = over(again);
      assert.deepEqual(bodies(await page({ since: ALWAYS })), ["one", "two", "three"]);
    }));

  it("are refused beyond the end, with the name of the parameter", () =>
    withRig(async (rig) => {
      const { page, stream, deadLetters } = over(rig);
      await rig.intend({ callback: CALLBACK, verified: true });
      await rig.publish(TOPIC, "one");
      const { id } = new Topics({ ...rig, quotas: NO_QUOTAS, retentionMs: 1e9, clock: Date.now }).identify(TOPIC);
      const at = (offset: number) => encodeCursor(id, { partition: 0, offset });
      assert.deepEqual(bodies(await page({ after: at(0) })), []);
      for (const offset of [1, 2 ** 40]) {
        const after = at(offset);
        await assert.rejects(page({ after }), refusal("invalid_request", /^after is beyond the end of the topic/));
        const last = refusal("invalid_request", /^Last-Event-ID is beyond the end of the topic/);
        await assert.rejects(stream({ lastEventId: after }), last);
      }
      const { next } = await deadLetters() as { next: string };
      const bytes = Buffer.from(next, "base64url");
      assert.equal(bytes.length, 22);
      await assert.rejects(deadLetters({ after: `${next}A` }), refusal("invalid_request", /^after .* is not a cursor/));
    }));

  it("of a topic that was registered anew begin at its new start", () =>
    withRig(async (rig) => {
      const { page } = over(rig);
      await rig.publish(TOPIC, "of its namesake");
      const end = await rig.log.end("messages", 0);
      await rig.append({ type: "register", id: operationId(), time: 1, topic: TOPIC, end });
      // It asks to begin before its topic begins.
      await rig.intend({ callback: CALLBACK, verified: true, start: 0 });
      await rig.publish(TOPIC, "its own");
      assert.deepEqual(bodies(await page()), ["its own"]);
    }));

  it("of an ended subscription are gone, and of an unknown or unverified one not found", () =>
    withRig(async (rig) => {
      const { page, stream, deadLetters } = over(rig);
      await rig.intend({ callback: CALLBACK });
      for (const ask of [page, stream, deadLetters]) {
        await assert.rejects(ask(), refusal("not_found", /There is no subscription/));
      }
      await rig.intend({ callback: CALLBACK, verified: true });
      await page();
      await rig.intend({ callback: CALLBACK, verified: true, mode: "unsubscribe" });
      for (const ask of [page, stream, deadLetters]) {
        await assert.rejects(ask(), refusal("gone", /has ended \(unsubscribed\)/));
      }
    }));

  it("follow live, until the subscription ends", () =>
    withRig(async (rig) => {
      const { stream, missed } = over(rig);
      await rig.intend({ callback: CALLBACK, verified: true, secret: "s" });
      const reader = await stream();
      assert.match(text(await reader.read()), /^retry/);
      const live = reader.read();
      await rig.publish(TOPIC, "live");
      assert.match(text(await live), /"body":"live"/);
      const rest = reader.read();
      await rig.intend({ callback: CALLBACK, verified: true, secret: "s" });
      assert.equal(missed.open, 1);
      await rig.intend({ callback: CALLBACK, verified: true, mode: "unsubscribe" });
      assert.equal((await rest).done, true);
      assert.equal(missed.open, 0);
    }));

  it("come whole and in order if they are larger than one read, from memory and from the log", () =>
    withRig(async (rig) => {
      await rig.intend({ callback: CALLBACK, verified: true });
      const large = Array.from({ length: 6 }, (_, n) => `${n}${"x".repeat(400_000)}`);
      // Much more than the tail keeps in memory.
      for (const body of [...large, ...Array.from({ length: 40 }, () => "y".repeat(500_000)), ...large]) {
        await rig.publish(TOPIC, body);
      }
      const { page, stream } = over(rig);
      const found: unknown[] = [];
      const reader = await stream();
      for (let query: Record<string, string> = {};;) {
        const part = await page(query);
        found.push(...bodies(part));
        query = { after: part.next };
        if (!part.more) break;
      }
      assert.equal(found.length, 52);
      assert.deepEqual([found.slice(0, 6), found.slice(46)], [large, large]);
      let events = "";
      while (events.split("\ndata: ").length <= 52) events += text(await reader.read());
      assert.deepEqual(
        Array.from(events.matchAll(/^data: (.*)$/gm), ([, data]) => (JSON.parse(data!) as { body: string }).body),
        found,
      );
      await reader.cancel();
    }));

  it("stop following when the subscription has ended and begun anew, even if the replica shows only the new one", () =>
    withRig(async (rig) => {
      const { stream } = over(rig);
      await rig.intend({ callback: CALLBACK, verified: true });
      const reader = await stream();
      // Folded together: the replica sees one record, of the next life.
      await Promise.all([
        rig.intend({ callback: CALLBACK, verified: true, mode: "unsubscribe" }),
        rig.intend({ callback: CALLBACK, verified: true }),
      ]);
      await reader.closed;
    }));

  it("stop following when the secret changes, and when the process stops", () =>
    withRig(async (rig) => {
      const { stream, missed } = over(rig);
      await rig.intend({ callback: CALLBACK, verified: true, secret: "old" });
      const first = await stream();
      await rig.intend({ callback: CALLBACK, verified: true, secret: "new" });
      await first.closed;
      const second = await stream();
      missed.close();
      await second.closed;
      const third = await stream();
      assert.deepEqual([(await third.read()).done, missed.open], [true, 0]);
    }));

  it("§6.7 a reader that takes nothing is given up, and its memory is free again", () =>
    withRig(async (rig) => {
      const { stream, missed } = over(rig, { stallMs: 50 });
      await rig.intend({ callback: CALLBACK, verified: true });
      await rig.publish(TOPIC, "x".repeat(500_000));
      const readers = [];
      for (let n = 0; n < 8; n++) {
        const reader = await stream();
        await reader.read();
        readers.push(reader);
      }
      await assert.rejects(stream(), refusal("too_many", /has 8 event streams already/));
      for (const reader of readers) await reader.closed;
      assert.equal(missed.open, 0);
      await (await stream()).cancel();
    }));

  it("are refused if the tail does not reach the log's end: messages that it has not passed may be repeats", () =>
    withRig(async (rig) => {
      const asked: number[] = [];
      const behind = {
        passed: (_partition: number, offset: number) => {
          asked.push(offset);
          return Promise.resolve(false);
        },
        watch: () => () => {},
        next: (partition: number) => rig.engine.delivery.tail.next(partition),
      };
      await rig.intend({ callback: CALLBACK, verified: true });
      await rig.publish(TOPIC, "one");
      await assert.rejects(over(rig, { tail: behind }).page(), refusal("unavailable", /has not caught up/));
      assert.deepEqual(asked, [1]);
    }));
});
