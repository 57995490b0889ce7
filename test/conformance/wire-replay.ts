// WIRE §5: dead letters are sent again on request, at most once per key, beside what is being delivered.

import assert from "node:assert/strict";
import { answer } from "../support/servers/answers.ts";
import type { Callback } from "../support/servers/callback-server.ts";
import { eventually } from "../support/eventually.ts";
import { encodeForm } from "../support/form.ts";
import { call, type Reply } from "../support/servers/http.ts";
import { published, statusOf, statusUntil, subscribed, unsubscribed } from "../support/hub/hub-client.ts";
import { deadLettersOf, subscriberSignature } from "../support/hub/missed-client.ts";
import type { Responder } from "../support/servers/recording-server.ts";
import { bodies, quiet, row } from "./rig.ts";
import type { Rig } from "./rig.ts";

const FORM = "application/x-www-form-urlencoded";

export function replayRows(rig: Rig): void {
  const { hub, callbacks } = rig;
  const wire = (title: string, run: () => Promise<void>) => row(rig, title, run, "wire");
  const settings = (title: string, run: () => Promise<void>) => row(rig, title, run, "settings");
  let keys = 0;
  const newKey = () => `key-${keys += 1}`;

  const replay = (parameters: Readonly<Record<string, string>>, headers: Readonly<Record<string, string>> = {}) =>
    call(`${hub.base}/dead-letters/replay`, {
      method: "POST",
      body: encodeForm(parameters),
      headers: { "content-type": FORM, ...headers },
    });
  const keyed = (parameters: Readonly<Record<string, string>>, key: string): Promise<Reply> =>
    replay(parameters, { "idempotency-key": key });

  /** A subscription that refused every "bad" message, so that each is a dead letter. */
  async function withDeadLetters(bad: readonly string[], more: Readonly<Record<string, string>> = {}) {
    const topic = rig.name();
    const callback = callbacks.callback();
    callback.onDelivery = refusing(422);
    await subscribed(hub, topic, callback, more);
    const ids: string[] = [];
    for (const body of bad) ids.push(await published(hub, topic, body));
    const letters = await eventually("the dead letters", async () => {
      const { deadLetters } = await deadLettersOf(hub, topic, callback.url);
      return deadLetters.length === bad.length && deadLetters;
    }, { deadlineMs: 20_000 });
    await statusUntil(hub, topic, callback.url, "no lag", ({ lag }) => lag === 0);
    return { topic, callback, ids, letters, pair: { topic, callback: callback.url }, seen: callback.deliveries.length };
  }
  const refusing = (status: number): Responder => (request, response) =>
    (request.body.toString().startsWith("bad") ? answer(status) : answer(204))(request, response);
  const since = (callback: Callback, seen: number) => callback.deliveries.slice(seen).map(({ body }) => String(body));
  const letterIds = async (topic: string, callback: Callback) =>
    (await deadLettersOf(hub, topic, callback.url)).deadLetters.map(({ id }) => id);

  settings(
    "WIRE §5 a replay sends all dead letters again in order, signed and named as before, and they are none then",
    async () => {
      const { topic, callback, ids, letters, pair, seen } = await withDeadLetters(["bad 1", "bad 2", "bad 3"], {
        "hub.secret": "a secret",
      });
      callback.onDelivery = answer(204);
      const reply = await keyed(pair, newKey());
      assert.equal(reply.status, 200, reply.text);
      assert.equal((JSON.parse(reply.text) as { state: string }).state, "active");
      await eventually("all three", () => since(callback, seen).length === 3);
      assert.deepEqual(since(callback, seen), ["bad 1", "bad 2", "bad 3"]);
      const again = callback.deliveries.slice(seen);
      assert.deepEqual(again.map(({ headers }) => headers["webhook-id"]), ids);
      assert.deepEqual(again.map(({ headers }) => headers["x-hub-cursor"]), letters.map(({ cursor }) => cursor));
      assert.deepEqual(
        again.map(({ headers }) => headers["x-hub-signature"]),
        ids.map((id) =>
          callback.deliveries.find(({ headers }) => headers["webhook-id"] === id)!.headers["x-hub-signature"]
        ),
      );
      await eventually("no dead letters", async () => (await letterIds(topic, callback)).length === 0);
      await quiet([callback]);
      assert.equal((await statusOf(hub, topic, callback.url))?.lag, 0);
    },
  );

  settings("WIRE §5 a replay of one id sends that one", async () => {
    const { topic, callback, ids, pair, seen } = await withDeadLetters(["bad 1", "bad 2", "bad 3"]);
    callback.onDelivery = answer(204);
    assert.equal((await keyed({ ...pair, id: ids[1]! }, newKey())).status, 200);
    await eventually("the one", async () => (await letterIds(topic, callback)).length === 2);
    await quiet([callback]);
    assert.deepEqual(since(callback, seen), ["bad 2"]);
    assert.deepEqual(await letterIds(topic, callback), [ids[0], ids[2]]);
  });

  settings("WIRE §5 a replay acts at most once per Idempotency-Key, also where copies race", async () => {
    const { topic, callback, ids, pair, seen } = await withDeadLetters(["bad 1", "bad 2"]);
    const key = newKey();
    const replies = await Promise.all(Array.from({ length: 8 }, () => keyed({ ...pair, id: ids[0]! }, key)));
    assert.deepEqual(replies.map(({ status }) => status), Array.from({ length: 8 }, () => 200));
    // If it is refused again, it stays one dead letter, after as many attempts as the first time.
    await eventually("its attempts", () => callback.deliveries.length === seen + 5, { deadlineMs: 20_000 });
    assert.equal((await keyed({ ...pair, id: ids[0]! }, key)).status, 200);
    const other = await keyed({ ...pair, id: ids[1]! }, key);
    assert.equal(other.status, 422, other.text);
    assert.match(other.text, /Idempotency-Key/);
    await quiet([callback], 800);
    assert.deepEqual(since(callback, seen), Array.from({ length: 5 }, () => "bad 1"));
    assert.deepEqual(await letterIds(topic, callback), ids);
  });

  settings(
    "WIRE §5 a replay that hangs or fails holds nothing up, and reorders nothing that is being delivered",
    async () => {
      const { topic, callback, pair, seen } = await withDeadLetters(["bad 1", "bad 2"]);
      assert.equal((await keyed(pair, newKey())).status, 200);
      await eventually("its first attempt", () => since(callback, seen).length > 0);
      const good = Array.from({ length: 20 }, (_, n) => `good ${n}`);
      for (const body of good) await published(hub, topic, body);
      await eventually("what was published meanwhile", () => since(callback, seen).includes("good 19"));
      assert.deepEqual(since(callback, seen).filter((body) => body.startsWith("good")), good);
      await statusUntil(hub, topic, callback.url, "no lag", ({ lag, lastError }) => lag === 0 && lastError === null);
    },
  );

  settings("WIRE §5 a replay waits while its subscription fails, and ends with it", async () => {
    const { topic, callback, pair, seen } = await withDeadLetters(["bad 1"]);
    callback.onDelivery = answer(503);
    await published(hub, topic, "good");
    await eventually("a failure", () => callback.deliveries.some(({ status }) => status === 503));
    assert.equal((await keyed(pair, newKey())).status, 200);
    await quiet([callbacks.callback()], 300);
    assert.equal(since(callback, seen).includes("bad 1"), false);
    callback.onDelivery = answer(204);
    await eventually("both", () => since(callback, seen).includes("bad 1"));
    assert.ok(since(callback, seen).indexOf("good") < since(callback, seen).indexOf("bad 1"));

    const ending = await withDeadLetters(["bad 1"]);
    ending.callback.onDelivery = answer(503);
    await published(hub, ending.topic, "good");
    await eventually("a failure", () => ending.callback.deliveries.some(({ status }) => status === 503));
    assert.equal((await keyed(ending.pair, newKey())).status, 200);
    await unsubscribed(hub, ending.topic, ending.callback);
    ending.callback.onDelivery = answer(204);
    const after = ending.callback.deliveries.length;
    await subscribed(hub, ending.topic, ending.callback);
    await quiet([ending.callback], 800);
    assert.deepEqual(since(ending.callback, after), []);
    assert.equal((await keyed(ending.pair, newKey())).status, 200, "the new life has none");
  });

  wire("WIRE §5 a replay of nothing is 200 and sends nothing", async () => {
    const topic = rig.name();
    const callback = callbacks.callback();
    await subscribed(hub, topic, callback);
    assert.equal((await keyed({ topic, callback: callback.url }, newKey())).status, 200);
    await quiet([callback]);
    assert.deepEqual(bodies(callback), []);
  });

  wire("WIRE §5 what is wrong with a replay is a 4xx that names the field", async () => {
    const topic = rig.name();
    const callback = callbacks.callback();
    await subscribed(hub, topic, callback);
    const pair = { topic, callback: callback.url };
    const without = await replay(pair);
    assert.deepEqual([without.status, /Idempotency-Key/.test(without.text)], [400, true], without.text);
    for (const key of ["", "x".repeat(256), "with space", "ü"]) {
      const reply = await keyed(pair, Buffer.from(key).toString("latin1"));
      assert.deepEqual([reply.status, /Idempotency-Key/.test(reply.text)], [400, true], `"${key}": ${reply.text}`);
    }
    const refused: [Record<string, string>, status: number, names: RegExp][] = [
      [{ callback: callback.url }, 400, /topic/],
      [{ topic }, 400, /callback/],
      [{ ...pair, id: "no such id" }, 404, /^id /],
      [{ ...pair, id: "x".repeat(300) }, 400, /^id /],
      [{ topic, callback: `${callback.url}/unknown` }, 404, /callback/],
    ];
    for (const [parameters, status, names] of refused) {
      const reply = await keyed(parameters, newKey());
      assert.equal(reply.status, status, `${JSON.stringify(parameters)}: ${reply.text}`);
      assert.match(reply.text, names);
    }
    const get = await call(`${hub.base}/dead-letters/replay`);
    assert.deepEqual([get.status, get.headers.allow], [405, "POST"]);
    const json = await call(`${hub.base}/dead-letters/replay`, {
      body: "{}",
      headers: { "idempotency-key": newKey() },
    });
    assert.deepEqual([json.status, /Content-Type/.test(json.text)], [400, true]);
    await unsubscribed(hub, topic, callback);
    assert.equal((await keyed(pair, newKey())).status, 410);
  });

  wire("WIRE §5 A3.8 more than 64 keys of a pair are 429, and those that acted are known still", async () => {
    const topic = rig.name();
    const callback = callbacks.callback();
    await subscribed(hub, topic, callback);
    const pair = { topic, callback: callback.url };
    const first = newKey();
    assert.equal((await keyed(pair, first)).status, 200);
    for (let n = 1; n < 64; n++) assert.equal((await keyed(pair, newKey())).status, 200);
    const reply = await keyed(pair, newKey());
    assert.equal(reply.status, 429, reply.text);
    assert.equal((await keyed(pair, first)).status, 200);
  });

  settings("WIRE §5 a signature stands in for a token of a replay too, and a wrong one does not", async () => {
    const secret = "a secret of some length";
    const { callback, pair, seen } = await withDeadLetters(["bad 1"], { "hub.secret": secret });
    callback.onDelivery = answer(204);
    const signedBy = (by: string) =>
      subscriberSignature(by, { method: "POST", target: "/dead-letters/replay", body: encodeForm(pair) });
    const wrong = await replay(pair, { ...signedBy("another secret"), "idempotency-key": newKey() });
    assert.equal(wrong.status, 401, wrong.text);
    const right = { ...signedBy(secret), "idempotency-key": newKey() };
    assert.equal((await replay(pair, right)).status, 200);
    assert.equal((await replay(pair, right)).status, 200);
    await eventually("the letter", () => since(callback, seen).length === 1);
    await quiet([callback]);
    assert.deepEqual(since(callback, seen), ["bad 1"]);
  });

  settings("WIRE §5 a signed replay acts once, under however many keys, and never keeps its owner out", async () => {
    const secret = "a secret of some length";
    const { callback, ids, pair, seen } = await withDeadLetters(["bad 1", "bad 2"], { "hub.secret": secret });
    callback.onDelivery = answer(204);
    const wish = { ...pair, id: ids[0]! };
    const signed = (parameters: Readonly<Record<string, string>>, key?: string) =>
      subscriberSignature(secret, {
        method: "POST",
        target: "/dead-letters/replay",
        body: encodeForm(parameters),
        ...(key === undefined ? {} : { version: "v2", idempotencyKey: key }),
      });
    const captured = signed(wish);
    const replies = await Promise.all(
      Array.from({ length: 70 }, () => replay(wish, { ...captured, "idempotency-key": newKey() })),
    );
    assert.deepEqual([...new Set(replies.map(({ status }) => status))], [200]);
    await eventually("the letter", () => since(callback, seen).length === 1);

    const key = newKey();
    const own = signed(pair, key);
    const altered = await replay(pair, { ...own, "idempotency-key": newKey() });
    assert.equal(altered.status, 401, "v2= covers the key");
    for (let n = 0; n < 2; n++) assert.equal((await replay(pair, { ...own, "idempotency-key": key })).status, 200);
    assert.equal((await replay(pair, { ...signed(pair), "idempotency-key": key })).status, 200, "the key, signed anew");
    await eventually("the other letter", () => since(callback, seen).length === 2);
    await quiet([callback]);
    assert.deepEqual(since(callback, seen), ["bad 1", "bad 2"]);
  });
}
