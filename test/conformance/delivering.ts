// CONFORMANCE §6: deliveries, and what their answers mean.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { answer, endless, hang, script } from "../support/servers/answers.ts";
import { openCallbackServer } from "../support/servers/callback-server.ts";
import { eventually } from "../support/eventually.ts";
import { loadFixtures } from "../support/fixtures.ts";
import { published, statusUntil, subscribed } from "../support/hub/hub-client.ts";
import { bodies, quiet, row, update } from "./rig.ts";
import type { Rig } from "./rig.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

export function deliveringRows(rig: Rig): void {
  const { hub, topics, callbacks } = rig;

  row(rig, "H48 §7 a delivery is a POST whose body is the payload", async () => {
    const topic = topics.topic();
    const callback = callbacks.callback();
    await subscribed(hub, topic.url, callback);
    await update(rig, topic, { body: "the payload\n" });
    const [delivery] = await callback.delivered(1);
    assert.equal(delivery?.method, "POST");
    assert.equal(delivery?.body.toString(), "the payload\n");
  });

  row(rig, "H49 §7 the Content-Type is the topic's, byte for byte", async () => {
    const topic = topics.topic();
    const callback = callbacks.callback();
    await subscribed(hub, topic.url, callback);
    const types = [
      "text/html; charset=UTF-8",
      'application/Atom+XML;Charset="utf-8"',
      "text/plain;  format=flowed ; x=1",
    ];
    for (const contentType of types) {
      await update(rig, topic, { body: `as ${contentType}`, contentType });
    }
    const deliveries = await callback.delivered(types.length);
    assert.deepEqual(deliveries.map(({ headers }) => headers["content-type"]), types);
  });

  row(rig, "H50 §7 every kind of document arrives whole, byte for byte", async () => {
    const topic = topics.topic();
    const callback = callbacks.callback();
    await subscribed(hub, topic.url, callback);
    // An empty document is none (WIRE §3).
    const fixtures = (await loadFixtures()).filter(({ body }) => body.length > 0);
    for (const { body, contentType } of fixtures) await update(rig, topic, { body, contentType });
    const deliveries = await callback.delivered(fixtures.length);
    fixtures.forEach(({ file, body, contentType }, i) => {
      assert.equal(sha256(deliveries[i]?.body ?? Buffer.alloc(1)), sha256(body), file);
      assert.equal(deliveries[i]?.headers["content-type"], contentType, file);
    });
  });

  row(rig, "H50 §7 a topic served with gzip is delivered decoded, without a stale Content-Encoding", async () => {
    const topic = topics.topic();
    const callback = callbacks.callback();
    await subscribed(hub, topic.url, callback);
    const document = "compressed on the way\n".repeat(100);
    await update(rig, topic, { body: gzipSync(document), headers: { "content-encoding": "gzip" } });
    const [delivery] = await callback.delivered(1);
    assert.equal(delivery?.body.toString(), document);
    assert.equal(delivery?.headers["content-encoding"], undefined);
  });

  row(rig, "H52 H53 H54 §7 one Link line names the hub and, once, the topic's own canonical URL", async () => {
    const topic = topics.topic();
    const canonical = `${topics.origin}/canonical?of=${encodeURIComponent(topic.url)}`;
    const callback = callbacks.callback();
    await subscribed(hub, topic.url, callback);
    await update(rig, topic, { body: "x", headers: { link: `<${hub.url}>; rel="hub", <${canonical}>; rel="self"` } });
    const [delivery] = await callback.delivered(1);
    const lines = delivery?.headerLines.filter(([name]) => name.toLowerCase() === "link") ?? [];
    assert.equal(lines.length, 1, "a single Link header");
    const links = Array.from((lines[0]?.[1] ?? "").matchAll(/<([^>]*)>\s*;\s*rel="?([^",;]+)"?/g));
    const withRel = (rel: string) => links.filter((link) => link[2] === rel).map((link) => link[1]);
    assert.equal(withRel("hub")[0], hub.url);
    assert.deepEqual(withRel("self"), [canonical]);
  });

  for (const status of [200, 201, 202, 204, 299]) {
    row(rig, `H55 §7 a ${status} is success and ends it`, async () => {
      const topic = topics.topic();
      const callback = callbacks.callback();
      callback.onDelivery = answer(status, "thanks");
      await subscribed(hub, topic.url, callback);
      await update(rig, topic, { body: "once" });
      await callback.delivered(1);
      await quiet([callback], 1_000);
      assert.deepEqual(bodies(callback), ["once"]);
    });
  }

  row(rig, "H56 §7 a 410 ends the subscription", async () => {
    const topic = topics.topic();
    const [callback, witness] = [callbacks.callback(), callbacks.callback()];
    callback.onDelivery = answer(410);
    await subscribed(hub, topic.url, callback);
    await subscribed(hub, topic.url, witness);
    await update(rig, topic, { body: "first" });
    await callback.delivered(1);
    if (hub.ours) await statusUntil(hub, topic.url, callback.url, "gone", ({ state }) => state === "gone");
    callback.onDelivery = answer(204);
    await update(rig, topic, { body: "second" });
    await witness.delivered(2);
    await quiet([callback]);
    assert.deepEqual(bodies(callback), ["first"]);
  }, "wire");

  for (const status of [301, 302, 303, 307, 308]) {
    row(rig, `H57 §7 a ${status} is a failure, not followed, and the message is delivered again`, async () => {
      const topic = topics.topic();
      const [callback, elsewhere] = [callbacks.callback(), callbacks.callback()];
      callback.onDelivery = script(answer(status, "", { location: elsewhere.url }), answer(204));
      await subscribed(hub, topic.url, callback);
      await update(rig, topic, { body: "again" });
      await callback.delivered(2);
      await quiet([callback]);
      assert.deepEqual(bodies(callback), ["again", "again"]);
      assert.deepEqual(elsewhere.requests, []);
    }, "settings");
  }

  row(rig, "H58 §7 the response's body is ignored, however long", async () => {
    // The row has its own server, so that an endless body does not affect other rows.
    await using own = await openCallbackServer();
    const topic = topics.topic();
    const [flooding, babbling] = [own.callback(), own.callback()];
    flooding.onDelivery = endless();
    babbling.onDelivery = answer(200, Buffer.alloc(10_000_000, "x"));
    await subscribed(hub, topic.url, flooding);
    await subscribed(hub, topic.url, babbling);
    await update(rig, topic, { body: "one" });
    await update(rig, topic, { body: "two" });
    await Promise.all([flooding.delivered(2), babbling.delivered(2)]);
    await quiet([flooding, babbling]);
    assert.deepEqual([bodies(flooding), bodies(babbling)], [["one", "two"], ["one", "two"]]);
  });

  row(rig, "H58 WIRE §3 a success whose body never comes is a success after a second", async () => {
    await using own = await openCallbackServer();
    const topic = topics.topic();
    const callback = own.callback();
    callback.onDelivery = (_request, response) => {
      response.writeHead(200, { "content-length": "10" });
      response.write("x");
    };
    await subscribed(hub, topic.url, callback);
    await update(rig, topic, { body: "one" });
    await update(rig, topic, { body: "two" });
    await callback.delivered(2);
    await quiet([callback]);
    assert.deepEqual(bodies(callback), ["one", "two"]);
  }, "settings");

  row(rig, "H59 §7 failures are tried again, the same each time, and no more after a success", async () => {
    const topic = topics.topic();
    const callback = callbacks.callback();
    callback.onDelivery = script(answer(500), answer(500), answer(200));
    await subscribed(hub, topic.url, callback, { "hub.secret": "three times" });
    await update(rig, topic, { body: "again and again" });
    const attempts = await callback.delivered(3);
    await quiet([callback], 1_000);
    assert.equal(callback.deliveries.length, 3);
    const facts = attempts.map((
      { headers, body },
    ) => [headers["webhook-id"], headers["x-hub-signature"], body.toString()]);
    assert.deepEqual(facts, [facts[0], facts[0], facts[0]]);
    attempts.slice(1).forEach(({ at }, n) => {
      const gap = at - (attempts[n]?.endedAt ?? Infinity);
      // 0 … min(RETRY_MAX, RETRY_MIN·2ⁿ) of 50 ms and 500 ms; the rest is a loaded machine. The bound itself is a table's (outcome.test.ts).
      assert.ok(gap <= Math.min(500, 50 * 2 ** n) + 5_000, `gap ${n} was ${gap} ms`);
    });
  }, "settings");

  row(
    rig,
    "H60 H61 §7 past the limit attempts become rare, the subscription stays, and everything arrives in order",
    async () => {
      const topic = rig.name();
      // The row has an origin of its own, so that its failing lane takes no connections from others.
      await using own = await openCallbackServer();
      const callback = own.callback();
      callback.onDelivery = answer(500);
      await subscribed(hub, topic, callback);
      const messages = ["first", "second", "third"];
      for (const message of messages) await published(hub, topic, message);
      const parked = await statusUntil(hub, topic, callback.url, "parked", ({ state }) => state === "parked", 15_000);
      assert.equal(parked.lag, 3);
      assert.notEqual(parked.lastError, null);

      const count = callback.deliveries.length;
      const probes = (await callback.delivered(count + 2)).slice(count);
      const gap = (probes[1]?.at ?? 0) - (probes[0]?.at ?? 0);
      assert.ok(gap > 800, `one probe per PROBE_INTERVAL (1 s), not after ${gap} ms`);
      assert.equal(new Set(bodies(callback)).size, 1, "always its next message, nothing skipped");

      await published(hub, topic, "published while parked");
      callback.onDelivery = answer(204);
      const arrived = await eventually("four good deliveries", () => {
        const good = callback.deliveries.filter(({ status }) => status === 204);
        return good.length >= 4 && good;
      });
      assert.deepEqual(arrived.map(({ body }) => body.toString()), [...messages, "published while parked"]);
      await statusUntil(hub, topic, callback.url, "active", ({ state }) => state === "active");
      assert.equal(callback.challenges.length, 1, "nobody had to subscribe again");
    },
    "settings",
  );

  row(rig, "H62 §7 a subscriber that hangs delays nobody else", async () => {
    await using own = await openCallbackServer();
    const topic = topics.topic();
    const [hanging, good] = [own.callback(), callbacks.callback()];
    hanging.onDelivery = hang();
    await subscribed(hub, topic.url, hanging);
    await subscribed(hub, topic.url, good);
    for (const [i, body] of ["one", "two", "three"].entries()) {
      const begun = performance.now();
      await update(rig, topic, { body });
      await good.delivered(i + 1);
      assert.ok(performance.now() - begun < 1_800, "well before the other's timeout");
    }
    assert.deepEqual(bodies(good), ["one", "two", "three"]);
  });
}
