// Cores that are killed, sleep, or are cut off from the broker (A3.1, A3.4): other cores take over their lanes, and they send
// nothing after that.
import assert from "node:assert/strict";
import { after as afterAll, before, describe, it } from "node:test";
import { answer } from "../support/servers/answers.ts";
import type { Callback } from "../support/servers/callback-server.ts";
import { allTook, assertOnce, came, type CoresRig, openCoresRig, taken } from "../support/rigs/cores-rig.ts";
import { eventually, never } from "../support/eventually.ts";
import { publish, published } from "../support/hub/hub-client.ts";
import { kafkaForTests } from "../support/kafka/kafka.ts";

const kafka = await kafkaForTests();
afterAll(() => kafka.close());

/** The core that has a callback's lane repeats a message for as long as the callback answers 503. */
async function publishRefused({ one }: CoresRig, topic: string, all: readonly Callback[], body: string): Promise<void> {
  for (const callback of all) callback.onDelivery = answer(503);
  await published(one, topic, body);
  for (const callback of all) await eventually("an attempt", () => came(callback).includes(body));
}

describe("ARCHITECTURE §3 cores that fail", { skip: kafka.skip, timeout: 200_000 }, () => {
  let rig: CoresRig;
  before(async () => {
    rig = await openCoresRig(kafka, { behindProxy: true });
  });
  afterAll(() => rig?.[Symbol.asyncDispose]());

  it("A3.1 a core that is killed: its subscriptions deliver again elsewhere, and nothing is lost", async () => {
    const { hub, one, newTopic, subscribeMany } = rig;
    const topic = await newTopic();
    const all = await subscribeMany(topic);
    await published(one, topic, "before");
    await allTook(all, 1);
    const victim = hub.cores[0]!;
    const at = performance.now();
    await victim.kill();
    // The edge that asked this core first goes on with the next core.
    await published(one, topic, "after");
    await allTook(all, 2);
    const tookMs = Math.round(performance.now() - at);
    console.log(`after a kill all deliver again within ${tookMs} ms`);
    // The core starts again: nothing is delivered twice.
    await victim.start();
    await hub.shared();
    for (const callback of all) assert.deepEqual([...new Set(taken(callback))], ["before", "after"]);
  });

  it("A3.4 a core that slept past its session sends nothing when it wakes, is removed from the group, and comes back", async () => {
    const { hub, other, newTopic, subscribeMany, othersHaveAll } = rig;
    const topic = await newTopic();
    const all = await subscribeMany(topic);
    await publishRefused(rig, topic, all, "while it sleeps");
    const sleeper = hub.cores[0]!;
    sleeper.sleep();
    try {
      await othersHaveAll(sleeper);
      for (const callback of all) callback.onDelivery = answer(204);
      await allTook(all, 1);
    } finally {
      sleeper.wake();
    }
    // When it wakes, attempts are due and its tail is far behind.
    await hub.shared();
    assert.equal(sleeper.runs, true, sleeper.output());
    await published(other, topic, "afterwards");
    await allTook(all, 2);
    assertOnce(all, ["while it sleeps", "afterwards"]);
  });

  it("A3.4 a core that is cut off from the broker sends nothing after its session, and comes back", async (t) => {
    const { hub, proxy, one, newTopic, subscribeMany, othersHaveAll } = rig;
    if (proxy === undefined) return t.skip("the broker has no second door");
    const topic = await newTopic();
    const all = await subscribeMany(topic);
    await publishRefused(rig, topic, all, "while it is cut off");
    const cut = hub.cores[2]!;
    proxy.stall();
    try {
      await othersHaveAll(cut);
      for (const callback of all) callback.onDelivery = answer(204);
      await allTook(all, 1);
      // A core that still delivers would repeat its attempts every half second.
      await never("a second delivery", () => all.some((callback) => taken(callback).length > 1), 1_500);
    } finally {
      proxy.resume();
    }
    await hub.shared();
    assert.equal(cut.runs, true, cut.output());
    await published(one, topic, "afterwards");
    await allTook(all, 2);
    assertOnce(all, ["while it is cut off", "afterwards"]);
  });

  it("an edge goes on with another core when its own sleeps", async () => {
    const { hub, one, other, newTopic } = rig;
    const topic = await newTopic();
    // Every core folds the topic first: no other core could fold it for the sleeper.
    await published(other, topic, "before");
    const sleeper = hub.cores[0]!;
    sleeper.sleep();
    try {
      const reply = await publish(one, topic, { body: "through another", contentType: "text/plain" });
      assert.equal(reply.status, 200, reply.text);
    } finally {
      sleeper.wake();
    }
    await hub.shared();
  });
});
