// Idempotent publishing over HTTP (WIRE §1, A4.4), on both logs: publishes with one key are one message, if they race, if a crash
// comes between them, and if another core wrote one.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { createHash } from "node:crypto";
import { keyedMessageIdOf, topicIdOf } from "../../../core/state/ids.ts";
import { openKafkaLog } from "../../../core/log/kafka/kafka-log.ts";
import { openLibsqlLog } from "../../../core/log/libsql/libsql-log.ts";
import type { Log } from "../../../core/log/log.ts";
import { answer } from "../../support/servers/answers.ts";
import { openCallbackServer } from "../../support/servers/callback-server.ts";
import type { Callback, CallbackServer } from "../../support/servers/callback-server.ts";
import { eventually } from "../../support/eventually.ts";
import { encodeForm } from "../../support/form.ts";
import { call } from "../../support/servers/http.ts";
import { publish, published, statusOf, statusUntil, subscribed } from "../../support/hub/hub-client.ts";
import { openOwnHub } from "../../support/hub/hub.ts";
import type { OwnHub } from "../../support/hub/hub.ts";
import { kafkaForTests } from "../../support/kafka/kafka.ts";
import type { KafkaForTests } from "../../support/kafka/kafka.ts";

const RETENTION_MS = 7 * 86_400_000;

interface OnLog {
  readonly settings: Readonly<Record<string, string>>;
  /** Opens the log as another core does; the embedded log only while the hub's core does not run. */
  readonly open: (hub: OwnHub) => Promise<Log>;
}

function keyed(hub: OwnHub, topic: string, key: string, body: string) {
  return publish(hub, topic, { body, contentType: "text/plain", headers: { "idempotency-key": key } });
}

async function missed(hub: OwnHub, topic: string, callback: Callback): Promise<string[]> {
  const query = encodeForm({ topic, callback: callback.url, since: "2020-01-01T00:00:00Z", limit: "1000" });
  const reply = await call(`${hub.base}/messages?${query}`);
  assert.equal(reply.status, 200, reply.text);
  return (JSON.parse(reply.text) as { messages: { body: string }[] }).messages.map(({ body }) => body);
}

/** Resolves when a message published now has arrived: all earlier ones have arrived then. */
async function bodiesOf(hub: OwnHub, topic: string, callback: Callback): Promise<string[]> {
  const id = await published(hub, topic, "last");
  const came = () => callback.deliveries.some(({ headers }) => headers["webhook-id"] === id);
  await eventually("the last message", came);
  return callback.deliveries.map(({ body }) => body.toString()).filter((body) => body !== "last");
}

function suite(name: string, on: () => OnLog): void {
  describe(`idempotent publishing, ${name}`, () => {
    let hub: OwnHub;
    let callbacks: CallbackServer;
    let topics = 0;
    const reader = async () => {
      const [topic, callback] = [`keyed ${++topics}`, callbacks.callback()];
      await subscribed(hub, topic, callback);
      return { topic, callback };
    };

    before(async () => {
      callbacks = await openCallbackServer();
      hub = await openOwnHub({ settings: on().settings });
    });
    after(async () => {
      await hub?.close();
      await callbacks?.close();
    });

    it("A4.4 of 32 publishes that race, one is delivered, read and counted, and all are answered alike", async () => {
      const { topic, callback } = await reader();
      const replies = await Promise.all(Array.from({ length: 32 }, () => keyed(hub, topic, "race", "once")));
      for (const { status, text } of replies) assert.equal(status, 200, text);
      assert.equal(new Set(replies.map(({ headers }) => headers["webhook-id"])).size, 1);
      assert.deepEqual(await bodiesOf(hub, topic, callback), ["once"]);
      assert.deepEqual(await missed(hub, topic, callback), ["once", "last"]);
    });

    it("A4.4 of publishes of two bodies that race, one body wins, and the other is 422", async () => {
      const { topic, callback } = await reader();
      const replies = await Promise.all(
        Array.from({ length: 16 }, (_, n) => keyed(hub, topic, "race", n % 2 === 0 ? "even" : "odd")),
      );
      const accepted = replies.flatMap(({ status }, n) => status === 200 ? n % 2 : []);
      assert.equal(new Set(accepted).size, 1);
      assert.equal(accepted.length, 8);
      for (const { status } of replies) assert.ok(status === 200 || status === 422, String(status));
      assert.deepEqual(await bodiesOf(hub, topic, callback), [accepted[0] === 0 ? "even" : "odd"]);
    });

    it("A4.4 keys of other topics, and other keys, are other messages", async () => {
      const [one, two] = [await reader(), await reader()];
      const ids = [];
      for (const [topic, key] of [[one.topic, "a"], [one.topic, "b"], [two.topic, "a"]] as const) {
        ids.push((await keyed(hub, topic, key, "same")).headers["webhook-id"]);
      }
      assert.equal(new Set(ids).size, 3);
      assert.deepEqual(await bodiesOf(hub, one.topic, one.callback), ["same", "same"]);
    });

    it("A4.4 a key is remembered across a kill and a restart, and so is its body", async () => {
      const { topic, callback } = await reader();
      const first = await keyed(hub, topic, "kept", "body");
      await hub.kill("core");
      await hub.start("core");
      const again = await keyed(hub, topic, "kept", "body");
      assert.equal(again.status, 200, again.text);
      assert.equal(again.headers["webhook-id"], first.headers["webhook-id"]);
      assert.equal((await keyed(hub, topic, "kept", "other")).status, 422);
      await hub.stop("core");
      await hub.start("core");
      assert.equal((await keyed(hub, topic, "kept", "other")).status, 422);
      assert.equal((await keyed(hub, topic, "kept", "body")).status, 200);
      // Property 2: after a kill a delivery may come again, with the id it had.
      assert.deepEqual([...new Set(await bodiesOf(hub, topic, callback))], ["body"]);
      assert.deepEqual(await missed(hub, topic, callback), ["body", "last"]);
    });

    it("A4.4 publishes that a kill leaves unanswered are repeated without becoming two", async () => {
      const { topic, callback } = await reader();
      const keys = Array.from({ length: 40 }, (_, n) => `key ${n}`.replace(" ", "-"));
      // An edge tries for 10 s: long enough for the core to come back.
      const replies = keys.map((key) => keyed(hub, topic, key, key));
      await Promise.race(replies);
      await hub.kill("core");
      await hub.start("core");
      await Promise.allSettled(replies);
      for (const key of keys) {
        await eventually(`${key} is accepted`, async () => (await keyed(hub, topic, key, key)).status === 200);
      }
      const bodies = await bodiesOf(hub, topic, callback);
      // Property 2: after a crash a delivery may come again, with the id it had.
      const ids = new Map(callback.deliveries.map(({ headers, body }) => [headers["webhook-id"], body.toString()]));
      assert.deepEqual([...new Set(bodies)].toSorted(), keys.toSorted());
      assert.equal(ids.size, keys.length + 1);
      assert.deepEqual((await missed(hub, topic, callback)).toSorted(), [...keys, "last"].toSorted());
    });

    it("A4.4 a repeat that another core appended is not delivered, not read and not counted", async () => {
      const { topic, callback } = await reader();
      callback.onDelivery = answer(503);
      const first = await keyed(hub, topic, "shared", "first");
      const id = keyedMessageIdOf("", topicIdOf(topic), "shared");
      assert.equal(first.headers["webhook-id"], id);
      const kafka = "TIDINGS_KAFKA_BROKERS" in on().settings;
      if (!kafka) await hub.stop("core");
      const log = await on().open(hub);
      for (const body of ["first", "another body"]) {
        const sha256 = createHash("sha256").update(body).digest("base64url");
        const headers = { id, sha256, topic, "content-type": "text/plain" };
        await log.append("messages", { key: topicIdOf(topic), value: Buffer.from(body), headers });
      }
      await log.close();
      if (!kafka) await hub.start("core");
      assert.equal((await keyed(hub, topic, "shared", "first")).status, 200);
      assert.equal((await keyed(hub, topic, "shared", "another body")).status, 422);
      if (!kafka) assert.equal((await statusOf(hub, topic, callback.url))?.lag, 1);
      callback.onDelivery = answer(204);
      await bodiesOf(hub, topic, callback);
      assert.deepEqual(
        [...new Set(callback.deliveries.map(({ body }) => body.toString()))],
        ["first", "last"],
      );
      await statusUntil(hub, topic, callback.url, "nothing undelivered", ({ lag }) => lag === 0);
      assert.deepEqual(await missed(hub, topic, callback), ["first", "last"]);
    });

    it("A4.4 with a RETENTION below 24 h a key is forgotten with it, and that is said aloud", async () => {
      const settings = on().settings;
      await using short = await openOwnHub({
        settings: {
          ...settings,
          ...("TIDINGS_KAFKA_PREFIX" in settings
            ? { TIDINGS_KAFKA_PREFIX: `${settings["TIDINGS_KAFKA_PREFIX"]}-short` }
            : {}),
          TIDINGS_RETENTION: "3s",
        },
      }).then((opened) => Object.assign(opened, { [Symbol.asyncDispose]: () => opened.close() }));
      assert.match(short.output(), /Idempotency keys are remembered for RETENTION only/);
      const begun = Date.now();
      assert.equal((await keyed(short, "brief", "k", "one")).status, 200);
      assert.equal((await keyed(short, "brief", "k", "two")).status, 422);
      await eventually(
        "the key is forgotten",
        async () => (await keyed(short, "brief", "k", "two")).status === 200,
        { deadlineMs: 15_000 },
      );
      assert.ok(Date.now() - begun >= 2_500, "not before its time");
      assert.equal((await keyed(short, "brief", "k", "one")).status, 422);
    });
  });
}

suite("embedded log", () => ({
  settings: {},
  open: ({ dataDir: directory }) =>
    openLibsqlLog({ directory, retentionMs: RETENTION_MS, maxMessageBytes: 1_000_000, onFatal: assert.ifError }),
}));

const kafka: KafkaForTests = await kafkaForTests();
if (kafka.skip !== false) describe("idempotent publishing, Kafka", { skip: kafka.skip }, () => {});
else {
  const { brokers } = kafka;
  const prefix = kafka.newPrefix();
  after(() => kafka.close());
  suite("Kafka", () => ({
    settings: { TIDINGS_KAFKA_BROKERS: brokers.join(","), TIDINGS_KAFKA_PREFIX: prefix },
    open: () =>
      openKafkaLog({
        brokers,
        prefix,
        clientId: "another-core",
        retentionMs: RETENTION_MS,
        maxMessageBytes: 1_000_000,
      }),
  }));
}
