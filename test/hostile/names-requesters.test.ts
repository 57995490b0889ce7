// Every path tells on whose behalf it has a name looked up: without that, look-ups could not be shared between those who ask.

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { createEffects } from "../../core/effects/effects.ts";
import { createTopicFetcher } from "../../core/effects/topic-fetcher.ts";
import type { Log } from "../../core/log/log.ts";
import { createVerifier } from "../../edge/hub/verifier.ts";
import { createOutboundGuard } from "../../shared/outbound/guard.ts";
import { createChallenge } from "../../shared/random.ts";
import { createMetrics } from "../../shared/runtime/metrics.ts";
import { createGuardedConnector } from "../../shared/runtime/guarded-connect.ts";
import { NameError } from "../../shared/runtime/names/resolver.ts";
import { createOutbound } from "../../shared/runtime/outbound.ts";
import { createUndiciTransport } from "../../core/delivery/sending/undici-transport.ts";
import { parseHttpUrl } from "../../shared/http-url.ts";
import { eventually } from "../support/eventually.ts";

const ADDRESS = "aaaaaaaaaaaaaaaa";
const BY = `address ${ADDRESS}`;
const guard = createOutboundGuard([]);

describe("a look-up is asked for on behalf of who asked", () => {
  const asked: string[] = [];
  const names = {
    lookUp: (name: string, requester?: string) => {
      asked.push(`${name} for ${requester}`);
      return Promise.reject(new NameError(name, "ENOTFOUND", "has no address"));
    },
  };
  const outbound = createOutbound({ guard, names, userAgent: "test" });
  const stop = new AbortController();
  after(async () => {
    stop.abort();
    await outbound.close();
  });
  const once = (name: string) =>
    eventually(`a look-up of ${name}`, () => asked.includes(`${name}.example for ${BY}`), { seen: () => asked.join() });
  const effects = createEffects({
    outbound,
    operations: { resultOf: () => assert.fail("nothing is verified") },
    secrets: { open: () => assert.fail("nothing is signed") },
    fetcher: { fetch: () => {}, hurry: () => {} },
    replayLetter: () => assert.fail("nothing is replayed"),
    clock: () => Date.now(),
    method: { by: "challenge" },
    signal: stop.signal,
  });

  it("a denied notice", async () => {
    effects.notify({ topic: "t", callback: "http://notice.example/", reason: "over", requester: ADDRESS }, () => {});
    await once("notice");
  });

  it("a verification by a core", async () => {
    const intent = {
      id: "i",
      mode: "subscribe",
      topic: "t",
      leaseMs: 1_000,
      time: Date.now(),
      end: 0,
      offset: 0,
    } as const;
    effects.verify({ ...intent, callback: "http://core.example/", requester: ADDRESS }, () => {});
    await once("core");
  });

  it("a verification by an edge", async () => {
    const verifier = createVerifier({
      core: { report: () => Promise.resolve() },
      outbound,
      metrics: createMetrics({ tier: "edge" }),
      now: () => performance.now(),
      clock: () => Date.now(),
      challenge: createChallenge,
      pause: () => Promise.resolve(),
    });
    const intent = {
      id: "i",
      mode: "subscribe",
      topic: "t",
      leaseMs: 1_000,
      callback: "http://edge.example/",
    } as const;
    const seat = verifier.reserve({ ...intent, requester: BY });
    assert.ok("verify" in seat);
    seat.verify({ ...intent, requester: BY, offset: 1, acceptedAt: performance.now(), isOwn: false });
    await once("edge");
    await verifier.close(0);
  });

  it("a fetch of a topic", async () => {
    const fetcher = createTopicFetcher({
      log: { append: () => assert.fail("something was fetched") } as unknown as Log,
      outbound,
      hubUrl: "http://hub.example/",
      maxBytes: 1_000,
      compact: (_topic, body) => body,
      traceparent: () => "",
      signal: stop.signal,
    });
    const fetchOwed = { ping: 1, since: 0, requesters: [BY] };
    fetcher.fetch("id", { topic: "http://topic.example/", version: 1, start: 0, operations: [], fetchOwed }, () => {});
    await once("topic");
  });

  it("a delivery", async () => {
    const connect = createGuardedConnector({ guard, names });
    const transport = createUndiciTransport({ connect, timeoutMs: 1_000, connectionsPerOrigin: 1 });
    const url = parseHttpUrl("http://delivery.example/");
    const failed = new Promise((resolve) =>
      transport.post({
        url,
        requester: BY,
        body: Buffer.from("x"),
        headers: [],
        mayGo: () => true,
        answered: resolve,
        failed: resolve,
      })
    );
    assert.equal(await failed, "no address to call");
    await once("delivery");
    await transport.close();
  });
});
