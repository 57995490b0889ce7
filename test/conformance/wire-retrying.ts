// WIRE §3 and §4: what each answer to a delivery causes and when; no message is ever skipped.

import assert from "node:assert/strict";
import { answer, cut, hang, script, written } from "../support/servers/answers.ts";
import { openCallbackServer } from "../support/servers/callback-server.ts";
import type { Callback } from "../support/servers/callback-server.ts";
import { eventually } from "../support/eventually.ts";
import { encodeForm } from "../support/form.ts";
import { call } from "../support/servers/http.ts";
import { post, published, statusOf, statusUntil, subscribed, unsubscribed } from "../support/hub/hub-client.ts";
import { bodies, quiet, row } from "./rig.ts";
import type { Rig } from "./rig.ts";

/** RETRY_MAX of the hub under test. */
const RETRY_MAX_MS = 500;
const DEAD_LETTER_ATTEMPTS = 5;

export function retryingRows(rig: Rig): void {
  const { hub, callbacks } = rig;
  const settings = (title: string, run: () => Promise<void>) => row(rig, title, run, "settings");
  const accepted = (callback: Callback) =>
    callback.deliveries.filter(({ status }) => status === 204).map(({ body }) => body.toString());

  for (const status of [408, 425, 429, 500, 502, 503, 401, 403, 404, 405, 418]) {
    settings(`WIRE §3 a ${status} is tried again more than ${DEAD_LETTER_ATTEMPTS} times, in order`, async () => {
      const topic = rig.name();
      const callback = callbacks.callback();
      const no = answer(status);
      callback.onDelivery = script(no, no, no, no, no, no, answer(204));
      await subscribed(hub, topic, callback);
      await published(hub, topic, "one");
      await published(hub, topic, "two");
      await callback.delivered(8, 15_000);
      await quiet([callback]);
      assert.deepEqual(bodies(callback), [...Array.from({ length: 7 }, () => "one"), "two"]);
    });
  }

  settings("WIRE §3 answers of line feeds alone confirm a subscription, and take its messages, each once", async () => {
    const topic = rig.name();
    const callback = callbacks.callback();
    const head = (length: number) => `HTTP/1.1 200 OK\nX-Folded: a\n b\nContent-Length: ${length}\n\n`;
    callback.onChallenge = callback.onDelivery = written((challenge) => head(challenge.length) + challenge);
    await subscribed(hub, topic, callback);
    for (const body of ["one", "two"]) await published(hub, topic, body);
    await callback.delivered(2);
    await quiet([callback]);
    assert.deepEqual(bodies(callback), ["one", "two"]);
  });

  settings(
    "WIRE §3 §5 an answer that cannot be read is tried again, and the status says what is wrong with it",
    async () => {
      const topic = rig.name();
      const callback = callbacks.callback();
      const wrong = written(() => "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
      callback.onDelivery = wrong;
      await subscribed(hub, topic, callback);
      await published(hub, topic, "one");
      const { lastError } = await statusUntil(
        hub,
        topic,
        callback.url,
        "an error",
        ({ lastError }) => lastError !== null,
      );
      assert.match(lastError ?? "", /two Content-Length headers that differ; send one/);
      callback.onDelivery = answer(204);
      await statusUntil(hub, topic, callback.url, "no lag", ({ lag }) => lag === 0);
    },
  );

  for (const status of [400, 413, 415, 422, 431]) {
    settings(
      `WIRE §3 a ${status} ${DEAD_LETTER_ATTEMPTS} times makes a dead letter, and the next message follows`,
      async () => {
        const topic = rig.name();
        const callback = callbacks.callback();
        const no = answer(status);
        callback.onDelivery = script(no, no, no, no, no, answer(204));
        await subscribed(hub, topic, callback);
        await published(hub, topic, "unwanted");
        await published(hub, topic, "wanted");
        await callback.delivered(DEAD_LETTER_ATTEMPTS + 1, 15_000);
        await quiet([callback], 800);
        assert.deepEqual(bodies(callback), [...Array.from({ length: 5 }, () => "unwanted"), "wanted"]);
        await statusUntil(hub, topic, callback.url, "no lag", ({ state, lag }) => state === "active" && lag === 0);
      },
    );
  }

  settings(
    "WIRE §3 §5 DEAD_LETTER_500_ATTEMPTS answers of 500 make a dead letter, other 5xx in between do not",
    async () => {
      const variant = await rig.variant();
      const topic = rig.name();
      const callback = callbacks.callback();
      await post(variant, { "hub.mode": "register", "hub.topic": topic });
      callback.onDelivery = script(answer(500), answer(503), answer(500), answer(502), answer(500), answer(204));
      await subscribed(variant, topic, callback);
      const unwanted = await published(variant, topic, "unwanted");
      await published(variant, topic, "wanted");
      await callback.delivered(6, 15_000);
      await quiet([callback]);
      assert.deepEqual(bodies(callback), [...Array.from({ length: 5 }, () => "unwanted"), "wanted"]);
      const query = encodeForm({ topic, callback: callback.url });
      const letters = await eventually("the dead letter", async () => {
        const reply = await call(`${variant.base}/dead-letters?${query}`);
        const { deadLetters } = JSON.parse(reply.text) as { deadLetters: Record<string, unknown>[] };
        return deadLetters.length > 0 && deadLetters;
      });
      assert.deepEqual(letters.map(({ id, status, attempts }) => [id, status, attempts]), [[unwanted, 500, 5]]);
    },
  );

  settings("WIRE §5 a message that is answered 5xx for long is named in the status, and an ack passes it", async () => {
    const variant = await rig.variant();
    const topic = rig.name();
    const callback = callbacks.callback();
    await post(variant, { "hub.mode": "register", "hub.topic": topic });
    callback.onDelivery = (request, response) =>
      answer(request.body.toString() === "stuck" ? 503 : 204)(request, response);
    await subscribed(variant, topic, callback);
    const id = await published(variant, topic, "stuck");
    await published(variant, topic, "next");
    const named = await statusUntil(variant, topic, callback.url, "named", ({ stuck }) => stuck !== null, 30_000);
    assert.equal(named.stuck?.id, id);
    assert.ok(named.stuck.answered5xx >= 10);
    assert.match(named.lastError ?? "", new RegExp(`^answered 503: .*${id}.*/subscriptions/ack`));
    const form = encodeForm({ topic, callback: callback.url, cursor: named.stuck.cursor });
    const reply = await call(`${variant.base}/subscriptions/ack`, {
      body: form,
      headers: { "content-type": "application/x-www-form-urlencoded" },
    });
    assert.equal(reply.status, 200, reply.text);
    await eventually("the next", () => accepted(callback).length === 1);
    const after = await statusUntil(variant, topic, callback.url, "no lag", ({ lag }) => lag === 0);
    assert.deepEqual([after.stuck, after.lastError], [null, null]);
  });

  settings("WIRE §3 a cut connection and a timeout are tried again", async () => {
    await using own = await openCallbackServer();
    const topic = rig.name();
    const callback = own.callback();
    callback.onDelivery = script(cut(), hang(), answer(204));
    await subscribed(hub, topic, callback);
    await published(hub, topic, "one");
    const attempts = await callback.delivered(3);
    // DELIVERY_TIMEOUT is 2 s, on a coarse wheel. The hub counts from when it sends, which is after the cut and may be a while
    // before the attempt arrives here.
    const waited = (attempts[2]?.at ?? 0) - (attempts[0]?.endedAt ?? 0);
    assert.ok(waited > 1_990 && waited < 5_000, `the hanging attempt lasted ${waited} ms`);
  });

  settings("WIRE §4 Retry-After in seconds or as a date holds for this subscription, at most RETRY_MAX", async () => {
    const topic = rig.name();
    const [seconds, date] = [callbacks.callback(), callbacks.callback()];
    seconds.onDelivery = script(answer(503, "", { "retry-after": "3600" }), answer(204));
    date.onDelivery = (request, response) => {
      const first = date.deliveries[0] === request;
      // A date has whole seconds, so it must lie well ahead to be ahead at all.
      const at = new Date(Date.now() + 3_600_000).toUTCString();
      return answer(first ? 429 : 204, "", first ? { "retry-after": at } : {})(request, response);
    };
    await subscribed(hub, topic, seconds);
    await subscribed(hub, topic, date);
    await published(hub, topic, "later");
    for (const callback of [seconds, date]) {
      const [first, second] = await callback.delivered(2);
      const gap = (second?.at ?? 0) - (first?.endedAt ?? 0);
      // Without it the first gap is at most 50 ms.
      assert.ok(gap > RETRY_MAX_MS - 50 && gap < RETRY_MAX_MS + 2_000, `the gap was ${gap} ms`);
    }
  });

  settings("WIRE §4 a parked subscription is probed at once on renewal, and goes on in order", async () => {
    await using own = await openCallbackServer();
    const topic = rig.name();
    const callback = own.callback();
    callback.onDelivery = answer(503);
    await subscribed(hub, topic, callback);
    for (const body of ["one", "two", "three"]) await published(hub, topic, body);
    await statusUntil(hub, topic, callback.url, "parked", ({ state }) => state === "parked", 15_000);
    // Right after a probe, so that the next one by the interval is a second away.
    const count = callback.deliveries.length;
    await callback.delivered(count + 1);
    callback.onDelivery = answer(204);
    const renewed = performance.now();
    const nth = callback.challenges.length + 1;
    await subscribed(hub, topic, callback);
    const challenge = await callback.challenged(nth);
    await eventually("all three", () => accepted(callback).length === 3);
    assert.deepEqual(accepted(callback), ["one", "two", "three"]);
    const probe = callback.deliveries.find(({ status }) => status === 204);
    assert.ok(
      (probe?.at ?? Infinity) - (challenge.endedAt ?? 0) < 900,
      `probed ${(probe?.at ?? 0) - renewed} ms after the renewal`,
    );
  });

  settings("WIRE §4 a parked subscription ends by unsubscribe, and nobody probes it again", async () => {
    await using own = await openCallbackServer();
    const topic = rig.name();
    const callback = own.callback();
    callback.onDelivery = answer(500);
    await subscribed(hub, topic, callback);
    await published(hub, topic, "one");
    await statusUntil(hub, topic, callback.url, "parked", ({ state }) => state === "parked", 15_000);
    await unsubscribed(hub, topic, callback);
    await quiet([callback], 1_500);
  });

  settings("WIRE §4 a 410 ends even a subscription with more to come", async () => {
    const topic = rig.name();
    const callback = callbacks.callback();
    callback.onDelivery = script(answer(500), answer(410));
    await subscribed(hub, topic, callback);
    for (const body of ["one", "two", "three"]) await published(hub, topic, body);
    await statusUntil(hub, topic, callback.url, "gone", ({ state }) => state === "gone");
    await quiet([callback]);
    assert.deepEqual(bodies(callback), ["one", "one"]);
    // A subscriber that answered 410 may subscribe anew: the new life has no message from before.
    callback.onDelivery = answer(204);
    await subscribed(hub, topic, callback);
    await published(hub, topic, "four");
    await eventually("the fourth", () => accepted(callback).length === 1);
    assert.deepEqual(accepted(callback), ["four"]);
    assert.equal((await statusOf(hub, topic, callback.url))?.state, "active");
  });

  for (const concurrency of [undefined, "4"]) {
    settings(
      `WIRE §2 hub.concurrency ${concurrency ?? "not given"} allows ${concurrency ?? "1"} at a time`,
      async () => {
        await using own = await openCallbackServer();
        const topic = rig.name();
        const callback = own.callback();
        let [inFlight, most] = [0, 0];
        callback.onDelivery = async (request, response) => {
          inFlight += 1;
          most = Math.max(most, inFlight);
          await new Promise((resolve) => setTimeout(resolve, 100));
          inFlight -= 1;
          await answer(204)(request, response);
        };
        await subscribed(hub, topic, callback, concurrency === undefined ? {} : { "hub.concurrency": concurrency });
        const messages = Array.from({ length: 12 }, (_, n) => `message ${n}`);
        await Promise.all(messages.map((body) => published(hub, topic, body)));
        await callback.delivered(12);
        await quiet([callback]);
        assert.equal(most, Number(concurrency ?? 1));
        assert.deepEqual(bodies(callback).toSorted(), messages.toSorted());
      },
    );
  }

  settings("WIRE §2 hub.concurrency is a number from 1 to 64", async () => {
    for (const wrong of ["0", "65", "-1", "2.5", "many"]) {
      const callback = callbacks.callback();
      await assert.rejects(subscribed(hub, rig.name(), callback, { "hub.concurrency": wrong }), /hub\.concurrency/);
      assert.equal(callback.requests.length, 0);
    }
    await subscribed(hub, rig.name(), callbacks.callback(), { "hub.concurrency": "64" });
  });
}
