// WIRE §5: a subscriber moves its position: forward by ack, back or forward by resume.

import assert from "node:assert/strict";
import { answer } from "../support/servers/answers.ts";
import type { Callback } from "../support/servers/callback-server.ts";
import { eventually } from "../support/eventually.ts";
import { encodeForm } from "../support/form.ts";
import {
  published,
  request,
  type Status,
  statusOf,
  statusUntil,
  subscribed,
  unsubscribed,
} from "../support/hub/hub-client.ts";
import { call, type Reply } from "../support/servers/http.ts";
import { missedOf, subscriberSignature } from "../support/hub/missed-client.ts";
import { bodies, quiet, row } from "./rig.ts";
import type { Rig } from "./rig.ts";

const FORM = "application/x-www-form-urlencoded";

export function movingRows(rig: Rig): void {
  const { hub, callbacks } = rig;
  const wire = (title: string, run: () => Promise<void>) => row(rig, title, run, "wire");
  const settings = (title: string, run: () => Promise<void>) => row(rig, title, run, "settings");

  const move = (
    what: "ack" | "resume",
    parameters: Readonly<Record<string, string>>,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Reply> =>
    call(`${hub.base}/subscriptions/${what}`, {
      method: "POST",
      body: encodeForm(parameters),
      headers: { "content-type": FORM, ...headers },
    });
  const delivered = (callback: Callback) => callback.deliveries.filter(({ status }) => status === 204);

  async function withBacklog(count: number, more: Readonly<Record<string, string>> = {}) {
    const topic = rig.name();
    const callback = callbacks.callback();
    callback.onDelivery = answer(503);
    await subscribed(hub, topic, callback, more);
    for (let n = 0; n < count; n++) await published(hub, topic, `message ${n}`);
    const { messages } = await missedOf(hub, topic, callback.url);
    assert.equal(messages.length, count);
    return { topic, callback, messages, pair: { topic, callback: callback.url } };
  }

  settings("WIRE §5 an ack moves the position forward to its cursor, and what it covers is not pushed", async () => {
    const { topic, callback, messages, pair } = await withBacklog(5);
    const reply = await move("ack", { ...pair, cursor: messages[2]!.cursor });
    assert.equal(reply.status, 200, reply.text);
    assert.equal((JSON.parse(reply.text) as Status).lag, 2);
    const back = await move("ack", { ...pair, cursor: messages[0]!.cursor });
    assert.deepEqual([back.status, (JSON.parse(back.text) as Status).lag], [200, 2], "backwards changes nothing");
    assert.deepEqual((await missedOf(hub, topic, callback.url)).messages.map(({ body }) => body), [
      "message 3",
      "message 4",
    ]);
    callback.onDelivery = answer(204);
    await eventually("the rest", () => delivered(callback).length === 2);
    await quiet([callback]);
    assert.deepEqual(delivered(callback).map(({ body }) => String(body)), ["message 3", "message 4"]);
  });

  wire("WIRE §5 a pull consumer acks all it has and nothing is left", async () => {
    const { topic, callback, messages, pair } = await withBacklog(3);
    assert.equal((await move("ack", { ...pair, cursor: messages[2]!.cursor })).status, 200);
    const status = await statusOf(hub, topic, callback.url);
    assert.equal(status?.lag, 0);
  });

  wire("WIRE §5 resume pushes again from a cursor, a time or the earliest, in order", async () => {
    const topic = rig.name();
    const callback = callbacks.callback();
    await subscribed(hub, topic, callback);
    const pair = { topic, callback: callback.url };
    for (const body of ["one", "two", "three"]) await published(hub, topic, body);
    await eventually("all three", () => bodies(callback).length === 3);
    const [one] = callback.deliveries;
    await statusUntil(hub, topic, callback.url, "no lag", ({ lag }) => lag === 0);
    assert.equal((await move("resume", { ...pair, from: String(one!.headers["x-hub-cursor"]) })).status, 200);
    await eventually("two more", () => bodies(callback).length === 5);
    assert.equal((await move("resume", { ...pair, from: "earliest" })).status, 200);
    await eventually("three more", () => bodies(callback).length === 8);
    assert.equal((await move("resume", { ...pair, from: "2020-01-01T00:00:00Z" })).status, 200);
    await eventually("and three more", () => bodies(callback).length === 11);
    const all = ["one", "two", "three"];
    assert.deepEqual(bodies(callback), [...all, "two", "three", ...all, ...all]);
    await published(hub, topic, "four");
    await eventually("the next", () => bodies(callback).at(-1) === "four");
    await quiet([callback]);
    assert.equal(bodies(callback).length, 12);
  });

  settings(
    "WIRE §4 §5 a resume without from tries a parked subscription at once, and it goes on in order",
    async () => {
      const { topic, callback, pair } = await withBacklog(3);
      await statusUntil(hub, topic, callback.url, "parked", ({ state }) => state === "parked", 15_000);
      callback.onDelivery = answer(204);
      assert.equal((await move("resume", pair)).status, 200);
      await eventually("all of them", () => delivered(callback).length === 3);
      assert.deepEqual(delivered(callback).map(({ body }) => String(body)), ["message 0", "message 1", "message 2"]);
    },
  );

  wire("WIRE §5 a resume from before the subscription's start begins at its start", async () => {
    const topic = rig.name();
    await published(hub, topic, "before");
    const callback = callbacks.callback();
    await subscribed(hub, topic, callback);
    await published(hub, topic, "after");
    await eventually("the one", () => bodies(callback).length === 1);
    assert.equal((await move("resume", { topic, callback: callback.url, from: "2020-01-01T00:00:00Z" })).status, 200);
    await eventually("the one again", () => bodies(callback).length === 2);
    await quiet([callback]);
    assert.deepEqual(bodies(callback), ["after", "after"]);
  });

  wire("WIRE §5 a signed resume acts once, and a signature that is wrong does not act", async () => {
    const topic = rig.name();
    const secret = "a secret of some length";
    const callback = callbacks.callback();
    await subscribed(hub, topic, callback, { "hub.secret": secret });
    await published(hub, topic, "one");
    await eventually("the one", () => bodies(callback).length === 1);
    const parameters = { topic, callback: callback.url, from: "earliest" };
    const signed = subscriberSignature(secret, {
      method: "POST",
      target: "/subscriptions/resume",
      body: encodeForm(parameters),
    });
    assert.equal((await move("resume", parameters, signed)).status, 200);
    await eventually("it again", () => bodies(callback).length === 2);
    assert.equal((await move("resume", parameters, signed)).status, 200);
    const altered = await move("resume", { ...parameters, from: "2020-01-01T00:00:00Z" }, signed);
    assert.equal(altered.status, 401, altered.text);
    await quiet([callback]);
    assert.equal(bodies(callback).length, 2);
  });

  wire("WIRE §5 a signed ack acts once, also after a resume, and each ack that is signed anew acts", async () => {
    const secret = "a secret of some length";
    const { messages, pair } = await withBacklog(3, { "hub.secret": secret });
    const signed = (what: "ack" | "resume", parameters: Readonly<Record<string, string>>, version?: "v2") => {
      const body = encodeForm(parameters);
      return subscriberSignature(secret, { method: "POST", target: `/subscriptions/${what}`, body, version });
    };
    const lag = async (sent: Promise<Reply>) => {
      const reply = await sent;
      assert.equal(reply.status, 200, reply.text);
      return (JSON.parse(reply.text) as Status).lag;
    };
    const acked = { ...pair, cursor: messages[1]!.cursor };
    const captured = signed("ack", acked);
    assert.equal(await lag(move("ack", acked, captured)), 1);
    assert.equal(await lag(move("ack", acked, captured)), 1);
    const back = { ...pair, from: "earliest" };
    assert.equal(await lag(move("resume", back, signed("resume", back, "v2"))), 3);
    for (const beside of [{}, { "idempotency-key": "x" }, { "last-event-id": "x" }, { accept: "text/event-stream" }]) {
      assert.equal(await lag(move("ack", acked, { ...captured, ...beside })), 3, JSON.stringify(beside));
    }
    const elsewhere = await call(`${hub.base}/subscriptions/ack/`, {
      method: "POST",
      body: encodeForm(acked),
      headers: { "content-type": FORM, ...captured },
    });
    assert.equal(elsewhere.status, 401, "another spelling of the path is another request");
    const first = { ...pair, cursor: messages[0]!.cursor };
    assert.equal(await lag(move("ack", first, signed("ack", first, "v2"))), 2);
    assert.equal(await lag(move("ack", acked, signed("ack", acked, "v2"))), 1);
  });

  wire("WIRE §5 what is wrong with an ack or a resume is a 4xx that names the field", async () => {
    const { topic, messages, pair, callback } = await withBacklog(1);
    const { cursor } = messages[0]!;
    const other = await withBacklog(1);
    const refused: [what: "ack" | "resume", Record<string, string>, status: number, names: RegExp][] = [
      ["ack", pair, 400, /cursor/],
      ["ack", { ...pair, cursor: "" }, 400, /cursor/],
      ["ack", { ...pair, cursor: "nonsense" }, 400, /cursor/],
      ["ack", { ...pair, cursor: cursor.slice(0, -2) }, 400, /cursor/],
      ["ack", { ...pair, cursor: other.messages[0]!.cursor }, 400, /cursor/],
      ["ack", { ...pair, cursor: "x".repeat(2_000) }, 400, /cursor/],
      ["ack", { callback: callback.url, cursor }, 400, /topic/],
      ["ack", { topic, cursor }, 400, /callback/],
      ["resume", { ...pair, from: "nonsense" }, 400, /from/],
      ["resume", { ...pair, from: "2999-01-01T00:00:00Z" }, 400, /from/],
      ["resume", { ...pair, from: "2026-02-31T25:00:00Z" }, 400, /from/],
      ["resume", { topic, callback: `${callback.url}/unknown` }, 404, /callback/],
    ];
    for (const [what, parameters, status, names] of refused) {
      const reply = await move(what, parameters);
      assert.equal(reply.status, status, `${what} ${JSON.stringify(parameters)}: ${reply.text}`);
      assert.match(decodeURIComponent(reply.text), names);
    }
    const json = await call(`${hub.base}/subscriptions/ack`, { method: "POST", body: "{}" });
    assert.deepEqual([json.status, /Content-Type/.test(json.text)], [400, true]);
    const get = await call(`${hub.base}/subscriptions/ack`);
    assert.deepEqual([get.status, get.headers.allow], [405, "POST"]);
  });

  wire("WIRE §5 of a subscription that has ended nothing is moved: 410", async () => {
    const { topic, callback, messages, pair } = await withBacklog(1);
    await unsubscribed(hub, topic, callback);
    for (const what of ["ack", "resume"] as const) {
      const reply = await move(what, { ...pair, cursor: messages[0]!.cursor });
      assert.equal(reply.status, 410, reply.text);
    }
    assert.equal((await request(hub, "unsubscribe", topic, callback.url)).status, 202);
  });
}
