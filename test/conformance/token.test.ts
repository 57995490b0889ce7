// The black box under ACCESS=token, with a real identity provider beside it (WIRE §6; §2 "Without a challenge").

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { openCallbackServer } from "../support/servers/callback-server.ts";
import type { Callback, CallbackServer } from "../support/servers/callback-server.ts";
import { eventually, never } from "../support/eventually.ts";
import { encodeForm } from "../support/form.ts";
import { call } from "../support/servers/http.ts";
import type { Reply } from "../support/servers/http.ts";
import { post, publish, request } from "../support/hub/hub-client.ts";
import { openOwnHub } from "../support/hub/hub.ts";
import type { OwnHub } from "../support/hub/hub.ts";
import { openOidcProvider } from "../support/servers/oidc-provider.ts";
import type { OwnProvider } from "../support/servers/oidc-provider.ts";

type Headers = Readonly<Record<string, string>>;

describe("conformance with tokens, a real identity provider", { concurrency: 8 }, () => {
  let provider: OwnProvider;
  let callbacks: CallbackServer;
  let registered: CallbackServer;
  let hub: OwnHub;
  before(async () => {
    [callbacks, registered, provider] = await Promise.all([
      openCallbackServer(),
      openCallbackServer(),
      openOidcProvider(["publisher", "alice", "bob", "operator"], { operator: ["websub:operate"] }),
    ]);
    hub = await openOwnHub({
      settings: {
        TIDINGS_ACCESS: "token",
        TIDINGS_ISSUER: provider.issuer,
        TIDINGS_AUDIENCE: "hub",
        TIDINGS_INTROSPECTION_URL: `${provider.issuer}/token/introspection`,
        TIDINGS_INTROSPECTION_CLIENT_ID: provider.hub.id,
        TIDINGS_INTROSPECTION_CLIENT_SECRET: provider.hub.secret,
        TIDINGS_AUTO_VERIFY: "on",
        TIDINGS_AUTO_VERIFY_ORIGINS: `alice=${registered.origin}`,
        TIDINGS_OUTBOUND_ALLOW: "127.0.0.0/8",
        TIDINGS_LOG_LEVEL: "error",
      },
    });
  });
  after(async () => {
    await Promise.all([hub?.close(), callbacks.close(), registered.close(), provider.close()]);
  });

  const bearer = async (client: string, scope: string, format?: "jwt" | "opaque"): Promise<Headers> => ({
    authorization: `Bearer ${await provider.token(client, scope, format)}`,
  });
  let topics = 0;
  const newTopic = () => `https://news.example/feed/${topics += 1}`;
  const register = (topic: string, headers: Headers) =>
    post(hub, { "hub.mode": "register", "hub.topic": topic }, headers);
  const intend = (mode: "subscribe" | "unsubscribe", topic: string, callback: string, headers: Headers, more = {}) =>
    post(hub, { "hub.mode": mode, "hub.topic": topic, "hub.callback": callback, ...more }, headers);
  const ask = (topic: string, callback: string, headers: Headers, path = "/subscriptions") =>
    call(`${hub.base}${path}?${encodeForm({ topic, callback })}`, { headers });
  const stateIs = (wanted: string, topic: string, callback: Callback, headers: Headers) =>
    eventually(`${wanted} of ${callback.url}`, async () => {
      const reply = await ask(topic, callback.url, headers);
      return reply.status === 200 && (JSON.parse(reply.text) as { state: string }).state === wanted;
    });
  const denied = (reply: Reply, status: 401 | 403) => {
    assert.equal(reply.status, status, reply.text);
    assert.match(reply.text, /^hub\.mode=denied&hub\.reason=/);
    assert.match(String(reply.headers["www-authenticate"]), /^Bearer/);
  };

  it("WIRE §6 no token, one of nobody, and one without the right get nothing done", async () => {
    const topic = newTopic();
    denied(await register(topic, {}), 401);
    denied(await register(topic, { authorization: "Bearer made-up" }), 401);
    denied(await register(topic, await bearer("publisher", "websub:subscribe")), 403);
    denied(await publish(hub, topic, { body: "x" }), 401);
    denied(await request(hub, "subscribe", topic, callbacks.callback().url), 401);
    assert.equal((await ask(topic, "http://127.0.0.1:9/", {})).status, 401);
  });

  for (const format of ["jwt", "opaque"] as const) {
    it(`WIRE §6 a real token (${format}) registers, subscribes, publishes, and reads what it subscribed`, async () => {
      const [topic, callback] = [newTopic(), callbacks.callback()];
      const publisher = await bearer("publisher", "websub:publish", format);
      const alice = await bearer("alice", "websub:subscribe", format);
      assert.equal((await register(topic, publisher)).status, 200);
      assert.equal((await intend("subscribe", topic, callback.url, alice)).status, 202);
      await callback.challenged();
      await stateIs("active", topic, callback, alice);
      const reply = await publish(hub, topic, { body: "one", contentType: "text/plain", headers: publisher });
      assert.equal(reply.status, 200, reply.text);
      const [delivery] = await callback.delivered(1);
      assert.equal(delivery!.body.toString(), "one");
      assert.equal(delivery!.headers.authorization, undefined, "WIRE §3: the publisher's token does not travel");

      const bob = await bearer("bob", "websub:subscribe", format);
      for (const path of ["/subscriptions", "/messages", "/dead-letters"]) {
        assert.equal((await ask(topic, callback.url, alice, path)).status, 200, path);
        const [theirs, unknown] = [
          await ask(topic, callback.url, bob, path),
          await ask(topic, `${callback.url}x`, bob, path),
        ];
        assert.deepEqual([theirs.status, unknown.status], [404, 404], path);
        assert.equal(theirs.text, unknown.text.replace(`${callback.url}x`, callback.url), "nothing tells them apart");
        assert.equal((await ask(topic, callback.url, publisher, path)).status, 403, path);
      }
      const operator = await bearer("operator", "websub:subscribe", format);
      assert.equal((await ask(topic, callback.url, operator)).status, 200);
    });
  }

  it("WIRE §6 a client_id is not the sub that spells it: this provider's JWTs have a sub, its opaque tokens have none", async () => {
    for (const [format, other] of [["opaque", "jwt"], ["jwt", "opaque"]] as const) {
      const [topic, callback] = [newTopic(), callbacks.callback()];
      await intend("subscribe", topic, callback.url, await bearer("alice", "websub:subscribe", format));
      await callback.challenged();
      await stateIs("active", topic, callback, await bearer("alice", "websub:subscribe", format));
      const spelled = await bearer("alice", "websub:subscribe", other);
      assert.equal((await ask(topic, callback.url, spelled)).status, 404, other);
    }
  });

  it("WIRE §1 an Idempotency-Key is its client's own", async () => {
    const topic = newTopic();
    const ids: unknown[] = [];
    for (const client of ["publisher", "bob", "publisher"]) {
      const headers = { ...await bearer(client, "websub:publish"), "idempotency-key": "k" };
      const reply = await publish(hub, topic, { body: "same", headers });
      assert.equal(reply.status, 200);
      ids.push(reply.headers["webhook-id"]);
    }
    assert.equal(ids[0], ids[2]);
    assert.notEqual(ids[0], ids[1]);
  });

  it("WIRE §2 the scope websub:auto-verify: active without a question, and no longer, without one", async () => {
    const [topic, callback] = [newTopic(), callbacks.callback()];
    const alice = await bearer("alice", "websub:subscribe websub:auto-verify");
    assert.equal((await intend("subscribe", topic, callback.url, alice, { "hub.secret": "s" })).status, 202);
    await stateIs("active", topic, callback, alice);
    await publish(hub, topic, { body: "one", headers: await bearer("publisher", "websub:publish") });
    const [delivery] = await callback.delivered(1);
    assert.match(String(delivery!.headers["x-hub-signature"]), /^sha256=/);
    await intend("unsubscribe", topic, callback.url, alice);
    await stateIs("unsubscribed", topic, callback, alice);
    assert.equal(callback.challenges.length, 0);
  });

  it("WIRE §2 a callback origin registered to the client: its own requests only", async () => {
    const topic = newTopic();
    const [own, foreign] = [registered.callback(), registered.callback()];
    const [alice, bob] = [await bearer("alice", "websub:subscribe"), await bearer("bob", "websub:subscribe")];
    await intend("subscribe", topic, own.url, alice);
    await stateIs("active", topic, own, alice);
    assert.equal(own.challenges.length, 0);
    await intend("subscribe", topic, foreign.url, bob);
    await foreign.challenged();
    await stateIs("active", topic, foreign, bob);
  });

  it("WIRE §2 a mark for another client's subscription is no error: the callback is asked, and its no stands", async () => {
    const [topic, callback] = [newTopic(), callbacks.callback()];
    const alice = await bearer("alice", "websub:subscribe websub:auto-verify");
    const bob = await bearer("bob", "websub:subscribe websub:auto-verify");
    await intend("subscribe", topic, callback.url, alice);
    await stateIs("active", topic, callback, alice);
    callback.onChallenge = (_, response) => void response.writeHead(404).end();
    assert.equal((await intend("unsubscribe", topic, callback.url, bob)).status, 202);
    assert.equal((await callback.challenged()).method, "GET");
    await stateIs("active", topic, callback, alice);
    assert.equal((await ask(topic, callback.url, bob)).status, 404);
  });

  it("WIRE §2 without the scope the same client is asked as ever, and a wrong answer is a no (§5.3)", async () => {
    const [topic, callback] = [newTopic(), callbacks.callback()];
    callback.onChallenge = (_, response) => void response.writeHead(204).end();
    const alice = await bearer("alice", "websub:subscribe");
    await intend("subscribe", topic, callback.url, alice);
    await callback.challenged();
    await eventually("the no", async () => /"state":"unverified"/.test((await ask(topic, callback.url, alice)).text));
  });

  it("WIRE §6 keys that rotate are followed; while the provider is away known ones go on and others are 503", async () => {
    const topic = newTopic();
    const [known, later] = [await bearer("publisher", "websub:publish"), await bearer("bob", "websub:publish")];
    assert.equal((await register(topic, known)).status, 200);
    const own = await openOidcProvider(["publisher"]);
    const other = await openOwnHub({
      settings: {
        TIDINGS_ACCESS: "token",
        TIDINGS_ISSUER: own.issuer,
        TIDINGS_AUDIENCE: "hub",
        TIDINGS_LOG_LEVEL: "error",
      },
    });
    const registerAt = async (headers: Headers) =>
      await post(other, { "hub.mode": "register", "hub.topic": topic }, headers);
    const token = async () => ({ authorization: `Bearer ${await own.token("publisher", "websub:publish")}` });
    try {
      denied(await registerAt(later), 401);
      const [first, second] = [await token(), await token()];
      assert.equal((await registerAt(first)).status, 200);
      await own.rotate();
      const rotated = await token();
      assert.equal((await registerAt(rotated)).status, 200, "on first use");
      denied(await registerAt(second), 401);
      const unseen = await token();
      await own.rotate();
      const unknown = await token();
      own.away = true;
      // The edge asks again, gets no answer, and says so.
      const reply = await registerAt(unknown);
      assert.equal(reply.status, 503);
      assert.match(String(reply.headers["retry-after"]), /^[1-5]$/);
      assert.equal((await registerAt(unseen)).status, 200, "by a key that is known");
    } finally {
      await other.close();
      await own.close();
    }
  });
});

describe("conformance with VERIFICATION=ping", { concurrency: 8 }, () => {
  let callbacks: CallbackServer;
  let hub: OwnHub;
  before(async () => {
    [callbacks, hub] = await Promise.all([
      openCallbackServer(),
      openOwnHub({ settings: { TIDINGS_VERIFICATION: "ping" } }),
    ]);
  });
  after(() => Promise.all([hub?.close(), callbacks.close()]));

  const stateOf = async (topic: string, callback: Callback) => {
    const reply = await call(`${hub.base}/subscriptions?${encodeForm({ topic, callback: callback.url })}`);
    return reply.status === 200 ? (JSON.parse(reply.text) as { state: string }).state : undefined;
  };

  it("WIRE §2 any 2xx to a signed POST confirms; no GET is sent", async () => {
    const callback = callbacks.callback({ query: "a=1" });
    const topic = "https://news.example/ping";
    assert.equal((await request(hub, "subscribe", topic, callback.url, { "hub.secret": "s" })).status, 202);
    await eventually("the subscription", async () => await stateOf(topic, callback) === "active");
    const [ping] = await callback.delivered(1);
    const { "hub.challenge": challenge, ...said } = JSON.parse(ping!.body.toString()) as Record<string, unknown>;
    assert.deepEqual(said, { "hub.mode": "ping", "hub.topic": topic, "hub.lease_seconds": 864_000 });
    assert.match(String(challenge), /^[A-Za-z0-9_-]{43}$/);
    assert.match(String(ping!.headers["x-hub-signature"]), /^sha256=[0-9a-f]{64}$/);
    const renewal = { "hub.secret": "s", "hub.signature": "sha1" };
    assert.equal((await request(hub, "subscribe", topic, callback.url, renewal)).status, 202);
    const chosen = (await callback.delivered(2))[1];
    assert.match(String(chosen!.headers["x-hub-signature"]), /^sha1=[0-9a-f]{40}$/, "as hub.signature says");
    assert.equal(callback.challenges.length, 0);
  });

  it("WIRE §2 anything else is a no, redirects too", async () => {
    for (const status of [302, 404, 410]) {
      const callback = callbacks.callback();
      callback.onDelivery = (_, response) => void response.writeHead(status, { location: callback.url }).end();
      const topic = `https://news.example/ping/${status}`;
      await request(hub, "subscribe", topic, callback.url);
      await callback.delivered(1);
      await eventually("the no", async () => await stateOf(topic, callback) === "unverified");
      assert.equal(callback.requests.length, 1);
    }
  });

  it("§5.3 an unsubscribe is asked by challenge still: a callback that says 2xx to every POST is not unsubscribed", async () => {
    const [topic, callback] = ["https://news.example/bye", callbacks.callback()];
    await request(hub, "subscribe", topic, callback.url);
    await eventually("the subscription", async () => await stateOf(topic, callback) === "active");
    callback.onChallenge = (_, response) => void response.writeHead(200).end("ok");
    await request(hub, "unsubscribe", topic, callback.url);
    await callback.challenged(1);
    await never("its end", async () => await stateOf(topic, callback) !== "active", 300);
  });
});
