// CONFORMANCE §1, the rows on a subscription's key, its callback's URL, and how a later request overrides it.

import assert from "node:assert/strict";
import { answer, echo } from "../support/servers/answers.ts";
import { pause } from "../support/eventually.ts";
import { parameterOf } from "../support/form.ts";
import { request, subscribed, unsubscribed } from "../support/hub/hub-client.ts";
import { hubSignature } from "../support/signatures.ts";
import { bodies, quiet, row, update } from "./rig.ts";
import type { Rig } from "./rig.ts";

/** A hub that takes a failed verification for a good one would do so within this time. */
const WRONG_STEP_MS = 300;

export function subscriptionRows(rig: Rig): void {
  const { hub, topics, callbacks } = rig;

  row(rig, "H10 §5.1 an active subscription may be requested again, and gets every message once", async () => {
    const topic = topics.topic();
    const callback = callbacks.callback();
    await subscribed(hub, topic.url, callback);
    await subscribed(hub, topic.url, callback);
    await update(rig, topic, { body: "once" });
    await callback.delivered(1);
    await quiet([callback]);
    assert.deepEqual(bodies(callback), ["once"]);
  });

  row(rig, "H11 §5.1 a renewal with a new secret counts only after it has verified", async () => {
    const topic = topics.topic();
    const callback = callbacks.callback();
    await subscribed(hub, topic.url, callback, { "hub.secret": "old" });
    callback.onChallenge = answer(404);
    await request(hub, "subscribe", topic.url, callback.url, { "hub.secret": "new" });
    await callback.challenged(2);
    await pause(WRONG_STEP_MS);
    await update(rig, topic, { body: "first" });
    const [first] = await callback.delivered(1);
    assert.equal(first?.headers["x-hub-signature"]?.toString().split("=")[1], hubSignatureHex("old", first, "first"));

    callback.onChallenge = echo();
    await subscribed(hub, topic.url, callback, { "hub.secret": "new" });
    await update(rig, topic, { body: "second" });
    const [, second] = await callback.delivered(2);
    assert.equal(
      second?.headers["x-hub-signature"]?.toString().split("=")[1],
      hubSignatureHex("new", second, "second"),
    );
  });

  row(rig, "H11 §5.1 a renewal that fails to verify leaves the old lease's end", async () => {
    const topic = topics.topic();
    const [callback, witness] = [callbacks.callback(), callbacks.callback()];
    await subscribed(hub, topic.url, witness);
    await subscribed(hub, topic.url, callback, { "hub.lease_seconds": "2" });
    const leased = performance.now();
    callback.onChallenge = answer(404);
    await request(hub, "subscribe", topic.url, callback.url, { "hub.lease_seconds": "600" });
    await callback.challenged(2);
    await pause(3_500 - (performance.now() - leased));
    await update(rig, topic, { body: "after the old lease" });
    await witness.delivered(1);
    await quiet([callback]);
    assert.deepEqual(bodies(callback), []);
  }, "settings");

  row(rig, "H12 §5.1 a first subscribe that fails to verify delivers nothing", async () => {
    const topic = topics.topic();
    const [callback, witness] = [callbacks.callback(), callbacks.callback()];
    callback.onChallenge = answer(404);
    await request(hub, "subscribe", topic.url, callback.url);
    await callback.challenged();
    await subscribed(hub, topic.url, witness);
    await update(rig, topic, { body: "not for you" });
    await witness.delivered(1);
    await quiet([callback]);
    assert.deepEqual(bodies(callback), []);
  });

  row(rig, "H12 §5.1 a renewal that fails to verify leaves the subscription delivering", async () => {
    const topic = topics.topic();
    const callback = callbacks.callback();
    await subscribed(hub, topic.url, callback);
    callback.onChallenge = answer(200, "not the challenge");
    await request(hub, "subscribe", topic.url, callback.url);
    await callback.challenged(2);
    await pause(WRONG_STEP_MS);
    await update(rig, topic, { body: "still" });
    await callback.delivered(1);
  });

  row(rig, "H12 §5.1 an unsubscribe that is answered 404 leaves the subscription delivering", async () => {
    const topic = topics.topic();
    const callback = callbacks.callback();
    await subscribed(hub, topic.url, callback);
    callback.onChallenge = answer(404);
    await request(hub, "unsubscribe", topic.url, callback.url);
    await callback.challenged(2);
    await pause(WRONG_STEP_MS);
    await update(rig, topic, { body: "still" });
    await callback.delivered(1);
  });

  row(rig, "H13 §5.1 a renewal without a secret drops it", async () => {
    const topic = topics.topic();
    const callback = callbacks.callback();
    await subscribed(hub, topic.url, callback, { "hub.secret": "had one" });
    await subscribed(hub, topic.url, callback);
    await update(rig, topic, { body: "unsigned" });
    const [delivery] = await callback.delivered(1);
    assert.equal(delivery?.headers["x-hub-signature"], undefined);
  });

  row(rig, "H14 §1 one callback on two topics is two subscriptions", async () => {
    const [one, two] = [topics.topic(), topics.topic()];
    const callback = callbacks.callback();
    await subscribed(hub, one.url, callback);
    await subscribed(hub, two.url, callback);
    await update(rig, one, { body: "one" });
    await update(rig, two, { body: "two" });
    await callback.delivered(2);
    await unsubscribed(hub, one.url, callback);
    // Another subscription keeps the first topic fetched.
    const witness = callbacks.callback();
    await subscribed(hub, one.url, witness);
    await update(rig, one, { body: "one again" });
    await update(rig, two, { body: "two again" });
    await Promise.all([witness.delivered(1), callback.delivered(3)]);
    await quiet([callback]);
    assert.deepEqual(bodies(callback).toSorted(), ["one", "two", "two again"]);
  });

  row(rig, "H14 §1 two callbacks on one topic are two subscriptions, also if only their queries differ", async () => {
    const topic = topics.topic();
    const path = "/callback/h14";
    const here = callbacks.callback({ path, query: "who=1" });
    const other = callbacks.callback();
    // Both queries have one path; the server's last route for it sees both.
    await subscribed(hub, topic.url, here);
    const there = callbacks.callback({ path, query: "who=2" });
    await subscribed(hub, topic.url, there);
    await subscribed(hub, topic.url, other);
    await update(rig, topic, { body: "all" });
    await there.delivered(2);
    await other.delivered(1);
    assert.deepEqual(there.deliveries.map(({ url }) => url).toSorted(), [`${path}?who=1`, `${path}?who=2`]);
    await unsubscribed(hub, topic.url, there);
    await update(rig, topic, { body: "two of three" });
    await there.delivered(3);
    await other.delivered(2);
    await quiet([there, other]);
    assert.deepEqual([there.deliveries.length, other.deliveries.length], [3, 2]);
    assert.equal(there.deliveries[2]?.url, `${path}?who=1`);
  });

  row(rig, "H15 §3.1 an unsubscribe is accepted and verified", async () => {
    const topic = topics.topic();
    const callback = callbacks.callback();
    await subscribed(hub, topic.url, callback);
    assert.equal((await request(hub, "unsubscribe", topic.url, callback.url)).status, 202);
    const challenge = await callback.challenged(2);
    assert.equal(parameterOf(challenge.query, "hub.mode"), "unsubscribe");
  });

  row(
    rig,
    "H18 §5.1.1 escapes of unreserved characters are decoded: two spellings are one topic, each echoed as sent",
    async () => {
      const topic = topics.topic({ path: "/h18/~user", aliases: ["/h18/%7Euser"] });
      const escaped = `${topics.origin}/h18/%7Euser`;
      const [plain, spelt] = [callbacks.callback(), callbacks.callback()];
      await subscribed(hub, topic.url, plain);
      await subscribed(hub, escaped, spelt);
      assert.equal(parameterOf(spelt.challenges[0]?.query ?? "", "hub.topic"), escaped);
      assert.equal(parameterOf(plain.challenges[0]?.query ?? "", "hub.topic"), topic.url);
      // The same subscription in the other spelling: one delivery, not two.
      await subscribed(hub, escaped, plain);
      await update(rig, topic, { body: "both" }, escaped);
      await Promise.all([plain.delivered(1), spelt.delivered(1)]);
      await quiet([plain, spelt]);
      assert.deepEqual([bodies(plain), bodies(spelt)], [["both"], ["both"]]);
    },
  );

  row(rig, "H18 §5.1.1 escapes of unreserved characters in the callback name the same callback", async () => {
    const topic = topics.topic();
    const callback = callbacks.callback({ path: "/h18/call~back" });
    const escaped = callbacks.callback({ path: "/h18/c%61ll%7Eback" });
    await subscribed(hub, topic.url, callback);
    await subscribed(hub, topic.url, escaped);
    await update(rig, topic, { body: "once" });
    await escaped.delivered(1);
    await quiet([callback, escaped]);
    assert.deepEqual(bodies(callback), [], "the renewal's spelling is the one that is called");
  });

  row(rig, "H18 WIRE Words scheme, host, case of escapes and raw UTF-8 make no second topic or callback", async () => {
    const topic = topics.topic({ path: "/h18/gr%C3%BC%C3%9Fe%2Fa" });
    const [, port] = /:(\d+)$/.exec(topics.origin)!;
    const otherwise = `HTTP://127.1:0${port}/h18/grüße%2fa`;
    const [one, other] = [
      callbacks.callback(),
      callbacks.callback({ path: "/h18/c%C3%A9%7C", query: "q=[1]%F0%9F%98%80" }),
    ];
    await subscribed(hub, topic.url, one);
    await subscribed(hub, otherwise, one);
    const raw = Object.create(other, { url: { value: `${callbacks.origin}/h18/cé|?q=[1]😀` } }) as typeof other;
    await subscribed(hub, otherwise, raw);
    await subscribed(hub, topic.url, other);
    assert.equal(parameterOf(one.challenges[1]?.query ?? "", "hub.topic"), otherwise);
    await update(rig, topic, { body: "once each" }, otherwise);
    await Promise.all([one.delivered(1), other.delivered(1)]);
    await quiet([one, other]);
    assert.deepEqual([bodies(one), bodies(other)], [["once each"], ["once each"]]);
    assert.equal(other.deliveries[0]?.url, "/h18/c%C3%A9%7C?q=[1]%F0%9F%98%80");
    assert.equal(other.challenges[0]?.query.split("&hub.")[0], "q=[1]%F0%9F%98%80");
    assert.equal(topic.fetches[0]?.url, "/h18/gr%C3%BC%C3%9Fe%2Fa");
  }, "wire");

  row(rig, "H18 §5.1.1 a reserved escape stays: %2F is not /", async () => {
    const [slash, escaped] = [topics.topic({ path: "/h18/a/b" }), topics.topic({ path: "/h18/a%2Fb" })];
    const [ofSlash, ofEscaped] = [callbacks.callback(), callbacks.callback()];
    await subscribed(hub, slash.url, ofSlash);
    await subscribed(hub, escaped.url, ofEscaped);
    await update(rig, slash, { body: "slash" });
    await ofSlash.delivered(1);
    await update(rig, escaped, { body: "escaped" });
    await ofEscaped.delivered(1);
    await quiet([ofSlash, ofEscaped]);
    assert.deepEqual([bodies(ofSlash), bodies(ofEscaped)], [["slash"], ["escaped"]]);
  });

  row(rig, "H19 §5.1.1 the callback's own query is kept byte for byte and ours is appended", async () => {
    const query = "foo=bar&red=fish&a.b=1&x=%20+&%7E=~&empty&=";
    const [withQuery, without] = [callbacks.callback({ query }), callbacks.callback()];
    const topic = topics.topic().url;
    await request(hub, "subscribe", topic, withQuery.url);
    await request(hub, "subscribe", topic, without.url);
    const [kept, fresh] = [await withQuery.challenged(), await without.challenged()];
    assert.ok(kept.query.startsWith(`${query}&hub.`), kept.query);
    assert.ok(fresh.query.startsWith("hub."), fresh.query);
  });

  row(rig, "H20 §5.1.1 parameters of the callback that look like ours are kept, and ours come after", async () => {
    const callback = callbacks.callback({ query: "hub.challenge=imahacker&hub.topic=mine" });
    await subscribed(hub, topics.topic().url, callback);
    const { query } = await callback.challenged();
    assert.ok(query.startsWith("hub.challenge=imahacker&hub.topic=mine&hub."), query);
    assert.notEqual(parameterOf(query, "hub.challenge"), "imahacker");
  });

  row(
    rig,
    "H21 §5.1.1 a delivery goes to the callback with its query in the URL and only the payload as body",
    async () => {
      const topic = topics.topic();
      const query = "k=f00&b=%C3%A9+%2F&hub.challenge=x";
      const callback = callbacks.callback({ query });
      await subscribed(hub, topic.url, callback);
      await update(rig, topic, { body: "payload" });
      const [delivery] = await callback.delivered(1);
      assert.equal(delivery?.query, query);
      assert.equal(delivery?.body.toString(), "payload");
    },
  );
}

/** The hex of a signature with the method that the delivery names. */
function hubSignatureHex(secret: string, delivery: { headers: Record<string, unknown> } | undefined, body: string) {
  const method = String(delivery?.headers["x-hub-signature"]).split("=")[0] ?? "";
  return hubSignature(secret, Buffer.from(body), method).split("=")[1];
}
