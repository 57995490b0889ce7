// WIRE §1: the hub endpoint's paths and methods, how requests are parsed, and the answers to topic registration.

import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { decodeForm, encodeForm, parameterOf } from "../support/form.ts";
import { call } from "../support/servers/http.ts";
import type { Reply } from "../support/servers/http.ts";
import {
  ping,
  post,
  postRaw,
  publish,
  published,
  request,
  statusUntil,
  subscribed,
} from "../support/hub/hub-client.ts";
import { bodies, quiet, row } from "./rig.ts";
import type { Rig } from "./rig.ts";

const FORM_TYPE = "application/x-www-form-urlencoded";

/** Checks the legacy answer to a hub.* request: a form that says accepted. */
export function assertAccepted(reply: Reply, status: number): void {
  assert.equal(reply.status, status, reply.text);
  assert.ok((reply.headers["content-type"] ?? "").startsWith(FORM_TYPE), reply.headers["content-type"]);
  assert.deepEqual(decodeForm(reply.text), [["hub.mode", "accepted"]]);
}

function assertDenied(reply: Reply, status: number): void {
  assert.equal(reply.status, status, reply.text);
  assert.ok((reply.headers["content-type"] ?? "").startsWith(FORM_TYPE), reply.headers["content-type"]);
  assert.equal(parameterOf(reply.text, "hub.mode"), "denied");
  assert.notEqual(parameterOf(reply.text, "hub.reason") ?? "", "");
}

function assertSentence(reply: Reply, status: number, names?: string): void {
  assert.equal(reply.status, status, reply.text);
  assert.match(reply.headers["content-type"] ?? "", /^text\/plain/);
  if (names !== undefined) assert.ok(reply.text.includes(names), `"${reply.text}" does not name ${names}`);
}

export function endpointRows(rig: Rig): void {
  const { hub, topics, callbacks } = rig;
  const wire = (title: string, run: () => Promise<void>) => row(rig, title, run, "wire");

  wire("WIRE §1 /, /hub and both with a trailing slash are one endpoint", async () => {
    for (const path of ["/hub", "/hub/", "/", ""]) {
      const body = encodeForm({ "hub.mode": "register", "hub.topic": rig.name() });
      assertAccepted(await call(`${hub.base}${path}`, { body, headers: { "content-type": FORM_TYPE } }), 200);
    }
  });

  wire("WIRE §1 GET and HEAD are 405 with Allow; the body is a page only where HTML is preferred", async () => {
    for (const path of ["/hub", "/"]) {
      const plain = await call(`${hub.base}${path}`);
      assertSentence(plain, 405);
      assert.equal(plain.headers.allow, "POST, OPTIONS");
      const html = await call(`${hub.base}${path}`, {
        headers: { accept: "text/html,application/xhtml+xml,*/*;q=0.8" },
      });
      assert.equal(html.status, 405);
      assert.match(html.headers["content-type"] ?? "", /^text\/html/);
      const head = await call(`${hub.base}${path}`, { method: "HEAD" });
      assert.equal(head.status, 405);
      assert.equal(head.headers.allow, "POST, OPTIONS");
    }
  });

  wire("WIRE §1 OPTIONS is 204, other methods 405, other paths 404, and nothing allows other origins", async () => {
    const options = await call(hub.url, { method: "OPTIONS", headers: { origin: "https://elsewhere.example" } });
    assert.equal(options.status, 204);
    for (const method of ["PUT", "DELETE", "PATCH"]) assert.equal((await call(hub.url, { method })).status, 405);
    assertSentence(await call(`${hub.base}/nothing-here`), 404);
    assert.equal(Object.keys(options.headers).find((name) => name.startsWith("access-control-")), undefined);
  });

  wire("WIRE §1 a parameter is split first and decoded once, and the first of a repeated one counts", async () => {
    const callback = callbacks.callback();
    const topic = "a+b & c=d, 100 %, é";
    const first = `hub.mode=subscribe&hub.topic=a%2Bb+%26+c=d,%20100%20%25,+%C3%A9&hub.callback=${
      encodeURIComponent(callback.url)
    }`;
    const reply = await postRaw(hub, `${first}&hub.mode=nonsense&hub.topic=other&hub.callback=nonsense`, {
      "content-type": FORM_TYPE,
    });
    assert.equal(reply.status, 202, reply.text);
    assert.equal(parameterOf((await callback.challenged()).query, "hub.topic"), topic);
  });

  wire("WIRE §1 bytes that are no UTF-8, and broken escapes of them, are 400", async () => {
    for (const topic of ["%FF%FE", "%C3%28", "%ED%A0%80"]) {
      assertSentence(await postRaw(hub, `hub.mode=register&hub.topic=${topic}`, { "content-type": FORM_TYPE }), 400);
      assertSentence(await call(`${hub.url}?hub.mode=publish&hub.topic=${topic}`, { body: "x" }), 400);
    }
  });

  wire("WIRE §1 a topic is 1 to 2,048 bytes without control characters, and is not encoded twice", async () => {
    const register = (topic: string) => post(hub, { "hub.mode": "register", "hub.topic": topic });
    assertAccepted(await register("é".repeat(1_024)), 200);
    assertSentence(await register(`${"é".repeat(1_024)}x`), 400, "hub.topic");
    for (const topic of ["", "a\nb", "a\u0000b", "a\u007fb", "partner%2FEVENT"]) {
      assertSentence(await register(topic), 400, "hub.topic");
    }
    assertAccepted(await register("http://topics.example/a%2Fb"), 200);
    assertAccepted(await register("partner/EVENT with spaces, 日本"), 200);
  });

  wire("WIRE §1 register is 200, new or not, in the form and in the query", async () => {
    const topic = rig.name();
    assertAccepted(await post(hub, { "hub.mode": "register", "hub.topic": topic }), 200);
    assertAccepted(await post(hub, { "hub.mode": "register", "hub.topic": topic }), 200);
    const query = encodeForm({ "hub.mode": "register", "hub.topic": topic });
    assertAccepted(await call(`${hub.url}?${query}`, { method: "POST" }), 200);
    assertAccepted(
      await call(`${hub.url}?${query}`, { body: "{}", headers: { "content-type": "application/json" } }),
      200,
    );
  });

  for (const mode of ["deregister", "unregister"]) {
    wire(
      `WIRE §1 ${mode} of a known topic is 200 and its subscriptions end with a denied notice, of an unknown one 404`,
      async () => {
        const topic = rig.name();
        const callback = callbacks.callback();
        assertDenied(await post(hub, { "hub.mode": mode, "hub.topic": topic }), 404);
        await subscribed(hub, topic, callback);
        await published(hub, topic, "before");
        await callback.delivered(1);
        assertAccepted(await post(hub, { "hub.mode": mode, "hub.topic": topic }), 200);
        const denial = await callback.denied();
        assert.equal(parameterOf(denial.query, "hub.topic"), topic);
        assert.ok(parameterOf(denial.query, "hub.reason"));
        await statusUntil(hub, topic, callback.url, "deregistered", ({ state }) => state === "deregistered");
        assertDenied(await post(hub, { "hub.mode": mode, "hub.topic": topic }), 404);
        // The topic begins anew, and the ended subscription stays ended.
        await published(hub, topic, "after");
        await quiet([callback]);
        assert.deepEqual(bodies(callback), ["before"]);
      },
    );
  }

  wire("WIRE §1 under required a topic is made by register alone: content and ping to another are 404", async () => {
    const required = await rig.variant();
    const [name, topic] = [rig.name(), topics.topic()];
    assertDenied(await publish(required, name, { body: "x", contentType: "text/plain" }), 404);
    assertDenied(await ping(required, topic.url), 404);
    assertAccepted(await post(required, { "hub.mode": "register", "hub.topic": name }), 200);
    assertAccepted(await post(required, { "hub.mode": "register", "hub.topic": topic.url }), 200);
    assertAccepted(await publish(required, name, { body: "x", contentType: "text/plain" }), 200);
    assert.equal((await ping(required, topic.url)).status, 204);
    assertAccepted(await post(required, { "hub.mode": "deregister", "hub.topic": name }), 200);
    // A3.11: a core may know an ended topic for a second too long, but never says wrongly that one does not exist.
    const denied = await eventually("a publish that is not accepted", async () => {
      const reply = await publish(required, name, { body: "x", contentType: "text/plain" });
      return reply.status !== 200 && reply;
    }, { deadlineMs: 3_000, everyMs: 50 });
    assertDenied(denied, 404);
  });

  wire(
    "WIRE §2 under required a subscribe to an unknown topic is 202 and denied, an unsubscribe is verified all the same",
    async () => {
      const required = await rig.variant();
      const [name, callback] = [rig.name(), callbacks.callback()];
      assert.equal((await request(required, "subscribe", name, callback.url)).status, 202);
      await callback.denied();
      assert.equal((await request(required, "unsubscribe", name, callback.url)).status, 202);
      const challenge = await callback.challenged();
      assert.equal(parameterOf(challenge.query, "hub.mode"), "unsubscribe");
      // Registered now, the same subscribe is challenged.
      await post(required, { "hub.mode": "register", "hub.topic": name });
      await subscribed(required, name, callback);
      await published(required, name, "works");
      await callback.delivered(1);
      assert.deepEqual(bodies(callback), ["works"]);
    },
  );

  wire("WIRE §2 subscribe is answered as accepted", async () => {
    assertAccepted(await request(hub, "subscribe", rig.name(), callbacks.callback().url), 202);
    assertAccepted(await request(hub, "unsubscribe", rig.name(), callbacks.callback().url), 202);
  });

  wire("WIRE §8 health and readiness are answered 200, MOSIP's probe with UP", async () => {
    assert.equal((await call(`${hub.base}/healthz`)).status, 200);
    assert.equal((await call(`${hub.base}/readyz`)).status, 200);
    const actuator = await call(`${hub.base}/hub/actuator/health`);
    assert.equal(actuator.status, 200);
    assert.deepEqual(JSON.parse(actuator.text), { status: "UP" });
    assert.equal((await call(`${hub.base}/metrics`)).status, 404);
  });
}
