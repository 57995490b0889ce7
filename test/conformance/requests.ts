// CONFORMANCE §1 and §2, the rows on the form of a subscription request and its answer.

import assert from "node:assert/strict";
import { after, answer, cut, hang } from "../support/servers/answers.ts";
import { openCallbackServer } from "../support/servers/callback-server.ts";
import { never } from "../support/eventually.ts";
import { encodeForm, parameterOf } from "../support/form.ts";
import { call } from "../support/servers/http.ts";
import type { Reply } from "../support/servers/http.ts";
import { freePort } from "../support/free-port.ts";
import { post, postRaw, request, subscribed, unsubscribed } from "../support/hub/hub-client.ts";
import { quiet, row, update } from "./rig.ts";
import type { Rig } from "./rig.ts";

const FORM_TYPE = "application/x-www-form-urlencoded";

/** §5.1.2: an error is a 4xx with a plain sentence that names the parameter, and nothing else. */
function assertRefused(reply: Reply, parameter?: string): void {
  assert.ok(reply.status >= 400 && reply.status < 500, `expected a 4xx, got ${reply.status}: ${reply.text}`);
  assert.match(reply.headers["content-type"] ?? "", /^text\/plain/);
  assert.notEqual(reply.text.trim(), "");
  assert.doesNotMatch(reply.text, /<html|<body|\bat .+:\d+:\d+/i);
  if (parameter !== undefined) assert.ok(reply.text.includes(parameter), `"${reply.text}" does not name ${parameter}`);
}

export function requestRows(rig: Rig): void {
  const { hub, topics, callbacks } = rig;
  const refusesQuietly = async (send: (topic: string, callback: string) => Promise<Reply>, parameter?: string) => {
    const callback = callbacks.callback();
    assertRefused(await send(topics.topic().url, callback.url), parameter);
    await never("a request to the callback", () => callback.requests.length, 50);
  };

  row(rig, "H1 §3.1 a request with only callback, mode and topic is accepted", async () => {
    const callback = callbacks.callback();
    assert.equal((await request(hub, "subscribe", topics.topic().url, callback.url)).status, 202);
    await callback.challenged();
  });

  row(rig, "H2 H69 §3.1 a request that also has a secret is accepted, over http as well", async () => {
    const callback = callbacks.callback();
    const reply = await request(hub, "subscribe", topics.topic().url, callback.url, { "hub.secret": "a secret" });
    assert.equal(reply.status, 202);
    await callback.challenged();
  });

  for (const type of [FORM_TYPE, `${FORM_TYPE}; charset=UTF-8`, `${FORM_TYPE};charset=utf-8`]) {
    row(rig, `H3 §5.1 a form sent as "${type}" is accepted`, async () => {
      const callback = callbacks.callback();
      const parameters = { "hub.mode": "subscribe", "hub.topic": topics.topic().url, "hub.callback": callback.url };
      assert.equal((await post(hub, parameters, { "content-type": type })).status, 202);
      await callback.challenged();
    });
  }

  row(
    rig,
    "H3 §5.1 a JSON body is refused and verifies nothing",
    () =>
      refusesQuietly((topic, callback) =>
        postRaw(hub, JSON.stringify({ "hub.mode": "subscribe", "hub.topic": topic, "hub.callback": callback }), {
          "content-type": "application/json",
        })
      ),
  );

  row(rig, "H3 §5.1 a GET is refused and verifies nothing", async () => {
    const callback = callbacks.callback();
    const query = encodeForm({
      "hub.mode": "subscribe",
      "hub.topic": topics.topic().url,
      "hub.callback": callback.url,
    });
    const reply = await call(`${hub.url}?${query}`);
    assert.ok(reply.status >= 400 && reply.status < 500, `expected a 4xx, got ${reply.status}`);
    await never("a request to the callback", () => callback.requests.length, 50);
  });

  row(rig, "H4 §5.1 callback, mode and topic are each required, and none may be empty", async () => {
    for (const name of ["hub.callback", "hub.mode", "hub.topic"]) {
      for (const missing of [true, false]) {
        await refusesQuietly((topic, callback) => {
          const all = { "hub.callback": callback, "hub.mode": "subscribe", "hub.topic": topic };
          const kept = Object.entries(all).filter(([each]) => each !== name);
          return post(hub, missing ? kept : [...kept, [name, ""]]);
        }, name);
      }
    }
  });

  row(rig, "H4 §5.1 the mode is exactly subscribe or unsubscribe", async () => {
    for (const mode of ["Subscribe", "SUBSCRIBE", "subscribe ", "foo", "denied"]) {
      await refusesQuietly(
        (topic, callback) => post(hub, { "hub.mode": mode, "hub.topic": topic, "hub.callback": callback }),
        "hub.mode",
      );
    }
  });

  row(rig, "H6 §5.1 a lease that is no positive decimal integer is refused, or a finite one is granted", async () => {
    for (const lease of ["0", "-1", "1.5", "abc", "1e3", "9".repeat(40)]) {
      const callback = callbacks.callback();
      const reply = await request(hub, "subscribe", topics.topic().url, callback.url, { "hub.lease_seconds": lease });
      // A number of 40 digits is a positive decimal integer: clamping it is as good as refusing it.
      if (hub.ours && lease.length < 40) assert.equal(reply.status, 400, `lease ${lease}`);
      if (reply.status !== 202) {
        assertRefused(reply, "hub.lease_seconds");
        continue;
      }
      const granted = parameterOf((await callback.challenged()).query, "hub.lease_seconds") ?? "";
      assert.match(granted, /^[1-9][0-9]{0,9}$/);
    }
  });

  row(rig, "H7 §5.1 lease_seconds means nothing on unsubscribe", async () => {
    const topic = topics.topic();
    const [callback, witness] = [callbacks.callback(), callbacks.callback()];
    await subscribed(hub, topic.url, callback);
    await subscribed(hub, topic.url, witness);
    await unsubscribed(hub, topic.url, callback, { "hub.lease_seconds": "garbage" });
    await update(rig, topic, { body: "after" });
    await witness.delivered(1);
    await quiet([callback]);
    assert.deepEqual(callback.deliveries, []);
  });

  row(rig, "H8 §5.1 a secret is shorter than 200 bytes, not characters", async () => {
    const callback = callbacks.callback();
    const topic = topics.topic().url;
    const reply = await request(hub, "subscribe", topic, callback.url, { "hub.secret": "s".repeat(199) });
    assert.equal(reply.status, 202);
    for (const secret of ["s".repeat(200), "é".repeat(100)]) {
      const refusal = await request(hub, "subscribe", topics.topic().url, callback.url, { "hub.secret": secret });
      assertRefused(refusal, "hub.secret");
      assert.ok(!refusal.text.includes(secret), "the secret is echoed");
    }
  });

  row(rig, "H9 §5.1 unknown parameters are ignored", async () => {
    const topic = topics.topic();
    const callback = callbacks.callback();
    await subscribed(hub, topic.url, callback, { "foo": "bar", "hub.foo": "hub.bar" });
    await update(rig, topic, { body: "works" });
    await callback.delivered(1);
  });

  for (
    const callback of [
      "ftp://127.0.0.1/callback",
      "file:///etc/passwd",
      "javascript:alert(1)",
      "/relative",
      "callback",
      "http://",
      "http:///no-host",
      "//127.0.0.1/callback",
      "http://127.0.0.1:8080/callback#fragment",
    ]
  ) {
    row(rig, `H16 §5.1.1 the callback ${callback} is refused`, async () => {
      assertRefused(await request(hub, "subscribe", topics.topic().url, callback), "hub.callback");
    });
  }

  row(
    rig,
    "H16 §5.1.1 a topic with a fragment is refused",
    () => refusesQuietly((topic, callback) => request(hub, "subscribe", `${topic}#part`, callback), "hub.topic"),
  );

  row(rig, "H22 §5.1.2 subscribe and unsubscribe are answered 202", async () => {
    const callback = callbacks.callback();
    const topic = topics.topic().url;
    assert.equal((await request(hub, "subscribe", topic, callback.url)).status, 202);
    assert.equal((await request(hub, "unsubscribe", topic, callback.url)).status, 202);
  });

  row(rig, "H23 §5.1.2 intent is verified as soon as possible", async () => {
    const callback = callbacks.callback();
    const begun = performance.now();
    await request(hub, "subscribe", topics.topic().url, callback.url);
    const challenge = await callback.challenged();
    // About a second when idle; other rows run beside this one.
    assert.ok(challenge.at - begun < 3_000, `the challenge came after ${challenge.at - begun} ms`);
  });

  row(
    rig,
    "H24 H25 §5.1.2 an error is a 4xx with a sentence in plain text that names the parameter and echoes no secret",
    async () => {
      const secret = `not for your eyes ${"x".repeat(200)}`;
      const good = {
        "hub.mode": "subscribe",
        "hub.topic": topics.topic().url,
        "hub.callback": callbacks.callback().url,
      };
      assertRefused(await post(hub, { ...good, "hub.mode": "nonsense" }), "hub.mode");
      assertRefused(await post(hub, { ...good, "hub.topic": "" }), "hub.topic");
      assertRefused(await post(hub, { ...good, "hub.callback": "nonsense" }), "hub.callback");
      const reply = await post(hub, { ...good, "hub.secret": secret });
      assertRefused(reply, "hub.secret");
      assert.ok(!reply.text.includes("not for your eyes"));
      assertRefused(await post(hub, {}), "hub.mode");
    },
  );

  row(rig, "H26 §5.1.2 the answer does not depend on what verification will say", async () => {
    // The row has its own server, so that hanging connections do not affect other rows.
    await using own = await openCallbackServer();
    const [hanging, missing, slow, cutting] = [own.callback(), own.callback(), own.callback(), own.callback()];
    hanging.onChallenge = hang();
    missing.onChallenge = answer(404);
    slow.onChallenge = after(1_500, answer(200));
    cutting.onChallenge = cut();
    const refusing = `http://127.0.0.1:${await freePort()}/nobody`;
    for (const url of [hanging.url, missing.url, slow.url, cutting.url, refusing]) {
      const reply = await request(hub, "subscribe", topics.topic().url, url);
      assert.equal(reply.status, 202, url);
      assert.ok(reply.elapsedMs < 1_000, `${url} was answered after ${reply.elapsedMs} ms`);
    }
  });
}
