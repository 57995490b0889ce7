// WIRE §5: a subscriber, and only it, can get its missed messages page by page or as events.

import assert from "node:assert/strict";
import { answer, script } from "../support/servers/answers.ts";
import type { Callback } from "../support/servers/callback-server.ts";
import { eventually } from "../support/eventually.ts";
import {
  publish,
  published,
  request,
  statusOf,
  statusUntil,
  subscribed,
  unsubscribed,
} from "../support/hub/hub-client.ts";
import { encodeForm } from "../support/form.ts";
import { call } from "../support/servers/http.ts";
import {
  allMissed,
  ask,
  askSigned,
  deadLettersOf,
  type EventReader,
  missedOf,
  openEvents,
  type ReceivedEvent,
  subscriberSignature,
} from "../support/hub/missed-client.ts";
import type { Missed } from "../support/hub/missed-client.ts";
import { quiet, row } from "./rig.ts";
import type { Rig } from "./rig.ts";

const ALWAYS = "1970-01-01T00:00:00Z";
const texts = (messages: readonly Missed[]) => messages.map(({ body }) => body);
const numbered = (count: number, what = "message") => Array.from({ length: count }, (_, n) => `${what} ${n}`);

export function missedRows(rig: Rig): void {
  const { hub, callbacks } = rig;
  const wire = (title: string, run: () => Promise<void>) => row(rig, title, run, "wire");
  const settings = (title: string, run: () => Promise<void>) => row(rig, title, run, "settings");

  /** A subscriber that has confirmed and answers every delivery with 503. */
  async function down(topic: string, more: Readonly<Record<string, string>> = {}): Promise<Callback> {
    const callback = callbacks.callback();
    callback.onDelivery = answer(503);
    await subscribed(hub, topic, callback, more);
    return callback;
  }
  async function publishedAll(topic: string, bodies: readonly string[]): Promise<string[]> {
    const ids: string[] = [];
    for (const body of bodies) ids.push(await published(hub, topic, body));
    return ids;
  }

  wire("WIRE §5 a stream of events that has nothing to say says so every 15 s", async () => {
    const topic = rig.name();
    const callback = await down(topic);
    using events = await openEvents(hub, topic, callback.url);
    await eventually("a heartbeat", () => events.comments > 0, { deadlineMs: 25_000 });
    await published(hub, topic, "late");
    assert.deepEqual(texts((await events.received(1)).map(({ message }) => message)), ["late"]);
  });

  settings("WIRE §5 a parked subscriber's backlog is read page by page, and reading moves nothing", async () => {
    const topic = rig.name();
    const callback = await down(topic);
    const bodies = numbered(10);
    const ids = await publishedAll(topic, bodies);
    await statusUntil(hub, topic, callback.url, "parked", ({ state }) => state === "parked", 15_000);
    const pages = [];
    for (let more: Record<string, string> = { limit: "4" }; pages.length < 3;) {
      const page = await missedOf(hub, topic, callback.url, more);
      pages.push(page);
      more = { limit: "4", after: page.next };
    }
    assert.deepEqual(pages.map(({ messages, more }) => [messages.length, more]), [[4, true], [4, true], [2, false]]);
    const messages = pages.flatMap((page) => page.messages);
    assert.deepEqual(messages.map(({ id }) => id), ids);
    assert.deepEqual(texts(messages), bodies);
    for (const { contentType, publishedAt, cursor } of messages) {
      assert.equal(contentType, "text/plain");
      assert.ok(Math.abs(Date.parse(publishedAt) - Date.now()) < 60_000 && publishedAt.endsWith("Z"));
      assert.match(cursor, /^[\w-]{20,}$/);
    }
    const status = await statusOf(hub, topic, callback.url);
    // On Kafka an upper bound, where much stands in the partition.
    assert.ok(status!.lag >= 10, String(status!.lag));
    assert.equal(status?.state, "parked");
    callback.onDelivery = answer(204);
    await eventually("all of them", () => callback.deliveries.filter((one) => one.status === 204).length === 10);
    const pushed = callback.deliveries.filter(({ status: code }) => code === 204);
    assert.deepEqual(pushed.map(({ headers }) => headers["x-hub-cursor"]), messages.map(({ cursor }) => cursor));
    // From the position, which is the end now.
    await statusUntil(hub, topic, callback.url, "no lag", ({ lag }) => lag === 0);
    const rest = await missedOf(hub, topic, callback.url);
    assert.deepEqual([rest.messages, rest.more], [[], false]);
    assert.deepEqual(
      texts((await missedOf(hub, topic, callback.url, { after: messages[6]!.cursor })).messages),
      bodies.slice(7),
    );
  });

  wire("WIRE §5 bytes that are no UTF-8 come as base64, all others as text", async () => {
    const topic = rig.name();
    const callback = await down(topic);
    const bodies = [
      Buffer.from("plain"),
      Buffer.from('\ufeffé \0 \u2028 \r\n 😀 "quoted"'),
      Buffer.alloc(0),
      Buffer.from([0xff, 0x00, 0xfe]),
      Buffer.from([0xed, 0xa0, 0x80]),
      Buffer.from([0xc3]),
    ];
    for (const body of bodies) {
      assert.equal((await publish(hub, topic, { body, contentType: 'x/y; a="b"' })).status, 200);
    }
    const messages = await allMissed(hub, topic, callback.url);
    assert.deepEqual(messages.map(({ contentType }) => contentType), bodies.map(() => 'x/y; a="b"'));
    assert.deepEqual(messages.map(({ body }) => body !== undefined), [true, true, true, false, false, false]);
    const read = messages.map(({ body, bodyBase64 }) =>
      body === undefined ? Buffer.from(bodyBase64 ?? "", "base64") : Buffer.from(body)
    );
    assert.deepEqual(read, bodies);
    using events = await openEvents(hub, topic, callback.url);
    assert.deepEqual((await events.received(6)).map(({ message }) => message), messages);
  });

  wire("WIRE §5 since begins with what was published at that time, however the time is written", async () => {
    const topic = rig.name();
    const callback = await down(topic);
    await published(hub, topic, "one");
    // The log's clock counts in milliseconds.
    await new Promise((resolve) => setTimeout(resolve, 5));
    await publishedAll(topic, ["two", "three"]);
    const [, two] = await allMissed(hub, topic, callback.url);
    const at = two!.publishedAt;
    const eastern = `${new Date(Date.parse(at) + 2 * 3_600_000).toISOString().slice(0, -1)}999999+02:00`;
    for (const since of [at, eastern]) {
      assert.deepEqual(texts((await missedOf(hub, topic, callback.url, { since })).messages), ["two", "three"], since);
    }
    const all = await missedOf(hub, topic, callback.url, { since: ALWAYS });
    assert.deepEqual(texts(all.messages), ["one", "two", "three"]);
    // A clock that is a little ahead of the hub's.
    const soon = new Date(Date.now() + 60_000).toISOString();
    assert.deepEqual((await missedOf(hub, topic, callback.url, { since: soon })).messages, []);
    // If both are given, the later one counts, so that a reader may keep its first parameter.
    const both = await missedOf(hub, topic, callback.url, { since: ALWAYS, after: two!.cursor });
    assert.deepEqual(texts(both.messages), ["three"]);
  });

  wire("WIRE §5 a page has 100 messages unless limit says otherwise, 1,000 at most", async () => {
    const topic = rig.name();
    const callback = await down(topic);
    await Promise.all(numbered(105).map((body) => published(hub, topic, body)));
    for (
      const [limit, length, more] of [[undefined, 100, true], ["1", 1, true], ["105", 105, false], [
        "1000",
        105,
        false,
      ]] as const
    ) {
      const page = await missedOf(hub, topic, callback.url, limit === undefined ? {} : { limit });
      assert.deepEqual([page.messages.length, page.more], [length, more], `limit ${limit}`);
    }
  });

  wire("WIRE §5 paging on while publishing goes on misses nothing and repeats nothing", async () => {
    const topic = rig.name();
    const callback = await down(topic);
    const other = rig.name();
    const bodies = numbered(150);
    let done = false;
    const publishing = Promise.all([0, 1, 2].map(async (nth) => {
      for (const [n, body] of bodies.entries()) {
        if (n % 3 !== nth) continue;
        await published(hub, topic, body);
        await published(hub, other, "of another topic");
      }
    })).then(() => done = true);
    const found: Missed[] = [];
    for (let more: Record<string, string> = { limit: "7" };;) {
      const last = done;
      const page = await missedOf(hub, topic, callback.url, more);
      found.push(...page.messages);
      more = { limit: "7", after: page.next };
      if (last && !page.more) break;
    }
    await publishing;
    assert.equal(new Set(found.map(({ id }) => id)).size, found.length);
    assert.deepEqual(new Set(texts(found)), new Set(bodies));
    assert.equal(found.length, bodies.length);
    assert.deepEqual(await allMissed(hub, topic, callback.url), found, "in the log's order");
  });

  wire(
    "WIRE §5 nothing from before the subscription, nor from between two, unless hub.start asked for it",
    async () => {
      const topic = rig.name();
      const callback = callbacks.callback();
      const earliest = callbacks.callback();
      await subscribed(hub, topic, callbacks.callback());
      await published(hub, topic, "before");
      const [before] = await (async () => {
        await subscribed(hub, topic, earliest, { "hub.start": "earliest" });
        return await allMissed(hub, topic, earliest.url, { since: ALWAYS });
      })();
      await subscribed(hub, topic, callback);
      await published(hub, topic, "first life");
      await unsubscribed(hub, topic, callback);
      await published(hub, topic, "between");
      await subscribed(hub, topic, callback);
      await published(hub, topic, "second life");
      assert.equal(before?.body, "before");
      for (const more of [{ since: ALWAYS }, { after: before.cursor }]) {
        assert.deepEqual(texts(await allMissed(hub, topic, callback.url, more)), ["second life"]);
      }
      assert.deepEqual(texts(await allMissed(hub, topic, earliest.url, { since: ALWAYS })), [
        "before",
        "first life",
        "between",
        "second life",
      ]);
    },
  );

  wire(
    "WIRE §5 events: the backlog, then live, and after a hang-up on from Last-Event-ID, nothing lost or repeated",
    async () => {
      const topic = rig.name();
      const callback = await down(topic);
      await publishedAll(topic, ["one", "two", "three"]);
      const seen: { id: string; message: Missed }[] = [];
      {
        using events = await openEvents(hub, topic, callback.url);
        assert.deepEqual([events.status, events.contentType], [200, "text/event-stream"]);
        await events.received(3);
        await published(hub, topic, "four");
        seen.push(...await events.received(4));
      }
      await published(hub, topic, "while nobody reads");
      using again = await openEvents(hub, topic, callback.url, {
        // A reader of events keeps its URL, so its Last-Event-ID wins.
        more: { since: ALWAYS },
        headers: { "last-event-id": seen[3]!.id },
      });
      await again.received(1);
      // Published quickly, so that some come while others are read.
      await Promise.all(numbered(50, "live").map((body) => published(hub, topic, body)));
      seen.push(...await again.received(51));
      const all = await allMissed(hub, topic, callback.url);
      assert.deepEqual(seen.map(({ message }) => message), all);
      assert.deepEqual(seen.map(({ id }) => id), all.map(({ cursor }) => cursor));
      assert.equal(all.length, 55);
      await quiet([]);
      assert.equal(again.events.length, 51);
    },
  );

  wire("WIRE §5 events of many readers are each reader's own", async () => {
    const [topic, other] = [rig.name(), rig.name()];
    const callback = await down(topic);
    const stranger = await down(other);
    const readers = await Promise.all(Array.from({ length: 5 }, () => openEvents(hub, topic, callback.url)));
    using apart = await openEvents(hub, other, stranger.url);
    await Promise.all(numbered(20).map((body) => published(hub, topic, body)));
    await published(hub, other, "apart");
    const expected = await allMissed(hub, topic, callback.url);
    for (const reader of readers) {
      assert.deepEqual((await reader.received(20)).map(({ message }) => message), expected);
      reader.close();
    }
    assert.deepEqual(texts((await apart.received(1)).map(({ message }) => message)), ["apart"]);
    assert.equal(apart.events.length, 1);
  });

  wire("WIRE §5 a stream ends with its subscription, and with its secret", async () => {
    const topic = rig.name();
    const callback = await down(topic, { "hub.secret": "one" });
    const events = await openEvents(hub, topic, callback.url);
    await published(hub, topic, "first");
    await events.received(1);
    // The same secret: nothing changes for the reader.
    await subscribed(hub, topic, callback, { "hub.secret": "one" });
    await published(hub, topic, "second");
    await events.received(2);
    await subscribed(hub, topic, callback, { "hub.secret": "two" });
    await events.untilEnded();
    const second = await openEvents(hub, topic, callback.url, { headers: { "last-event-id": events.events[0]!.id } });
    assert.deepEqual(texts((await second.received(1)).map(({ message }) => message)), ["second"]);
    await unsubscribed(hub, topic, callback);
    await second.untilEnded();
    assert.equal((await openEvents(hub, topic, callback.url)).status, 410);
  });

  wire("WIRE §5 of an ended subscription only the status is told: 410; of an unknown one nothing: 404", async () => {
    const topic = rig.name();
    const callback = callbacks.callback();
    const pair = { topic, callback: callback.url };
    callback.onChallenge = answer(404);
    await request(hub, "subscribe", topic, callback.url);
    await callback.challenged();
    for (const path of ["/messages", "/dead-letters"] as const) {
      assert.equal((await ask(hub, path, pair)).status, 404);
      assert.equal((await ask(hub, path, { topic: rig.name(), callback: callback.url })).status, 404);
    }
    const ended = callbacks.callback();
    await subscribed(hub, topic, ended);
    await published(hub, topic, "one");
    await ended.delivered(1);
    await unsubscribed(hub, topic, ended);
    for (const path of ["/messages", "/dead-letters"] as const) {
      const reply = await ask(hub, path, { topic, callback: ended.url });
      assert.equal(reply.status, 410);
      assert.match(reply.headers["content-type"] ?? "", /^text\/plain/);
      assert.match(reply.text, /ended \(unsubscribed\)/);
    }
    assert.equal((await statusOf(hub, topic, ended.url))?.state, "unsubscribed");
  });

  settings("WIRE §5 after expiry what was missed can still be had, signed with the last secret", async () => {
    const topic = rig.name();
    const callback = callbacks.callback();
    await subscribed(hub, topic, callback, { "hub.secret": "last", "hub.lease_seconds": "2" });
    await statusUntil(hub, topic, callback.url, "expired", ({ state }) => state === "expired");
    await published(hub, topic, "too late to push");
    const reply = await askSigned(hub, "/messages", { topic, callback: callback.url }, "last");
    assert.equal(reply.status, 200, reply.text);
    assert.deepEqual(texts((JSON.parse(reply.text) as { messages: Missed[] }).messages), ["too late to push"]);
  });

  wire("WIRE §5 a signature that is right is as good as none in `open`, and one that is wrong is 401", async () => {
    // Characters that encodeURIComponent keeps and a URL parser may change.
    const topic = `${rig.name()} it's (a) *test*!~`;
    const callback = await down(topic, { "hub.secret": "sécret" });
    const without = await down(topic);
    await published(hub, topic, "mine");
    const pair = [["topic", topic], ["callback", callback.url]] as const;
    for (const path of ["/subscriptions", "/messages", "/dead-letters"] as const) {
      assert.equal((await askSigned(hub, path, [...pair, ["x", ""]], "sécret")).status, 200);
      const seconds = Math.floor(Date.now() / 1_000);
      const wrong = [
        await askSigned(hub, path, pair, "secret"),
        await askSigned(hub, path, pair, "sécret", { signature: (right) => flipBit(right) }),
        await askSigned(hub, path, pair, "sécret", {
          target: `${path}/?${encodeForm(pair)}`,
        }),
        await askSigned(hub, path, [["topic", topic], ["callback", without.url]], ""),
        await askSigned(hub, path, [["topic", topic], ["callback", "http://127.0.0.1:9/nobody"]], "sécret"),
        await askSigned(hub, path, [["topic", rig.name()], ["callback", callback.url]], "sécret"),
      ];
      assert.equal(new Set(wrong.map(({ text }) => text)).size, 1, wrong.map(({ text }) => text).join());
      const others = [
        await askSigned(hub, path, pair, "sécret", { timestamp: String(seconds - 310) }),
        await askSigned(hub, path, pair, "sécret", { timestamp: String(seconds + 310) }),
        await askSigned(hub, path, pair, "sécret", { timestamp: "yesterday" }),
        await askSigned(hub, path, pair, "sécret", { signature: (right) => right.slice(3) }),
        await ask(hub, path, { topic, callback: callback.url }, {}, { "x-subscriber-signature": "v1=x" }),
        await ask(hub, path, { topic, callback: callback.url }, {}, { "x-subscriber-timestamp": String(seconds) }),
      ];
      for (const reply of [...wrong, ...others]) {
        assert.equal(reply.status, 401, reply.text);
        assert.equal(reply.headers["www-authenticate"], "Bearer");
        assert.match(reply.headers["content-type"] ?? "", /^text\/plain/);
        assert.match(reply.text, /^X-Subscriber-(Signature|Timestamp) /);
        assert.doesNotMatch(reply.text, /mine|sécret/);
      }
    }
  });

  wire("WIRE §5 by v2= Last-Event-ID wins; by v1=, which does not cover it, it only leads on", async () => {
    const topic = rig.name();
    const callback = await down(topic, { "hub.secret": "s" });
    for (const body of ["zero", "one", "two"]) await published(hub, topic, body);
    const cursors = (await missedOf(hub, topic, callback.url)).messages.map(({ cursor }) => cursor);
    const open = async (after: number, last: number, version: "v1" | "v2", sent = last) => {
      const more = { after: cursors[after]! };
      const target = `/messages?${encodeForm({ topic, callback: callback.url, ...more })}`;
      const signed = subscriberSignature("s", { target, version, lastEventId: cursors[last]!, events: true });
      const headers = { ...signed, "last-event-id": cursors[sent]! };
      return await openEvents(hub, topic, callback.url, { more, headers });
    };
    const first = async (opened: Promise<EventReader>) => {
      using events = await opened;
      const [{ message }] = await events.received(1) as [ReceivedEvent];
      return message.body;
    };
    assert.equal(await first(open(1, 0, "v2")), "one");
    assert.equal(await first(open(1, 0, "v1")), "two", "nothing is read that the signed request would not read");
    using altered = await open(1, 0, "v2", 1);
    assert.equal(altered.status, 401);
    using onwards = await open(0, 2, "v1");
    await published(hub, topic, "three");
    assert.equal(await first(Promise.resolve(onwards)), "three");
  });

  settings("WIRE §5 a message that was given up is a dead letter of its subscription and its life", async () => {
    const topic = rig.name();
    const callback = callbacks.callback();
    const other = callbacks.callback();
    const no = answer(422);
    callback.onDelivery = script(no, no, no, no, no, no, no, no, no, no, answer(204));
    await subscribed(hub, topic, callback);
    await subscribed(hub, topic, other);
    const before = Date.now() - 1;
    const ids = await publishedAll(topic, ["bad", "worse", "good"]);
    await callback.delivered(11, 20_000);
    const page = await eventually("two dead letters", async () => {
      const found = await deadLettersOf(hub, topic, callback.url);
      return found.deadLetters.length === 2 && found;
    });
    assert.equal(page.more, false);
    const cursors = (await allMissed(hub, topic, callback.url, { since: ALWAYS })).map(({ cursor }) => cursor);
    for (const [nth, letter] of page.deadLetters.entries()) {
      assert.deepEqual([letter.id, letter.cursor, letter.status, letter.attempts], [ids[nth], cursors[nth], 422, 5]);
      assert.match(letter.reason, /422/);
      const [first, last] = [Date.parse(letter.firstAt), Date.parse(letter.lastAt)];
      assert.ok(before <= first && first <= last && last <= Date.now() + 1);
    }
    const [first] = page.deadLetters;
    const one = await deadLettersOf(hub, topic, callback.url, { limit: "1" });
    assert.deepEqual([one.deadLetters, one.more], [[first], true]);
    for (const after of [one.next, first!.cursor]) {
      const rest = await deadLettersOf(hub, topic, callback.url, { after });
      assert.deepEqual([rest.deadLetters, rest.more], [page.deadLetters.slice(1), false]);
    }
    for (const after of [page.next, cursors[2]!]) {
      assert.deepEqual((await deadLettersOf(hub, topic, callback.url, { after })).deadLetters, []);
    }
    assert.deepEqual((await deadLettersOf(hub, topic, other.url)).deadLetters, []);
    // A place in one list is not valid in another list, and is not a cursor.
    const pair = { topic, callback: other.url };
    assert.match((await ask(hub, "/dead-letters", pair, { after: page.next })).text, /^after .* another topic/);
    assert.match((await ask(hub, "/messages", pair, { after: page.next })).text, /^after .* another topic/);
    await unsubscribed(hub, topic, callback);
    await subscribed(hub, topic, callback);
    assert.deepEqual((await deadLettersOf(hub, topic, callback.url)).deadLetters, []);
  });

  wire("WIRE §5 what is wrong with a question is said by its name, with 400", async () => {
    const [topic, other] = [rig.name(), rig.name()];
    const callback = await down(topic);
    const stranger = await down(other);
    await published(hub, topic, "mine");
    await published(hub, other, "theirs");
    const [mine] = await allMissed(hub, topic, callback.url);
    const [theirs] = await allMissed(hub, other, stranger.url);
    const cursor = mine!.cursor;
    const swapped = `${cursor.slice(0, -6)}${cursor.at(-5)}${cursor.at(-6)}${cursor.slice(-4)}`;
    const CURSORS: readonly [value: string, says: RegExp][] = [
      ["", /is not a cursor of this hub/],
      ["x", /is a cursor of another version|is not a cursor/],
      [cursor.slice(0, -1), /is not a cursor of this hub/],
      [`${cursor}A`, /is not a cursor of this hub/],
      [swapped, /is not a cursor of this hub/],
      [flipBit(cursor), /is not a cursor of this hub/],
      [`B${cursor.slice(1)}`, /is a cursor of another version/],
      [theirs!.cursor, /is a cursor of another topic/],
      ["%00\u0000é", /is not a cursor of this hub/],
      ["9".repeat(2_000), /is not a cursor|another version/],
    ];
    const TIMES = [
      "",
      "yesterday",
      "2026-13-01T00:00:00Z",
      "2026-01-01",
      "2026-01-01T00:00:00",
      "1700000000",
      "9999-01-01T00:00:00Z",
    ];
    const LIMITS = ["", "0", "-1", "1001", "1.5", "1e2", "abc", "9".repeat(400)];
    const pair = { topic, callback: callback.url };
    const asJson = { accept: "application/json" };
    const asEvents = { accept: "text/event-stream" };
    const refused = async (
      path: "/messages" | "/dead-letters",
      more: Record<string, string>,
      headers: Record<string, string>,
      says: RegExp,
    ) => {
      const reply = await ask(hub, path, pair, more, headers);
      assert.equal(reply.status, 400, `${JSON.stringify(more)}: ${reply.text}`);
      assert.match(reply.headers["content-type"] ?? "", /^text\/plain/);
      assert.match(reply.text, says);
      assert.ok(reply.text.length < 300 && !/theirs| {4}at /.test(reply.text), reply.text);
    };
    for (const headers of [asJson, asEvents]) {
      for (const [after, says] of CURSORS) {
        await refused("/messages", { after }, headers, /^after /);
        await refused("/messages", { after }, headers, says);
      }
      for (const since of TIMES) await refused("/messages", { since }, headers, /^since /);
      for (const limit of LIMITS) await refused("/messages", { limit }, headers, /^limit /);
    }
    for (const [after] of CURSORS) await refused("/dead-letters", { after }, asJson, /^after /);
    for (const limit of LIMITS) await refused("/dead-letters", { limit }, asJson, /^limit /);
    for (const id of ["x", theirs!.cursor, cursor.slice(1), "\u00ff"]) {
      await refused("/messages", {}, { ...asEvents, "last-event-id": id }, /^Last-Event-ID /);
    }
    for (const path of ["/messages", "/dead-letters"]) {
      const QUERIES = [
        ["", /^topic is missing/],
        ["?topic=&callback=c", /^topic is empty/],
        ["?topic=t", /^callback is missing/],
        ["?topic=t&callback=", /^callback is missing/],
        [`?topic=t&callback=${"c".repeat(3_000)}`, /^callback is longer/],
        ["?topic=%ff&callback=c", /topic.* is not percent-encoded/],
        ["?topic=t&callback=%", /callback.* is not percent-encoded/],
        ["?topic=a%00b&callback=c", /^topic has a control/],
      ] as const;
      for (const [query, says] of QUERIES) {
        const reply = await call(`${hub.base}${path}${query}`);
        assert.deepEqual([reply.status, says.test(reply.text)], [400, true], `${query}: ${reply.text}`);
      }
    }
  });

  wire("WIRE §5 the paths take GET and HEAD, with or without a slash at the end", async () => {
    const topic = rig.name();
    const callback = await down(topic);
    const query = `topic=${encodeURIComponent(topic)}&callback=${encodeURIComponent(callback.url)}`;
    for (const path of ["/messages", "/dead-letters"]) {
      assert.equal((await call(`${hub.base}${path}/?${query}`)).status, 200);
      const head = await call(`${hub.base}${path}?${query}`, {
        method: "HEAD",
        headers: { accept: "text/event-stream" },
      });
      assert.deepEqual([head.status, head.text], [200, ""]);
      for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
        const reply = await call(`${hub.base}${path}?${query}`, { method });
        assert.deepEqual([reply.status, reply.headers.allow], [405, "GET, HEAD"]);
      }
    }
  });
}

/** The text with the lowest bit of its 6th base64 digit from the end flipped. */
function flipBit(text: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  const at = text.length - 6;
  const index = alphabet.indexOf(text[at]!);
  const flipped = index < 0 ? "A" : alphabet[index ^ 1] ?? "A";
  return `${text.slice(0, at)}${flipped}${text.slice(at + 1)}`;
}
