// Three cores and two edges on one Kafka: processes come and go, sleep and are cut off, and nothing that was promised is felt of it
// (ARCHITECTURE §3, §6).
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after as afterAll, before, describe, it } from "node:test";
import { answer, script } from "../support/answers.ts";
import { type Callback, type CallbackServer, openCallbackServer } from "../support/callback-server.ts";
import { runChild } from "../support/child.ts";
import { eventually, never } from "../support/eventually.ts";
import {
  post,
  publish,
  published,
  request,
  statusOf,
  statusUntil,
  subscribed,
  unsubscribed,
} from "../support/hub-client.ts";
import { call } from "../support/http.ts";
import type { HubUnderTest } from "../support/hub.ts";
import { kafkaForTests } from "../support/kafka.ts";
import { type CoreProcess, type ManyCores, openManyCores, SHARDS } from "../support/many-cores.ts";
import { allMissed, deadLettersOf, openEvents } from "../support/missed-client.ts";
import { openStallingProxy, type StallingProxy } from "../support/stalling-proxy.ts";

const kafka = await kafkaForTests();
afterAll(() => kafka.close());

const MAIN = new URL("../../shared/runtime/main.ts", import.meta.url);
/** A session, a heartbeat, a moment for the last owner, and a loaded machine. */
const TAKEN_OVER_WITHIN_MS = 60_000;
/** Enough subscriptions for every core to have some. */
const CALLBACKS = 12;

const texts = (callback: Callback) => callback.deliveries.map(({ body }) => body.toString());
/** What a callback took: answered with 2xx. */
const taken = (callback: Callback) =>
  callback.deliveries.filter(({ status }) => status === 204).map(({ body }) => body.toString());

let topics = 0;

describe("§3 many cores", { skip: kafka.skip, timeout: 300_000 }, () => {
  let hub: ManyCores;
  let callbacks: CallbackServer;
  let proxy: StallingProxy | undefined;
  /** One edge that knows the first core first, one that knows the second first. */
  let one: HubUnderTest;
  let other: HubUnderTest;
  before(async () => {
    const { proxied } = kafka;
    proxy = proxied === undefined ? undefined : await openStallingProxy(proxied);
    callbacks = await openCallbackServer();
    hub = await openManyCores({
      brokers: kafka.brokers,
      prefix: kafka.newPrefix(),
      // The third stands behind the proxy, so that it can be cut off.
      cores: [{}, {}, proxied === undefined ? {} : { TIDINGS_KAFKA_BROKERS: `127.0.0.1:${proxied.listen}` }],
      edges: [[0, 1, 2], [1, 0, 2]],
      settings: {
        TIDINGS_TOPIC_REGISTRATION: "required",
        TIDINGS_DEAD_LETTER_ATTEMPTS: "2",
        TIDINGS_PARK_AFTER: "10m",
      },
    });
    [one, other] = [hub.edges[0]!, hub.edges[1]!];
    await hub.shared();
  });
  afterAll(async () => {
    await hub?.[Symbol.asyncDispose]();
    await proxy?.[Symbol.asyncDispose]();
    await callbacks?.close();
  });

  async function newTopic(at: HubUnderTest = one): Promise<string> {
    const topic = `cores/topic ${++topics}`;
    const reply = await post(at, { "hub.mode": "register", "hub.topic": topic });
    assert.equal(reply.status, 200, reply.text);
    return topic;
  }

  /** Subscriptions to one topic, in so many shards that every core has some. */
  async function subscribeMany(topic: string): Promise<Callback[]> {
    const all = Array.from({ length: CALLBACKS }, () => callbacks.callback());
    await Promise.all(all.map((callback, index) => subscribed(index % 2 === 0 ? one : other, topic, callback)));
    return all;
  }

  async function allTook(all: readonly Callback[], bodies: readonly string[], deadlineMs = TAKEN_OVER_WITHIN_MS) {
    for (const callback of all) {
      await eventually(`${bodies.length} deliveries`, () => taken(callback).length >= bodies.length, {
        deadlineMs,
        seen: () => texts(callback).join(),
      });
    }
  }

  /** Each body once and in order, what came with a failure not counted. */
  function assertOnce(all: readonly Callback[], bodies: readonly string[]): void {
    for (const callback of all) assert.deepEqual(taken(callback), bodies);
  }

  /** What every callback has not taken yet is repeated by whoever has its lane, for as long as it answers 503. */
  async function publishRefused(topic: string, all: readonly Callback[], body: string): Promise<void> {
    for (const callback of all) callback.onDelivery = answer(503);
    await published(one, topic, body);
    for (const callback of all) await eventually("an attempt", () => texts(callback).includes(body));
  }

  async function othersHaveAll(gone: CoreProcess): Promise<void> {
    await eventually("the others to have all shards", async () => {
      const counts = await Promise.all(hub.cores.filter((core) => core !== gone).map((core) => core.shards()));
      return counts.reduce((sum, count) => sum + count, 0) === SHARDS;
    }, { deadlineMs: TAKEN_OVER_WITHIN_MS, everyMs: 50 });
  }

  it("A3.3 the shards are shared within one", async () => {
    const counts = await Promise.all(hub.cores.map((core) => core.shards()));
    assert.deepEqual(counts.toSorted((a, b) => a - b), [5, 5, 6]);
  });

  it("A3.11 what one core took every core knows: register at one edge, publish at once through another core", async () => {
    for (let n = 0; n < 10; n++) {
      const topic = await newTopic(one);
      const reply = await publish(other, topic, { body: "at once", contentType: "text/plain" });
      assert.equal(reply.status, 200, reply.text);
    }
  });

  it("A3.11 subscribe through one core, unsubscribe through another", async () => {
    const topic = await newTopic();
    const callback = callbacks.callback();
    await subscribed(one, topic, callback);
    await published(other, topic, "before");
    await callback.delivered(1);
    assert.equal((await statusOf(other, topic, callback.url))?.state, "active");
    await unsubscribed(other, topic, callback);
    assert.equal((await statusOf(one, topic, callback.url))?.state, "unsubscribed");
    await published(one, topic, "after");
    await never("a delivery after the end", () => callback.deliveries.length > 1, 300);
  });

  it("A3.9 a deregister through one core ends what others deliver", async () => {
    const topic = await newTopic();
    const all = await subscribeMany(topic);
    await published(one, topic, "1");
    await allTook(all, ["1"]);
    const reply = await post(other, { "hub.mode": "deregister", "hub.topic": topic });
    assert.equal(reply.status, 200, reply.text);
    for (const callback of all) {
      await statusUntil(one, topic, callback.url, "its end", ({ state }) => state === "deregistered");
      await callback.denied();
    }
  });

  it("A3.3 a graceful leave and a join under load: nothing lost, nothing twice, in order", async () => {
    const topic = await newTopic();
    const all = await subscribeMany(topic);
    const bodies: string[] = [];
    let publishing = true;
    const running = (async () => {
      // Through the edge whose cores stay.
      for (let n = 0; publishing; n++) {
        await published(other, topic, `load ${n}`);
        bodies.push(`load ${n}`);
      }
    })();
    const leaver = hub.cores[0]!;
    await eventually("some load", () => bodies.length > 20);
    assert.equal(await leaver.stop(), 0, leaver.output());
    await hub.shared();
    await eventually("more load", () => bodies.length > 60);
    await leaver.start();
    await hub.shared();
    const seen = bodies.length;
    await eventually("more load", () => bodies.length > seen + 20);
    publishing = false;
    await running;
    await allTook(all, bodies);
    assertOnce(all, bodies);
  });

  it("A3.2 dead letters, missed messages, events and keys are the same while a shard moves", async () => {
    const topic = await newTopic();
    const all = await subscribeMany(topic);
    const [reader] = all;
    using events = await openEvents(other, topic, reader!.url);
    const key = { "idempotency-key": "the same" };
    const first = await publish(one, topic, { body: "keyed", contentType: "text/plain", headers: key });
    assert.equal(first.status, 200, first.text);
    await allTook(all, ["keyed"]);
    for (const callback of all) callback.onDelivery = script(answer(422), answer(422), answer(204));
    await published(one, topic, "bad");
    await published(one, topic, "good");
    const leaver = hub.cores[0]!;
    assert.equal(await leaver.stop(), 0, leaver.output());
    await hub.shared();
    await allTook(all, ["keyed", "good"]);
    for (const callback of all) {
      const { deadLetters } = await deadLettersOf(other, topic, callback.url);
      assert.equal(deadLetters.length, 1);
      await statusUntil(other, topic, callback.url, "nothing left", ({ lag }) => lag === 0);
    }
    const again = await publish(other, topic, { body: "keyed", contentType: "text/plain", headers: key });
    assert.equal(again.status, 200, again.text);
    assert.equal(again.headers["webhook-id"], first.headers["webhook-id"]);
    const wrong = await publish(other, topic, { body: "another", contentType: "text/plain", headers: key });
    assert.equal(wrong.status, 422);
    const received = await events.received(3);
    assert.deepEqual(received.map(({ message }) => message.body), ["keyed", "bad", "good"]);
    const missed = await allMissed(other, topic, reader!.url, { since: new Date(0).toISOString() });
    assert.deepEqual(missed.map(({ body }) => body), ["keyed", "bad", "good"]);
    await leaver.start();
    await hub.shared();
    await never("a keyed message twice", () => all.some((callback) => taken(callback).length > 2), 300);
  });

  it("A3.1 a core that is killed: its subscriptions deliver again elsewhere, and nothing is lost", async () => {
    const topic = await newTopic();
    const all = await subscribeMany(topic);
    await published(one, topic, "before");
    await allTook(all, ["before"]);
    const victim = hub.cores[0]!;
    const at = performance.now();
    await victim.kill();
    // The edge that knew it first goes on with the next.
    await published(one, topic, "after");
    await allTook(all, ["before", "after"]);
    const tookMs = Math.round(performance.now() - at);
    console.log(`after a kill all deliver again within ${tookMs} ms`);
    // A request to its next life tells nothing but where it stands; it says good-bye for its last.
    await victim.start();
    await hub.shared();
    for (const callback of all) assert.deepEqual([...new Set(taken(callback))], ["before", "after"]);
  });

  it("A3.4 a core that slept past its session sends nothing when it wakes, is put out, and comes back", async () => {
    const topic = await newTopic();
    const all = await subscribeMany(topic);
    await publishRefused(topic, all, "while it sleeps");
    const sleeper = hub.cores[0]!;
    sleeper.sleep();
    try {
      await othersHaveAll(sleeper);
      for (const callback of all) callback.onDelivery = answer(204);
      await allTook(all, ["while it sleeps"]);
    } finally {
      sleeper.wake();
    }
    // On waking it has attempts that are due, and a tail that is far behind.
    await hub.shared();
    assert.equal(sleeper.runs, true, sleeper.output());
    await published(other, topic, "afterwards");
    await allTook(all, ["while it sleeps", "afterwards"]);
    assertOnce(all, ["while it sleeps", "afterwards"]);
  });

  it("A3.4 a core that is cut off from the broker sends nothing after its session, and comes back", async (t) => {
    if (proxy === undefined) return t.skip("the broker has no second door");
    const topic = await newTopic();
    const all = await subscribeMany(topic);
    await publishRefused(topic, all, "while it is cut off");
    const cut = hub.cores[2]!;
    proxy.stall();
    try {
      await othersHaveAll(cut);
      for (const callback of all) callback.onDelivery = answer(204);
      await allTook(all, ["while it is cut off"]);
      // It would repeat its attempts every half second.
      await never("a second delivery", () => all.some((callback) => taken(callback).length > 1), 1_500);
    } finally {
      proxy.resume();
    }
    await hub.shared();
    assert.equal(cut.runs, true, cut.output());
    await published(one, topic, "afterwards");
    await allTook(all, ["while it is cut off", "afterwards"]);
    assertOnce(all, ["while it is cut off", "afterwards"]);
  });

  it("an edge goes on with another core when its own sleeps", async () => {
    const topic = await newTopic();
    const sleeper = hub.cores[0]!;
    sleeper.sleep();
    try {
      const reply = await publish(one, topic, { body: "through another", contentType: "text/plain" });
      assert.equal(reply.status, 200, reply.text);
    } finally {
      sleeper.wake();
    }
    await hub.shared();
    const unknown = await request(one, "subscribe", "cores/unknown", callbacks.callback().url);
    assert.equal(unknown.status, 202, unknown.text);
  });

  it("npm start -- --cores 2 starts them, and goes on when one of them is killed", async () => {
    const dataDir = await mkdtemp(join(tmpdir(), "tidings-start-"));
    try {
      await using start = runChild(MAIN, {
        args: ["--cores", "2"],
        settings: {
          TIDINGS_EDGE_LISTEN: "127.0.0.1:0",
          TIDINGS_CORE_LISTEN: "127.0.0.1:0",
          TIDINGS_DATA_DIR: dataDir,
          TIDINGS_KAFKA_BROKERS: kafka.brokers.join(),
          TIDINGS_KAFKA_PREFIX: kafka.newPrefix(),
          TIDINGS_LOG_LEVEL: "error",
        },
      });
      const url = await eventually("the greeting", () => /The hub is at (\S+)/.exec(start.stdout())?.[1], {
        deadlineMs: 60_000,
        seen: () => start.stdout() + start.stderr(),
      });
      assert.deepEqual((await readdir(dataDir)).toSorted(), ["core-0", "core-1"]);
      const body = "hub.mode=register&hub.topic=t";
      const headers = { "content-type": "application/x-www-form-urlencoded" };
      assert.equal((await call(url, { body, headers })).status, 200);
      const pid = start.process.pid!;
      const [first] = (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).split(" ").map(Number);
      process.kill(first!, "SIGKILL");
      await eventually("the report", () => /core 0 was ended by SIGKILL; the other core goes on/.test(start.stderr()));
      assert.equal((await call(url, { body, headers })).status, 200);
      start.process.kill("SIGTERM");
      assert.deepEqual(await start.ended, { code: 0, signal: null }, start.stderr());
    } finally {
      await rm(dataDir, { recursive: true, force: true, maxRetries: 3 });
    }
  });

  it("a second core with the same data directory is refused with a sentence", async () => {
    await assert.rejects(hub.twinOf(1).start(), /another process is using this data directory/);
  });
});
