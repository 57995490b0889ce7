// CONFORMANCE §3 and §4: denial, and the verification of intent.

import assert from "node:assert/strict";
import { after, answer, echo, script } from "../support/servers/answers.ts";
import type { Callback } from "../support/servers/callback-server.ts";
import { eventually, pause } from "../support/eventually.ts";
import { decodeForm, parameterOf } from "../support/form.ts";
import { post, request, statusOf, subscribed, unsubscribed } from "../support/hub/hub-client.ts";
import type { Responder } from "../support/servers/recording-server.ts";
import { bodies, quiet, row, update } from "./rig.ts";
import type { Rig } from "./rig.ts";

const LEASE_MAX_SECONDS = 7_776_000;
const LEASE_DEFAULT_SECONDS = 864_000;

export function verifyingRows(rig: Rig): void {
  const { hub, topics, callbacks } = rig;

  row(rig, "H34 §5.3 an unsubscribe is verified likewise, and then nothing comes for 15 s", async () => {
    const topic = topics.topic();
    const [callback, witness] = [callbacks.callback(), callbacks.callback()];
    await subscribed(hub, topic.url, callback);
    await subscribed(hub, topic.url, witness);
    await unsubscribed(hub, topic.url, callback);
    const challenge = await callback.challenged(2);
    assert.equal(parameterOf(challenge.query, "hub.mode"), "unsubscribe");
    assert.equal(parameterOf(challenge.query, "hub.topic"), topic.url);
    assert.ok(parameterOf(challenge.query, "hub.challenge"));
    await update(rig, topic, { body: "after" });
    await witness.delivered(1);
    await quiet([callback], 15_000);
    assert.deepEqual(bodies(callback), []);
  });

  row(rig, "H29 §5.2 a topic that cannot be fetched may be subscribed to: it is not validated", async () => {
    const topic = topics.topic();
    topic.serve({ status: 404, body: "no such topic" });
    const callback = callbacks.callback();
    await subscribed(hub, topic.url, callback);
    assert.equal(callback.denials.length, 0);
  }, "wire");

  row(rig, "H30 §5.2 nothing is delivered before the challenge has been answered", async () => {
    const topic = topics.topic();
    const [callback, witness] = [callbacks.callback(), callbacks.callback()];
    await subscribed(hub, topic.url, witness);
    callback.onChallenge = after(1_500, echo());
    await request(hub, "subscribe", topic.url, callback.url);
    await eventually("the challenge", () => callback.challenges[0]);
    await update(rig, topic, { body: "while it thinks" });
    await witness.delivered(1);
    const challenge = await callback.challenged();
    if (!hub.ours) return assert.equal(callback.deliveries.length, 0);
    // WIRE §2: the subscription begins before the challenge, so messages during the verification are not lost.
    const [delivery] = await callback.delivered(1);
    assert.ok((delivery?.at ?? 0) >= (challenge.endedAt ?? Infinity), "delivered before the answer");
  });

  row(rig, "H31 §5.2 a denied subscription is told so at its callback, query kept, without a challenge", async () => {
    const required = await rig.variant();
    const callback = callbacks.callback({ query: "k=1&x=%20+" });
    const topic = `${topics.origin}/never-registered`;
    assert.equal((await request(required, "subscribe", topic, callback.url)).status, 202);
    const denial = await callback.denied();
    assert.ok(denial.query.startsWith("k=1&x=%20+&hub."), denial.query);
    assert.equal(parameterOf(denial.query, "hub.topic"), topic);
    assert.ok(parameterOf(denial.query, "hub.reason"), "hub.reason is always present");
    assert.equal(parameterOf(denial.query, "hub.challenge"), undefined);
    assert.equal(denial.headers.location, undefined);
    assert.equal(callback.challenges.length, 0);
  }, "wire");

  row(
    rig,
    "H32 §5.2 an active subscription may be denied: deregistering says so and stops its deliveries",
    async () => {
      const topic = rig.name();
      const callback = callbacks.callback();
      await subscribed(hub, topic, callback);
      assert.equal((await post(hub, { "hub.mode": "deregister", "hub.topic": topic })).status, 200);
      const denial = await callback.denied();
      assert.equal(parameterOf(denial.query, "hub.topic"), topic);
      assert.equal((await statusOf(hub, topic, callback.url))?.state, "deregistered");
    },
    "wire",
  );

  row(rig, "H33 §5.3 the challenge names mode, topic byte for byte, a challenge and the lease", async () => {
    const topic = `${topics.topic().url}?q=%C3%A9+%2F&a=b%20c&a=~%7E`;
    const callback = callbacks.callback();
    await request(hub, "subscribe", topic, callback.url);
    const { query } = await callback.challenged();
    assert.equal(parameterOf(query, "hub.mode"), "subscribe");
    assert.equal(parameterOf(query, "hub.topic"), topic);
    assert.notEqual(parameterOf(query, "hub.challenge") ?? "", "");
    assert.match(parameterOf(query, "hub.lease_seconds") ?? "", /^[1-9][0-9]*$/);
    const names = decodeForm(query).map(([name]) => name);
    assert.equal(new Set(names).size, names.length, "each parameter once");
  });

  row(rig, "H35 H35a §8.2 §5.3 a hundred challenges are random, single use and of the allowed letters", async () => {
    const topic = topics.topic().url;
    const all = Array.from({ length: 100 }, () => callbacks.callback());
    await Promise.all(all.map((callback) => request(hub, "subscribe", topic, callback.url)));
    const queries = await Promise.all(all.map(async (callback) => (await callback.challenged()).query));
    const challenges = queries.map((query) => parameterOf(query, "hub.challenge") ?? "");
    assert.equal(new Set(challenges).size, 100);
    for (const challenge of challenges) {
      assert.match(challenge, hub.ours ? /^[A-Za-z0-9_-]{43}$/ : /^[-+./0-9=A-Z_a-z]+$/);
      assert.ok(challenge.length >= 22, "128 bits or more");
    }
  });

  /** Whether a subscribe whose challenge is answered like this gets the next message. A second subscription shows when to look. */
  const assertVerification = async (onChallenge: Responder, verifies: boolean, challenges = 1) => {
    const topic = topics.topic();
    const [callback, witness] = [callbacks.callback(), callbacks.callback()];
    callback.onChallenge = onChallenge;
    await request(hub, "subscribe", topic.url, callback.url);
    await callback.challenged(challenges, 15_000);
    await subscribed(hub, topic.url, witness);
    await update(rig, topic, { body: "published" });
    await witness.delivered(1);
    if (verifies) await callback.delivered(1);
    await quiet([callback]);
    assert.deepEqual(bodies(callback), verifies ? ["published"] : []);
  };

  for (const status of [200, 201, 202]) {
    row(
      rig,
      `H36 §5.3.1 a ${status} with exactly the challenge verifies`,
      () => assertVerification(echo({ status }), true),
    );
  }
  const wrong: [string, Responder][] = [
    ["an empty 204", answer(204)],
    ["an empty 200", answer(200)],
    ["a challenge echoed with a trailing newline", echo({ alter: (challenge) => `${challenge}\n` })],
    ["a challenge echoed with a leading space", echo({ alter: (challenge) => ` ${challenge}` })],
    ["the beginning of a challenge", echo({ alter: (challenge) => challenge.slice(0, -1) })],
    ["a challenge in another case", echo({ alter: swapCase })],
    ["a challenge in HTML", echo({ alter: (challenge) => `<p>${challenge}</p>`, contentType: "text/html" })],
    ["a challenge in quotes", echo({ alter: (challenge) => `"${challenge}"`, contentType: "application/json" })],
  ];
  for (const [what, onChallenge] of wrong) {
    row(rig, `H36 §5.3.1 ${what} does not verify`, () => assertVerification(onChallenge, false));
  }

  row(rig, "H37 §5.3.1 a redirect does not verify and is not followed", async () => {
    const elsewhere = callbacks.callback();
    for (const status of [301, 302, 303, 307, 308]) {
      const redirect: Responder = (received, response) => {
        response.writeHead(status, { location: `${elsewhere.url}?${received.query}` });
        response.end(parameterOf(received.query, "hub.challenge"));
      };
      await assertVerification(redirect, false);
    }
    assert.deepEqual(elsewhere.requests, []);
  });
  for (const status of [400, 403, 404, 410]) {
    row(
      rig,
      `H37 §5.3.1 a ${status} does not verify, whatever its body`,
      () => assertVerification(echo({ status }), false),
    );
  }
  row(rig, "H37 §5.3.1 a 500 does not verify, however often it is asked", async () => {
    // WIRE §2: no complete answer, or a 5xx, brings two more challenges, after 1 s and 4 s.
    await assertVerification(echo({ status: 500 }), false, hub.ours ? 3 : 1);
  });
  row(rig, "H37 WIRE §2 after a 5xx the next try has a fresh challenge, and verifies", async () => {
    const topic = topics.topic().url;
    const callback = callbacks.callback();
    callback.onChallenge = script(answer(503), echo());
    await request(hub, "subscribe", topic, callback.url);
    const [first, second] = [await callback.challenged(1), await callback.challenged(2)];
    const challengeOf = (query: string) => parameterOf(query, "hub.challenge");
    assert.notEqual(challengeOf(first.query), challengeOf(second.query));
    assert.ok(second.at - first.at > 800, "after about a second");
    await eventually(
      "an active subscription",
      async () => (await statusOf(hub, topic, callback.url))?.state === "active",
    );
    assert.equal(callback.challenges.length, 2);
  }, "wire");
  for (const status of [429, 503]) {
    row(rig, `H37 WIRE §2 a ${status} with Retry-After is asked again then, and may verify`, async () => {
      const topic = topics.topic().url;
      const callback = callbacks.callback();
      callback.onChallenge = script(answer(status, "", { "retry-after": "2" }), echo());
      await request(hub, "subscribe", topic, callback.url);
      const [first, second] = [await callback.challenged(1), await callback.challenged(2)];
      assert.ok(second.at - first.at >= 1_900, `after ${second.at - first.at} ms`);
      await eventually(
        "an active subscription",
        async () => (await statusOf(hub, topic, callback.url))?.state === "active",
      );
      assert.equal(callback.challenges.length, 2);
    }, "wire");
  }
  row(rig, "H37 WIRE §2 a complete answer is final: one challenge for each accepted request", async () => {
    const callback = callbacks.callback();
    callback.onChallenge = answer(404);
    await request(hub, "subscribe", topics.topic().url, callback.url);
    await callback.challenged();
    await pause(2_000);
    assert.equal(callback.challenges.length, 1);
  }, "wire");

  for (const contentType of [undefined, "application/octet-stream", "text/html", "image/png"]) {
    row(
      rig,
      `H38 §5.3.1 the echo's Content-Type is irrelevant: ${contentType ?? "none"}`,
      () => assertVerification(echo(contentType === undefined ? {} : { contentType }), true),
    );
  }

  row(rig, "H39 §5.3.1 a lease that is over ends the deliveries", async () => {
    const topic = topics.topic();
    const [callback, witness] = [callbacks.callback(), callbacks.callback()];
    await subscribed(hub, topic.url, witness);
    await subscribed(hub, topic.url, callback, { "hub.lease_seconds": "2" });
    const challenge = await callback.challenged();
    assert.equal(parameterOf(challenge.query, "hub.lease_seconds"), "2");
    await update(rig, topic, { body: "within" });
    await callback.delivered(1);
    await pause(3_200 - (performance.now() - challenge.at));
    await update(rig, topic, { body: "beyond" });
    await witness.delivered(2);
    await quiet([callback]);
    assert.deepEqual(bodies(callback), ["within"]);
  }, "settings");

  const granted = async (callback: Callback, more: Readonly<Record<string, string>>) => {
    await request(hub, "subscribe", topics.topic().url, callback.url, more);
    return Number(parameterOf((await callback.challenged()).query, "hub.lease_seconds"));
  };
  row(rig, "H5 §5.1 a lease asked for is honoured or clamped, and read back from the challenge", async () => {
    const lease = await granted(callbacks.callback(), { "hub.lease_seconds": "12345" });
    assert.ok(Number.isSafeInteger(lease) && lease > 0);
    if (hub.ours) assert.equal(lease, 12_345);
  });
  row(rig, "H40 §5.3.1 no lease is perpetual", async () => {
    const lease = await granted(callbacks.callback(), { "hub.lease_seconds": "999999999" });
    assert.ok(Number.isSafeInteger(lease) && lease > 0);
    if (hub.ours) assert.equal(lease, LEASE_MAX_SECONDS);
  });
  row(rig, "H41 §8.2 without a lease asked for there is a default, ten days", async () => {
    const lease = await granted(callbacks.callback(), {});
    assert.ok(Number.isSafeInteger(lease) && lease > 0);
    if (!hub.ours) return;
    assert.equal(lease, LEASE_DEFAULT_SECONDS);
    assert.equal(await granted(callbacks.callback(), { "hub.lease_seconds": "" }), LEASE_DEFAULT_SECONDS);
  });
}

function swapCase(text: string): string {
  return Array.from(text, (letter) => letter === letter.toUpperCase() ? letter.toLowerCase() : letter.toUpperCase())
    .join("");
}
