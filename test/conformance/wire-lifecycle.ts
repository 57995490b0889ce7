// WIRE §2 and §5: where a subscription begins, what it keeps over renewals, expiry and unsubscribing, and what its status says.

import assert from "node:assert/strict";
import { after, answer, echo } from "../support/servers/answers.ts";
import { eventually, pause } from "../support/eventually.ts";
import { encodeForm } from "../support/form.ts";
import { call } from "../support/servers/http.ts";
import {
  post,
  published,
  request,
  statusOf,
  statusUntil,
  subscribed,
  unsubscribed,
} from "../support/hub/hub-client.ts";
import { hubSignature } from "../support/signatures.ts";
import { bodies, quiet, row } from "./rig.ts";
import type { Rig } from "./rig.ts";

export function lifecycleRows(rig: Rig): void {
  const { hub, callbacks } = rig;
  const wire = (title: string, run: () => Promise<void>) => row(rig, title, run, "wire");
  const settings = (title: string, run: () => Promise<void>) => row(rig, title, run, "settings");

  settings(
    "WIRE §2 after its lease ran out a verified subscribe continues from the last delivered message",
    async () => {
      const topic = rig.name();
      const callback = callbacks.callback();
      await subscribed(hub, topic, callback, { "hub.lease_seconds": "2" });
      await published(hub, topic, "within");
      await callback.delivered(1);
      await statusUntil(hub, topic, callback.url, "expired", ({ state }) => state === "expired");
      await published(hub, topic, "while expired 1");
      await published(hub, topic, "while expired 2");
      await quiet([callback]);
      await subscribed(hub, topic, callback, { "hub.lease_seconds": "600" });
      await published(hub, topic, "renewed");
      await callback.delivered(4);
      await quiet([callback]);
      assert.deepEqual(bodies(callback), ["within", "while expired 1", "while expired 2", "renewed"]);
    },
  );

  wire("WIRE §2 after an unsubscribe a verified subscribe is a new one: nothing from in between", async () => {
    const topic = rig.name();
    const [callback, witness] = [callbacks.callback(), callbacks.callback()];
    await subscribed(hub, topic, callback);
    await subscribed(hub, topic, witness);
    await published(hub, topic, "before");
    await callback.delivered(1);
    await unsubscribed(hub, topic, callback);
    await published(hub, topic, "between");
    await witness.delivered(2);
    await subscribed(hub, topic, callback);
    await published(hub, topic, "after");
    await callback.delivered(2);
    await quiet([callback]);
    assert.deepEqual(bodies(callback), ["before", "after"]);
  });

  wire("WIRE §2 after an unsubscribe hub.start=earliest asks for what was in between, too", async () => {
    const topic = rig.name();
    const callback = callbacks.callback();
    await subscribed(hub, topic, callback);
    await published(hub, topic, "before");
    await callback.delivered(1);
    await unsubscribed(hub, topic, callback);
    await published(hub, topic, "between");
    await subscribed(hub, topic, callback, { "hub.start": "earliest" });
    await callback.delivered(3);
    assert.deepEqual(bodies(callback), ["before", "before", "between"]);
  });

  wire("WIRE §2 nothing published after the subscriber's yes is missed", async () => {
    const topic = rig.name();
    const callback = callbacks.callback();
    await published(hub, topic, "before");
    let id: Promise<string> | undefined;
    callback.onChallenge = (received, response) => {
      response.on("finish", () => void (id = published(hub, topic, "right after the yes")));
      return echo()(received, response);
    };
    await request(hub, "subscribe", topic, callback.url);
    const [delivery] = await callback.delivered(1);
    assert.equal(delivery?.headers["webhook-id"], await id);
    await quiet([callback]);
    assert.deepEqual(bodies(callback), ["right after the yes"]);
  });

  wire(
    "WIRE §2 renewals in the middle of traffic lose nothing, repeat nothing, and sign with one secret or the other",
    async () => {
      const topic = rig.name();
      const callback = callbacks.callback();
      const secrets = ["secret 0", "secret 1", "secret 2", "secret 3"];
      await subscribed(hub, topic, callback, { "hub.secret": secrets[0] ?? "" });
      const ids: string[] = [];
      let renewing = true;
      const publishing = (async () => {
        while (renewing || ids.length < 40) ids.push(await published(hub, topic, `message ${ids.length}`));
      })();
      for (const secret of secrets.slice(1)) await subscribed(hub, topic, callback, { "hub.secret": secret });
      renewing = false;
      await publishing;
      const deliveries = await callback.delivered(ids.length);
      await quiet([callback]);
      assert.deepEqual(callback.deliveries.map(({ headers }) => headers["webhook-id"]), ids);
      const used = deliveries.map(({ headers, body }) =>
        secrets.findIndex((secret) => headers["x-hub-signature"] === hubSignature(secret, body))
      );
      assert.deepEqual(used, used.toSorted((a, b) => a - b), "from one secret to the next, never back");
      assert.ok(used.every((secret) => secret !== -1));
    },
  );

  wire("WIRE §2 the newest verified request of a pair counts, whichever is answered last", async () => {
    const topic = rig.name();
    const callback = callbacks.callback();
    const slowly = after(700, echo());
    callback.onChallenge = (received, response) =>
      (callback.challenges[0] === received ? slowly : echo())(received, response);
    await request(hub, "subscribe", topic, callback.url, { "hub.secret": "first" });
    await request(hub, "subscribe", topic, callback.url, { "hub.secret": "second" });
    await eventually("the newest request's challenge", () => callback.challenges[1]?.endedAt);
    await statusUntil(hub, topic, callback.url, "active", ({ state }) => state === "active");
    await pause(300);
    await published(hub, topic, "signed");
    const [delivery] = await callback.delivered(1);
    assert.equal(delivery?.headers["x-hub-signature"], hubSignature("second", Buffer.from("signed")));
  });

  wire("WIRE §2 hub.start=earliest begins at the topic's first message, latest and nothing at the next", async () => {
    const topic = rig.name();
    const [earliest, latest, plain] = [callbacks.callback(), callbacks.callback(), callbacks.callback()];
    await published(hub, topic, "old 1");
    await published(hub, topic, "old 2");
    await subscribed(hub, topic, earliest, { "hub.start": "earliest" });
    await subscribed(hub, topic, latest, { "hub.start": "latest" });
    await subscribed(hub, topic, plain);
    await published(hub, topic, "new");
    await Promise.all([earliest.delivered(3), latest.delivered(1), plain.delivered(1)]);
    await quiet([earliest, latest, plain]);
    assert.deepEqual([earliest, latest, plain].map(bodies), [["old 1", "old 2", "new"], ["new"], ["new"]]);
  });

  wire("WIRE §2 hub.start with a time begins at the first message from then on", async () => {
    const topic = rig.name();
    const callback = callbacks.callback();
    await published(hub, topic, "too old");
    await pause(60);
    const time = new Date().toISOString();
    await pause(60);
    await published(hub, topic, "new enough");
    await subscribed(hub, topic, callback, { "hub.start": time });
    await callback.delivered(1);
    await quiet([callback]);
    assert.deepEqual(bodies(callback), ["new enough"]);
  });

  wire("WIRE §2 hub.start with a cursor begins after that message; one of another topic is 400", async () => {
    const topic = rig.name();
    const [witness, callback] = [callbacks.callback(), callbacks.callback()];
    await subscribed(hub, topic, witness);
    for (const body of ["one", "two", "three"]) await published(hub, topic, body);
    const cursor = String((await witness.delivered(3))[0]?.headers["x-hub-cursor"]);
    await subscribed(hub, topic, callback, { "hub.start": cursor });
    await callback.delivered(2);
    await quiet([callback]);
    assert.deepEqual(bodies(callback), ["two", "three"]);
    const other = await request(hub, "subscribe", rig.name(), callback.url, { "hub.start": cursor });
    assert.equal(other.status, 400);
    assert.match(other.text, /hub\.start/);
  });

  wire("WIRE §2 a hub.start that is none of these is 400", async () => {
    for (const start of ["first", "2026-13-01T00:00:00Z", "yesterday", "0"]) {
      const reply = await request(hub, "subscribe", rig.name(), callbacks.callback().url, { "hub.start": start });
      assert.equal(reply.status, 400, start);
      assert.match(reply.text, /hub\.start/);
    }
  });

  wire("WIRE §2 on a renewal hub.start means nothing: the position stays", async () => {
    const topic = rig.name();
    const callback = callbacks.callback();
    await published(hub, topic, "before");
    await subscribed(hub, topic, callback);
    await published(hub, topic, "one");
    await callback.delivered(1);
    await subscribed(hub, topic, callback, { "hub.start": "earliest" });
    await published(hub, topic, "two");
    await callback.delivered(2);
    await quiet([callback]);
    assert.deepEqual(bodies(callback), ["one", "two"]);
  });

  wire("WIRE §1 a deregistered topic begins anew: earliest reaches back only to there", async () => {
    const topic = rig.name();
    const callback = callbacks.callback();
    await published(hub, topic, "first life");
    assert.equal((await post(hub, { "hub.mode": "deregister", "hub.topic": topic })).status, 200);
    assert.equal((await post(hub, { "hub.mode": "register", "hub.topic": topic })).status, 200);
    await published(hub, topic, "second life");
    await subscribed(hub, topic, callback, { "hub.start": "earliest" });
    await callback.delivered(1);
    await quiet([callback]);
    assert.deepEqual(bodies(callback), ["second life"]);
  });

  wire("WIRE §2 an unsubscribe of a pair that was never known is 202, verified, and changes nothing", async () => {
    const topic = rig.name();
    const [callback, witness] = [callbacks.callback(), callbacks.callback()];
    await subscribed(hub, topic, witness);
    assert.equal((await request(hub, "unsubscribe", topic, callback.url)).status, 202);
    await callback.challenged();
    await published(hub, topic, "x");
    await witness.delivered(1);
    assert.deepEqual(bodies(callback), []);
  });

  wire(
    "WIRE §5 the status of a pair: 404 while it is not known, why a first subscribe was not verified, then its state, lease, cursor and lag",
    async () => {
      const topic = rig.name();
      const callback = callbacks.callback();
      assert.equal(await statusOf(hub, topic, callback.url), undefined);
      callback.onChallenge = answer(404);
      await request(hub, "subscribe", topic, callback.url);
      await callback.challenged();
      const failed = await eventually("the failed verification", async () => {
        return (await statusOf(hub, topic, callback.url)) ?? false;
      });
      const { at, ...why } = failed.lastVerification!;
      assert.deepEqual([failed.state, failed.lag, why], ["unverified", 0, {
        outcome: "refused",
        reason: "status 404",
      }]);
      assert.ok(Math.abs(Date.parse(at) - Date.now()) < 60_000, at);
      for (const path of ["messages", "dead-letters"]) {
        const other = await call(`${hub.base}/${path}?${encodeForm({ topic, callback: callback.url })}`);
        assert.equal(other.status, 404, path);
      }

      callback.onChallenge = echo();
      const begun = Date.now();
      await subscribed(hub, topic, callback, { "hub.lease_seconds": "3600" });
      const fresh = await statusOf(hub, topic, callback.url);
      assert.deepEqual([fresh?.topic, fresh?.callback, fresh?.state, fresh?.lag], [topic, callback.url, "active", 0]);
      assert.deepEqual([fresh?.oldestUndeliveredAt, fresh?.lastError, fresh?.gaps], [null, null, []]);
      const lease = Date.parse(fresh?.leaseExpiresAt ?? "") - begun;
      assert.ok(lease > 3_590_000 && lease < 3_610_000, `a lease of ${lease} ms`);

      await published(hub, topic, "before the cursor");
      await callback.delivered(1);
      const { cursor } = await statusUntil(
        hub,
        topic,
        callback.url,
        "a cursor beyond the first message",
        (status) => status.cursor !== fresh?.cursor && status.lag === 0,
      );
      // The cursor means everything after that message; it may name that message or a later one.
      await published(hub, topic, "after the cursor");
      const follower = callbacks.callback();
      await subscribed(hub, topic, follower, { "hub.start": String(cursor) });
      await follower.delivered(1);
      await quiet([follower]);
      assert.deepEqual(bodies(follower), ["after the cursor"]);
      await unsubscribed(hub, topic, callback);
      assert.equal((await statusOf(hub, topic, callback.url))?.state, "unsubscribed");
    },
  );

  settings("WIRE §5 a status says how far a failing subscription is behind, since when and why", async () => {
    const topic = rig.name();
    const callback = callbacks.callback();
    callback.onDelivery = answer(503);
    await subscribed(hub, topic, callback);
    const begun = Date.now();
    await published(hub, topic, "one");
    await published(hub, topic, "two");
    await callback.delivered(1);
    const status = await statusUntil(
      hub,
      topic,
      callback.url,
      "a lag",
      ({ lag, lastError }) => lag === 2 && lastError !== null,
    );
    assert.match(status.lastError ?? "", /503/);
    assert.ok(
      Math.abs(Date.parse(status.oldestUndeliveredAt ?? "") - begun) < 5_000,
      String(status.oldestUndeliveredAt),
    );
    callback.onDelivery = answer(204);
    await statusUntil(
      hub,
      topic,
      callback.url,
      "no lag",
      ({ lag, oldestUndeliveredAt }) => lag === 0 && oldestUndeliveredAt === null,
    );
  });

  wire("WIRE §5 a status without topic or callback is 400 with a sentence that names it", async () => {
    for (
      const [name, parameters] of [["callback", { topic: "x" }], ["topic", { callback: "http://127.0.0.1/" }]] as const
    ) {
      const reply = await call(`${hub.base}/subscriptions?${encodeForm(parameters)}`);
      assert.equal(reply.status, 400);
      assert.ok(reply.text.includes(name), reply.text);
    }
  });
}
