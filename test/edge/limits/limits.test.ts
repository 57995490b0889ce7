// The limits as a client meets them: each refuses with a sentence and Retry-After, is counted, and does not affect other
// clients.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Access } from "../../../edge/auth/access.ts";
import type { Client } from "../../../edge/auth/client.ts";
import { BURST_S } from "../../../edge/limits/rate-limit.ts";
import { answer } from "../../support/servers/answers.ts";
import { openCallbackServer } from "../../support/servers/callback-server.ts";
import type { CallbackServer } from "../../support/servers/callback-server.ts";
import { openEdge } from "../../support/rigs/edge.ts";
import type { OwnEdge } from "../../support/rigs/edge.ts";
import { eventually } from "../../support/eventually.ts";
import { openFakeCore } from "../../support/rigs/fake-core.ts";
import type { FakeCore } from "../../support/rigs/fake-core.ts";
import { encodeForm } from "../../support/form.ts";
import { call } from "../../support/servers/http.ts";
import type { Reply } from "../../support/servers/http.ts";

const SIGNED = {
  kind: "signature",
  method: "GET",
  path: "/subscriptions",
  query: "",
  timestamp: "0",
  signature: "v1=AAAA",
  bodySha256: "0".repeat(64),
} as const;

describe("limits", () => {
  let core: FakeCore;
  let callbacks: CallbackServer;
  before(async () => {
    core = await openFakeCore();
    callbacks = await openCallbackServer();
  });
  after(async () => {
    await core.close();
    await callbacks.close();
  });

  const publish = (edge: OwnEdge, headers: Record<string, string> = {}) =>
    call(`${edge.url}/hub?hub.mode=publish&hub.topic=t`, { method: "POST", body: "x", headers });
  const subscribe = (edge: OwnEdge, callback: string, topic = "t") =>
    call(`${edge.url}/hub`, {
      method: "POST",
      body: encodeForm({ "hub.mode": "subscribe", "hub.topic": topic, "hub.callback": callback }),
      headers: { "content-type": "application/x-www-form-urlencoded" },
    });
  const limited = async (edge: OwnEdge, limit: string) => {
    const text = await edge.metrics();
    return Number(
      new RegExp(`^tidings_limited_total\\{[^}]*limit="${limit}"[^}]*\\} (\\d+)$`, "m").exec(text)?.[1] ?? 0,
    );
  };
  const assertRefused = (reply: Reply, status: number, says: RegExp) => {
    assert.equal(reply.status, status, reply.text);
    assert.match(reply.text, /^[^\r\n]+\.\n$/);
    assert.match(reply.text, says);
    assert.match(String(reply.headers["retry-after"]), /^[1-9]\d{0,3}$/);
  };

  it("an address over its share is 429 with Retry-After, and others are not", async () => {
    const limits = { requestsPerAddress: 1, trustedProxies: ["127.0.0.0/8"] };
    await using edge = await openEdge([core.origin], { limits });
    const from = (address: string) => publish(edge, { "x-forwarded-for": address });
    const statuses = new Set<number>();
    let reply: Reply | undefined;
    // Every request takes a place; a second brings one back, so that many are more than enough.
    for (let n = 0; n < BURST_S * 20 && reply?.status !== 429; n++) {
      statuses.add((reply = await from("203.0.113.7")).status);
    }
    assert.deepEqual([...statuses], [200, 429]);
    assertRefused(reply!, 429, /more than 1 requests a second/);
    assert.equal((await from("203.0.113.8")).status, 200);
    assert.equal((await from("203.0.113.7, 203.0.113.9")).status, 200, "what a client says of itself is not it");
    assert.equal(await limited(edge, "address"), 1);
    for (const path of ["/healthz", "/readyz", "/hub/actuator/health"]) {
      for (let n = 0; n < BURST_S + 5; n++) assert.equal((await call(`${edge.url}${path}`)).status, 200, path);
    }
  });

  it("each topic of a ping counts as a request; a single ping of 300 is taken, whatever the limit, and owed", async () => {
    const client = { issuer: "https://idp.example", claim: "sub", userId: "a", roles: new Set<string>() } as const;
    const access: Access = {
      admitContent: () => assert.fail("a ping is a form"),
      admit: async (request) =>
        request.headers.has("authorization") ? { ...client, scopes: new Set(), expiresAt: Infinity } : undefined,
      callerOf: () => assert.fail("nobody asks"),
    };
    const limits = { requestsPerAddress: 10, requestsPerClient: 10, trustedProxies: ["127.0.0.0/8"] };
    await using edge = await openEdge([core.origin], { access, limits });
    const ping = (topics: number, headers: Record<string, string>) =>
      call(`${edge.url}/hub`, {
        body: `hub.mode=publish${Array.from({ length: topics }, (_, n) => `&hub.url=http://t.example/${n}`).join("")}`,
        headers: { "content-type": "application/x-www-form-urlencoded", ...headers },
      });
    for (
      const [headers, others, says] of [
        [
          { "x-forwarded-for": "203.0.113.7" },
          { "x-forwarded-for": "203.0.113.8" },
          /^This address sends more than 10/,
        ],
        [
          { "x-forwarded-for": "203.0.113.9", authorization: "a" },
          { "x-forwarded-for": "203.0.113.9" },
          /^This client/,
        ],
      ] as const
    ) {
      assert.equal((await ping(300, headers)).status, 204);
      const reply = await ping(2, headers);
      assertRefused(reply, 429, says);
      assert.ok(Number(reply.headers["retry-after"]) > 10, "some 200 are owed, and 10 a second come back");
      assert.equal((await ping(300, others)).status, 204, "others owe nothing");
    }
  });

  it("without a trusted proxy the address is the socket's, whatever the header says", async () => {
    await using edge = await openEdge([core.origin], { limits: { requestsPerAddress: 1 } });
    let last = 0;
    for (let n = 0; n < BURST_S * 20 && last !== 429; n++) {
      last = (await publish(edge, { "x-forwarded-for": `203.0.113.${n}` })).status;
    }
    assert.equal(last, 429);
  });

  it("a client over its share is 429, wherever it comes from, and another client is not", async () => {
    const client = (userId: string): Client => {
      return {
        issuer: "https://idp.example",
        claim: "sub",
        userId,
        roles: new Set(),
        scopes: new Set(),
        expiresAt: Infinity,
      };
    };
    const access: Access = {
      admitContent: async (request) => client(request.headers.get("authorization") ?? ""),
      admit: () => assert.fail("content is admitted before it is read"),
      callerOf: () => assert.fail("nobody asks"),
    };
    await using edge = await openEdge([core.origin], { access, limits: { requestsPerClient: 1 } });
    let reply: Reply | undefined;
    for (let n = 0; n < BURST_S * 20 && reply?.status !== 429; n++) reply = await publish(edge, { authorization: "a" });
    assertRefused(reply!, 429, /^This client sends more than 1 requests/);
    assert.equal((await publish(edge, { authorization: "b" })).status, 200);
    assert.equal(await limited(edge, "client"), 1);
  });

  it("a client's limit covers all routes together, and refusals are counted by the kind of route", async () => {
    const refused = { client: 0, client_reads: 0, client_events: 0, client_moves: 0 };
    const client = { issuer: "https://idp.example", claim: "sub", userId: "a" } as const;
    const access: Access = {
      admit: () => assert.fail("content is admitted before it is read"),
      admitContent: async () => ({ ...client, roles: new Set(), scopes: new Set(), expiresAt: Infinity }),
      callerOf: async ({ headers }) => ({
        caller: headers.has("x-signed")
          ? SIGNED
          : { kind: headers.has("x-operator") ? "operator" : "client", ...client },
        expiresAt: Infinity,
      }),
    };
    await using edge = await openEdge([core.origin], { access, limits: { requestsPerClient: 1 } });
    const pair = encodeForm({ topic: "t", callback: "http://127.0.0.1:9999/" });
    let last: Reply | undefined;
    // One route uses up all of it.
    for (let n = 0; n < BURST_S * 20 && last?.status !== 429; n++) {
      last = await call(`${edge.url}/subscriptions?${pair}`);
    }
    assertRefused(last!, 429, /^This client sends more than 1 requests/);
    refused.client_reads++;
    const headers = { "content-type": "application/x-www-form-urlencoded", "idempotency-key": "k" };
    const attempts: readonly [keyof typeof refused, () => Promise<Reply>][] = [
      ["client", () => publish(edge)],
      ["client_reads", () => call(`${edge.url}/messages?${pair}`)],
      ["client_reads", () => call(`${edge.url}/dead-letters?${pair}`, { headers: { "x-operator": "1" } })],
      ["client_events", () => call(`${edge.url}/messages?${pair}`, { headers: { accept: "text/event-stream" } })],
      ["client_moves", () => call(`${edge.url}/subscriptions/ack`, { body: `${pair}&cursor=c`, headers })],
      ["client_moves", () => call(`${edge.url}/subscriptions/resume`, { body: pair, headers })],
      ["client_moves", () => call(`${edge.url}/dead-letters/replay`, { body: pair, headers })],
    ];
    for (const [limit, attempt] of attempts) {
      // A second brings one place back, which may go to any of them.
      const reply = await eventually(`${limit} to be refused`, async () => {
        const answered = await attempt();
        return answered.status === 429 && answered;
      });
      assertRefused(reply, 429, /^This client sends more than 1 requests/);
      refused[limit]++;
    }
    for (const [limit, count] of Object.entries(refused)) assert.equal(await limited(edge, limit), count, limit);
    const signed = await call(`${edge.url}/subscriptions?${pair}`, { headers: { "x-signed": "1" } });
    assert.notEqual(signed.status, 429, "a signature is of nobody that the edge knows");
  });

  it("a URL that is too long is 414 with a sentence, on every path; one of exactly the longest length is not", async () => {
    await using edge = await openEdge([core.origin], { limits: { urlMaxBytes: 1_024 } });
    const of = (path: string, length: number) => `${edge.url}${path}?`.padEnd(edge.url.length + length, "a");
    for (const path of ["/hub", "/", "/subscriptions", "/messages", "/healthz", "/nowhere"]) {
      const long = await call(of(path, 1_025));
      assert.equal(long.status, 414, path);
      assert.equal(long.text, "The URL is longer than 1024 bytes; send parameters in a form.\n");
      assert.notEqual((await call(of(path, 1_024))).status, 414, path);
    }
    assert.equal(await limited(edge, "url"), 6);
  });

  it("H70 a callback host that confirms nothing has a budget, and what is over it never reaches the core", async () => {
    await using edge = await openEdge([core.origin], { limits: { verificationsPerHost: 4 } });
    const victim = callbacks.callback();
    victim.onChallenge = answer(404);
    const statuses = [];
    for (let n = 0; n < 6; n++) statuses.push((await subscribe(edge, victim.url, `topic ${n}`)).status);
    assert.deepEqual(statuses, [202, 202, 202, 202, 429, 429]);
    assertRefused(await subscribe(edge, victim.url), 429, /^hub\.callback's host/);
    // Another path or port is the same host; another name is not.
    assert.equal((await subscribe(edge, victim.url.replace(/:\d+\//, ":9999/other/"))).status, 429);
    assert.equal((await subscribe(edge, victim.url.replace("127.0.0.1", "localhost"))).status, 202);
    await eventually("the challenges", () => victim.challenges.length === 4 + 1);
    assert.equal(await limited(edge, "verifications"), 4);
    const asked = core.operations.filter((operation) =>
      operation.kind === "intent" && operation.topic.startsWith("topic")
    );
    assert.equal(asked.length, 4);
  });

  it("a callback host that confirms never uses up its budget", async () => {
    await using edge = await openEdge([core.origin], { limits: { verificationsPerHost: 2 } });
    const partner = callbacks.callback();
    for (let n = 1; n <= 6; n++) {
      await eventually(
        "room for another",
        async () => (await subscribe(edge, partner.url, `topic ${n}`)).status === 202,
      );
      await partner.challenged(n);
    }
  });

  it("H70 an edge that cannot verify keeps the places of what it accepted, as the owner asks the callback", async () => {
    const verifier = {
      canVerify: false,
      reserve: () => ({ verify: () => assert.fail("it verifies"), release: () => {} }),
      forget: () => {},
      close: async () => {},
    };
    await using edge = await openEdge([core.origin], { limits: { verificationsPerHost: 2 }, verifier });
    core.onOperation = ({ kind }) =>
      kind === "intent" ? { status: 200, body: { kind, offset: 1, verify: false } } : null;
    const statuses = [];
    for (let n = 0; n < 4; n++) {
      statuses.push((await subscribe(edge, "http://127.0.0.1:9998/unasked", `unpinned ${n}`)).status);
    }
    core.onOperation = () => null;
    assert.deepEqual(statuses, [202, 202, 429, 429]);
    const told = core.operations.filter((operation) =>
      operation.kind === "intent" && operation.topic.startsWith("unpinned")
    );
    assert.deepEqual(told.map((operation) => operation.kind === "intent" && operation.unpinned), [true, true]);
  });

  it("an intent that the core refuses gives its place back", async () => {
    await using edge = await openEdge([core.origin], { limits: { verificationsPerHost: 1 } });
    core.onOperation = () => ({ status: 429, body: { code: "too_many", message: "no" } });
    for (let n = 0; n < 3; n++) {
      const reply = await subscribe(edge, "http://127.0.0.1:9999/refused");
      assert.match(reply.text, /^no/);
    }
    core.onOperation = () => null;
  });

  it("a core that is behind makes the edge answer 503 at once, and is asked again when it is back", async () => {
    await using edge = await openEdge([core.origin], { limits: { overloadAfterMs: 100 } });
    const before = core.contents.length;
    let free = () => {};
    const freed = new Promise<void>((resolve) => free = resolve);
    core.onContent = async () => {
      await freed;
      return null;
    };
    const waiting: Promise<Reply>[] = [];
    // As many as it takes; those that are let in wait for the core.
    const refused = await eventually("a refusal", async () => {
      const reply = publish(edge);
      waiting.push(reply);
      const told = await Promise.race([reply, new Promise<null>((resolve) => setTimeout(resolve, 5, null))]);
      return told?.status === 503 && told;
    }, { deadlineMs: 30_000, everyMs: 0 });
    assertRefused(refused, 503, /more to do than it can/);
    assert.ok(refused.elapsedMs < 5_000, "it did not wait for the core");
    assert.ok(await limited(edge, "overload") >= 1);
    const stored = core.contents.length - before;
    free();
    const answers = await Promise.all(waiting);
    core.onContent = () => null;
    assert.equal(answers.filter(({ status }) => status === 200).length, stored, "each that is in the core was told so");
    await eventually("it takes content again", async () => (await publish(edge)).status === 200);
  });
});
