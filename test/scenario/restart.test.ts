// The two real processes are stopped and killed in the middle of their work, and every earlier promise holds (ARCHITECTURE §6).
import assert from "node:assert/strict";
import { after as afterAll, before, describe, it } from "node:test";
import { after, answer, hang } from "../support/servers/answers.ts";
import { type Callback, type CallbackServer, openCallbackServer } from "../support/servers/callback-server.ts";
import { eventually, never, pause } from "../support/eventually.ts";
import { publish, published, statusUntil, subscribed } from "../support/hub/hub-client.ts";
import { openOwnHub, type OwnHub } from "../support/hub/hub.ts";

/** Slower than the publisher, so that there are attempts and a backlog when the process ends. */
const slowly = after(8, answer(204));

const texts = (callback: Callback) => callback.deliveries.map(({ body }) => body.toString());

let topics = 0;
const newTopic = () => `restart/topic ${++topics}`;

interface Publisher {
  /** Bodies that were answered 200, in the order of the answers; the hub promises nothing about the others. */
  readonly accepted: string[];
  readonly refused: number;
  stop(): Promise<void>;
}

/** Publishes one body after the other, so that the log has their order. */
function publishing(hub: OwnHub, topic: string): Publisher {
  const accepted: string[] = [];
  let stopped = false;
  let refused = 0;
  const running = (async () => {
    for (let n = 0; !stopped; n++) {
      const body = `${topic} ${n}`;
      const reply = await publish(hub, topic, { body, contentType: "text/plain" }).catch(() => undefined);
      if (reply?.status === 200) accepted.push(body);
      else {
        refused++;
        await pause(20);
      }
    }
  })();
  return {
    accepted,
    get refused() {
      return refused;
    },
    stop: () => {
      stopped = true;
      return running;
    },
  };
}

/** Checks §6.1–3 for a callback: nothing is lost, first deliveries are in order, and a repeat has the first one's id. */
function assertPromises(callback: Callback, accepted: readonly string[]): void {
  const received = texts(callback);
  const firsts = [...new Set(received)];
  const lost = accepted.filter((body) => !firsts.includes(body));
  assert.deepEqual(lost, [], "lost");
  const place = new Map(accepted.map((body, index) => [body, index]));
  const promised = firsts.filter((body) => place.has(body));
  assert.deepEqual(promised, accepted, "first deliveries are in log order");
  const ids = new Map<string, string>();
  for (const { body, headers } of callback.deliveries) {
    const id = String(headers["webhook-id"]);
    assert.equal(ids.get(body.toString()) ?? id, id, "what comes again has the id it had");
    ids.set(body.toString(), id);
  }
  assert.equal(new Set(ids.values()).size, ids.size, "and no other message has it");
}

describe("ARCHITECTURE §6 restarts of the two processes", { timeout: 120_000 }, () => {
  let hub: OwnHub;
  let callbacks: CallbackServer;
  before(async () => {
    [hub, callbacks] = await Promise.all([
      openOwnHub({ settings: { TIDINGS_PARK_AFTER: "300ms", TIDINGS_PROBE_INTERVAL: "200ms" } }),
      openCallbackServer(),
    ]);
  });
  afterAll(async () => {
    await Promise.all([hub?.close(), callbacks?.close()]);
  });

  it("§6.2 a graceful restart of both under load: nothing that was answered is delivered again", async () => {
    const topic = newTopic();
    const callback = callbacks.callback();
    callback.onDelivery = slowly;
    await subscribed(hub, topic, callback, { "hub.concurrency": "4" });
    const publisher = publishing(hub, topic);
    await eventually("load", () => callback.deliveries.length > 30);
    assert.equal(await hub.stop("edge"), 0);
    assert.equal(await hub.stop("core"), 0);
    const answered = callback.deliveries.length;
    await never("a delivery by nobody", () => callback.deliveries.length > answered, 100);
    await hub.start("core");
    await hub.start("edge");
    await eventually("more", () => callback.deliveries.length > answered + 30);
    await publisher.stop();
    await eventually("everything", () => publisher.accepted.every((body) => texts(callback).includes(body)));
    const received = texts(callback);
    assert.equal(new Set(received).size, received.length, "nothing twice");
  });

  it("§6.1–3 SIGKILL of the core under load, three times: nothing lost, order kept, only known ids again", async () => {
    const load = Array.from({ length: 3 }, () => ({ topic: newTopic(), callback: callbacks.callback() }));
    for (const { topic, callback } of load) {
      callback.onDelivery = slowly;
      await subscribed(hub, topic, callback, { "hub.secret": "s" });
    }
    const publishers = load.map(({ topic }) => publishing(hub, topic));
    for (let kill = 0; kill < 3; kill++) {
      const before = load.map(({ callback }) => callback.deliveries.length);
      await eventually("load", () => load.every(({ callback }, i) => callback.deliveries.length > before[i]! + 20), {
        deadlineMs: 30_000,
      });
      await hub.kill("core");
      await hub.start("core");
    }
    await eventually(
      "an accepted one after the last kill",
      () => publishers.every(({ accepted }) => accepted.length > 40),
    );
    await Promise.all(publishers.map((publisher) => publisher.stop()));
    for (const [index, { callback }] of load.entries()) {
      const { accepted } = publishers[index]!;
      await eventually("everything", () => accepted.every((body) => texts(callback).includes(body)), {
        deadlineMs: 20_000,
      });
      assertPromises(callback, accepted);
    }
  });

  it("§6.1 SIGKILL of the edge under load: nothing that it answered 2xx is lost", async () => {
    const topic = newTopic();
    const callback = callbacks.callback();
    await subscribed(hub, topic, callback);
    const publisher = publishing(hub, topic);
    for (let kill = 0; kill < 2; kill++) {
      const before = callback.deliveries.length;
      await eventually("load", () => callback.deliveries.length > before + 20, { deadlineMs: 30_000 });
      await hub.kill("edge");
      await hub.start("edge");
    }
    await publisher.stop();
    assert.ok(publisher.refused > 0, "the publisher felt it");
    await eventually("everything", () => publisher.accepted.every((body) => texts(callback).includes(body)));
    assertPromises(callback, publisher.accepted);
  });

  it("A4.3 behind, parked and expired lanes go on from where they were after a SIGKILL", async () => {
    const [behind, parked, expired] = [callbacks.callback(), callbacks.callback(), callbacks.callback()];
    const topic = newTopic();
    await subscribed(hub, topic, expired, { "hub.lease_seconds": "1" });
    await subscribed(hub, topic, behind);
    await subscribed(hub, topic, parked);
    await published(hub, topic, "1");
    await Promise.all([behind, parked, expired].map((callback) => callback.delivered(1)));
    await statusUntil(hub, topic, expired.url, "expiry", ({ state }) => state === "expired");
    behind.onDelivery = hang();
    parked.onDelivery = answer(503);
    for (const body of ["2", "3", "4"]) await published(hub, topic, body);
    await statusUntil(hub, topic, parked.url, "parking", ({ state }) => state === "parked");
    await behind.delivered(2);
    await hub.kill("core");
    behind.onDelivery = answer(204);
    await hub.start("core");
    await statusUntil(hub, topic, behind.url, "all of it", ({ lag }) => lag === 0);
    assert.deepEqual([...new Set(texts(behind))], ["1", "2", "3", "4"]);
    assert.equal(texts(behind).filter((body) => body === "1").length, 1);
    await statusUntil(
      hub,
      topic,
      parked.url,
      "it is parked still",
      ({ state, lag }) => state === "parked" && lag === 3,
    );
    const probes = parked.deliveries.length;
    parked.onDelivery = answer(204);
    await statusUntil(hub, topic, parked.url, "all of it", ({ state, lag }) => state === "active" && lag === 0);
    // The probe that succeeds may have been under way already.
    assert.deepEqual(texts(parked).slice(probes).filter((body) => body !== "2"), ["3", "4"]);
    assert.equal(texts(expired).length, 1);
    await statusUntil(
      hub,
      topic,
      expired.url,
      "it is expired still",
      ({ state, lag }) => state === "expired" && lag === 3,
    );
    await subscribed(hub, topic, expired, { "hub.lease_seconds": "600" });
    await expired.delivered(4);
    assert.deepEqual(texts(expired), ["1", "2", "3", "4"]);
  });
});
