// CONFORMANCE §8: habits of PubSubHubbub 0.3 and 0.4 that real clients still have.

import assert from "node:assert/strict";
import { answer } from "../support/servers/answers.ts";
import { eventually } from "../support/eventually.ts";
import { parameterOf } from "../support/form.ts";
import { freePort } from "../support/free-port.ts";
import { ping, post, request, subscribed, unsubscribed } from "../support/hub/hub-client.ts";
import { openNpmClient } from "../support/servers/npm-client.ts";
import { bodies, quiet, row, update } from "./rig.ts";
import type { Rig } from "./rig.ts";

export function legacyRows(rig: Rig): void {
  const { hub, topics, callbacks } = rig;

  const verifies: (readonly string[])[] = [["sync"], ["async"], ["sync", "async"], ["async", "sync"], ["junk"], [""]];
  for (const words of verifies) {
    row(rig, `0.3 §6.1 hub.verify=${words.join(" and ")} is accepted and ignored: 202, then a challenge`, async () => {
      const callback = callbacks.callback();
      const reply = await post(hub, [
        ["hub.mode", "subscribe"],
        ["hub.topic", topics.topic().url],
        ["hub.callback", callback.url],
        ...words.map((word) => ["hub.verify", word] as const),
      ]);
      assert.equal(reply.status, 202, reply.text);
      await callback.challenged();
    });
  }

  row(
    rig,
    "0.3 §6.2 hub.verify_token is given back in the challenge of a subscribe and of an unsubscribe",
    async () => {
      const topic = topics.topic().url;
      const callback = callbacks.callback();
      const token = "t0k&n=ü +1";
      await subscribed(hub, topic, callback, { "hub.verify_token": token });
      await unsubscribed(hub, topic, callback, { "hub.verify_token": token });
      const tokens = callback.challenges.map(({ query }) => parameterOf(query, "hub.verify_token"));
      assert.deepEqual(tokens, [token, token]);
    },
    "wire",
  );

  row(rig, "0.3 §6.2 without a hub.verify_token, or with an empty one, the challenge has none", async () => {
    const [without, empty] = [callbacks.callback(), callbacks.callback()];
    await request(hub, "subscribe", topics.topic().url, without.url);
    await request(hub, "subscribe", topics.topic().url, empty.url, { "hub.verify_token": "" });
    for (const callback of [without, empty]) {
      const { query } = await callback.challenged();
      assert.equal(parameterOf(query, "hub.verify_token"), undefined);
    }
  }, "wire");

  row(rig, "0.3 §6.1 an empty lease is the default one, never a permanent one", async () => {
    const callback = callbacks.callback();
    await request(hub, "subscribe", topics.topic().url, callback.url, { "hub.lease_seconds": "" });
    const lease = Number(parameterOf((await callback.challenged()).query, "hub.lease_seconds"));
    assert.ok(Number.isSafeInteger(lease) && lease > 0);
  });

  row(rig, "0.3 §7.1 a publish may repeat hub.url, and one without any is refused", async () => {
    const [one, two] = [topics.topic(), topics.topic()];
    const callback = callbacks.callback();
    await subscribed(hub, one.url, callback);
    await subscribed(hub, two.url, callback);
    one.serve({ body: "one" });
    two.serve({ body: "two" });
    assert.equal((await ping(hub, one.url, two.url)).status, 204);
    await callback.delivered(2);
    assert.deepEqual(bodies(callback).toSorted(), ["one", "two"]);
    const { status } = await ping(hub);
    assert.ok(status >= 400 && status < 500, String(status));
  });

  row(rig, "0.3 §7.3 X-Hub-On-Behalf-Of in the answer to a delivery changes nothing", async () => {
    const topic = topics.topic();
    const callback = callbacks.callback();
    callback.onDelivery = answer(200, "", { "x-hub-on-behalf-of": "12" });
    await subscribed(hub, topic.url, callback);
    await update(rig, topic, { body: "one" });
    await callback.delivered(1);
    await quiet([callback]);
    assert.deepEqual(bodies(callback), ["one"]);
  });

  row(rig, "0.4 the readers' callback queries come back untouched on challenge and delivery", async () => {
    for (
      const query of [
        "k=0123456789abcdef",
        "topic=http%3A%2F%2Fx%2F%3Fa%3D1&hub=http%3A%2F%2Fh%2F",
        "subscription_id=7",
      ]
    ) {
      const topic = topics.topic();
      const callback = callbacks.callback({ query });
      await subscribed(hub, topic.url, callback);
      await update(rig, topic, { body: query });
      const [delivery] = await callback.delivered(1);
      assert.ok(callback.challenges[0]?.query.startsWith(`${query}&hub.`));
      assert.equal(delivery?.query, query);
    }
  });

  row(rig, "0.4 the npm client pubsubhubbub, unmodified, subscribes, reads and unsubscribes", async () => {
    const client = await openNpmClient(await freePort());
    try {
      const topic = topics.topic();
      await client.subscribe(topic.url, hub.url);
      await eventually("its confirmation", () => client.confirmed[0] === topic.url);
      await update(rig, topic, { body: "for an old reader" });
      const { feed } = await eventually("its feed", () => client.arrivals[0]);
      assert.equal(feed.feed.toString(), "for an old reader");
      assert.equal(feed.topic, topic.url);
      await client.unsubscribe(topic.url, hub.url);
      await eventually("its second confirmation", () => client.confirmed[1] === topic.url);
    } finally {
      await client.close();
    }
  });
}
