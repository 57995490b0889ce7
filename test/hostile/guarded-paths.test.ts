// WIRE §7 on every outbound path, over the table of hostile hosts: the hub dials none of them, no matter who names the host.

import assert from "node:assert/strict";
import { createServer } from "node:net";
import type { AddressInfo, Server } from "node:net";
import { after, before, describe, it } from "node:test";
import { createEffects } from "../../core/effects/effects.ts";
import { createUndiciTransport } from "../../core/delivery/sending/undici-transport.ts";
import { createTopicFetcher } from "../../core/effects/topic-fetcher.ts";
import type { Log } from "../../core/log/log.ts";
import { appendQuery, parseHttpUrl, UrlError } from "../../shared/http-url.ts";
import type { BlockedCall } from "../../shared/outbound/blocked-calls.ts";
import { createOutboundGuard } from "../../shared/outbound/guard.ts";
import { createChallenge } from "../../shared/random.ts";
import { createGuardedConnector } from "../../shared/runtime/guarded-connect.ts";
import type { Names } from "../../shared/runtime/names/names.ts";
import { createOutbound } from "../../shared/runtime/outbound.ts";
import { verifyIntent } from "../../shared/outbound/verification.ts";
import { answer } from "../support/servers/answers.ts";
import { openEdge } from "../support/rigs/edge.ts";
import { encodeForm } from "../support/form.ts";
import { openFakeCore } from "../support/rigs/fake-core.ts";
import { FORBIDDEN_PORTS, HOSTILE_HOSTS, HOSTILE_NAMES } from "../support/servers/hostile-hosts.ts";
import { call } from "../support/servers/http.ts";
import { RULES } from "../support/rigs/lease-rules.ts";
import { openRecordingServer } from "../support/servers/recording-server.ts";

const GUARD = createOutboundGuard([]);
const NOTHING_TO_DIAL = /which is not a URL|has no address/;
const never = new AbortController().signal;

/** Answers for the table's names as their own name servers do; no other name has an address. */
const names: Names = { lookUp: (name) => Promise.resolve({ addresses: HOSTILE_NAMES[name] ?? [] }) };

describe("hostile hosts", () => {
  // Any request that reaches this machine, on any of its addresses, is a failure.
  let trap: Server;
  let dialled = 0;
  let port = 0;
  const blocked: BlockedCall[] = [];
  const onBlocked = (one: BlockedCall) => void blocked.push(one);
  const outbound = createOutbound({ guard: GUARD, userAgent: "test", names, onBlocked });
  const everyHost = [...HOSTILE_HOSTS, ...Object.keys(HOSTILE_NAMES)];
  const everyUrl = () => [
    ...everyHost.map((host) => `http://${host}:${port}/path`),
    ...HOSTILE_HOSTS.slice(0, 60).map((host) => `https://${host}:${port}/path`),
    ...FORBIDDEN_PORTS.map((forbidden) => `http://example.com:${forbidden}/`),
  ];
  before(async () => {
    trap = createServer((socket) => {
      dialled++;
      socket.destroy();
    });
    await new Promise<void>((listening) => trap.listen(0, listening));
    port = (trap.address() as AddressInfo).port;
  });
  after(async () => {
    await outbound.close();
    await new Promise((closed) => trap.close(closed));
    assert.equal(dialled, 0, "something was dialled");
  });

  it("H28 are 400 at the edge, at once, where their URL says it, and never reach the core", async () => {
    await using core = await openFakeCore();
    await using edge = await openEdge([core.origin], { rules: { ...RULES, guard: GUARD } });
    const told = new Map<string, number>();
    const urls = everyUrl().filter((url) => !Object.hasOwn(HOSTILE_NAMES, url.slice(7, url.lastIndexOf(":"))));
    for (const url of urls) {
      const body = encodeForm({ "hub.mode": "subscribe", "hub.topic": "t", "hub.callback": url });
      const headers = { "content-type": "application/x-www-form-urlencoded" };
      const reply = await call(`${edge.url}/hub`, { method: "POST", body, headers });
      assert.match(reply.text, /^hub\.callback [^\r\n]+\.\n$/, url);
      told.set(url, reply.status);
    }
    assert.deepEqual([...told].filter(([, status]) => status !== 400), []);
    assert.deepEqual(core.operations, []);
  });

  it("H70 are not verified, by edge or core: one try, and nothing is sent", async () => {
    for (const callback of everyUrl()) {
      let paused = 0;
      const intent = { mode: "subscribe", topic: "t", callback, leaseMs: 1_000 } as const;
      const ports = {
        outbound,
        now: () => 0,
        clock: () => 0,
        challenge: createChallenge,
        // It takes as long as for a name without an address.
        pause: (ms: number) => {
          paused += ms;
          return Promise.resolve();
        },
      };
      const result = await verifyIntent(intent, ports);
      assert.ok(result.kind === "result" && !result.verified && result.forbidden && result.tries === 1, callback);
      // WIRE §7: the status tells no more than that of a name without an address.
      assert.deepEqual([result.outcome, result.reason, paused], ["failed", "no address to call", 5_000], callback);
    }
  });

  it("get no denied notice", async () => {
    const effects = createEffects({
      outbound,
      operations: { resultOf: () => assert.fail("nothing is verified") },
      secrets: { open: () => assert.fail("nothing is signed") },
      fetcher: { fetch: () => {}, hurry: () => {} },
      replayLetter: () => assert.fail("nothing is replayed"),
      clock: () => 0,
      method: { by: "challenge" },
      signal: never,
    });
    for (const callback of everyUrl()) {
      const before = blocked.length;
      await new Promise<void>((sent) => effects.notify({ topic: "t", callback, reason: "over" }, sent));
      assert.equal(blocked.length, before + 1, callback);
    }
  });

  it("are not fetched, pinged as a topic", async () => {
    for (const topic of everyUrl()) assert.equal(await fetched(topic), undefined, topic);
  });

  it("are not fetched by way of a redirect, at any of its three hops", { skip: !onLinux() }, async () => {
    // An address of this machine that is not in the table, opened by its CIDR.
    await using site = await openRecordingServer(0, "127.77.77.77");
    const guard = createOutboundGuard(["127.77.77.77/32"]);
    const opened = createOutbound({ guard, userAgent: "test", names, onBlocked });
    const get = (url: string) =>
      opened.call({
        path: "fetch",
        method: "GET",
        url,
        deadlineMs: 10_000,
        maxBytes: 1_000,
        maxRedirects: 3,
      });
    let location = "";
    site.route("/0", (request, response) => answer(302, "", { location })(request, response));
    for (const hop of [1, 2]) site.route(`/${hop}`, answer(307, "", { location: `/${hop - 1}` }));
    const passed: string[] = [];
    for (const [index, url] of everyUrl().entries()) {
      // A header cannot carry all of these hosts; those that it cannot carry cannot be redirects.
      if (/[^\u0020-\u00ff]/.test(url)) continue;
      location = url;
      const result = await get(`${site.origin}/${index % 3}`);
      if (result.kind === "answer" || !["forbidden", "network"].includes(result.code)) passed.push(url);
      if (result.kind === "failed" && result.code === "network") assert.match(result.reason, NOTHING_TO_DIAL, url);
    }
    assert.deepEqual(passed, []);
    await opened.close();
  });

  it("get no delivery, and the subscriber reads no more than of a name without an address", async () => {
    const connect = createGuardedConnector({ guard: GUARD, names });
    const transport = createUndiciTransport({ connect, timeoutMs: 10_000, connectionsPerOrigin: 1, onBlocked });
    for (const callback of everyUrl()) {
      const before = blocked.length;
      const url = urlOf(callback);
      // A lane cannot have such a callback.
      if (url === null) continue;
      const reason = await new Promise<string>((done) => {
        transport.post({
          url,
          requester: "",
          body: Buffer.from("x"),
          headers: [],
          mayGo: () => true,
          answered: () => done("answered"),
          failed: done,
        });
      });
      assert.equal(reason, "no address to call", callback);
      assert.deepEqual(blocked.slice(before).map(({ path }) => path), ["delivery"], callback);
    }
    await transport.close();
  });

  it("are noted with their path and a reason of a bounded list", () => {
    assert.deepEqual([...new Set(blocked.map(({ path }) => path))].toSorted(), [
      "delivery",
      "fetch",
      "notice",
      "verification",
    ]);
    const reasons = new Set(blocked.map(({ reason }) => reason));
    assert.ok(reasons.size <= 12 && reasons.has("link_local") && reasons.has("not_an_address"), [...reasons].join());
    assert.doesNotMatch(blocked.map(({ host }) => host).join("\n"), /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  });

  async function fetched(topic: string): Promise<unknown> {
    const fetcher = createTopicFetcher({
      // The fetch finds nothing, so nothing is appended.
      log: { append: () => assert.fail("something was fetched") } as unknown as Log,
      outbound,
      hubUrl: "http://hub.example/",
      maxBytes: 1_000,
      compact: (_topic, body) => body,
      traceparent: () => "",
      signal: never,
    });
    const record = { topic, version: 1, start: 0, operations: [], fetchOwed: { ping: 1, since: 0 } };
    return await new Promise((done) => {
      fetcher.fetch("id", record, (_ping, what) => done(what));
    });
  }
});

function urlOf(url: string) {
  try {
    return parseHttpUrl(appendQuery(url, []));
  } catch (error) {
    assert.ok(error instanceof UrlError);
    return null;
  }
}

function onLinux(): boolean {
  return process.platform === "linux";
}
