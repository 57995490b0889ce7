// A hub among hostile callbacks and topic servers, and one innocent subscriber: the hostile ones do not harm it.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { megabytes } from "../support/process-usage.ts";
import { openCallbackServer } from "../support/servers/callback-server.ts";
import type { CallbackServer } from "../support/servers/callback-server.ts";
import { eventually } from "../support/eventually.ts";
import { parameterOf } from "../support/form.ts";
import { HOSTILE_MANNERS, openHostileServer } from "../support/servers/hostile-server.ts";
import type { HostileServer } from "../support/servers/hostile-server.ts";
import { openOwnHub } from "../support/hub/hub.ts";
import type { OwnHub } from "../support/hub/hub.ts";
import type { Tier } from "../support/hub/tier-process.ts";
import { ping, published, request, statusUntil, subscribed } from "../support/hub/hub-client.ts";

const MESSAGES = 20;
/** Far above what a tier needs, and far below what these servers send. */
const MOST_MEGABYTES = 600;

describe("a hub among hostile servers", () => {
  let hub: OwnHub;
  let callbacks: CallbackServer;
  const servers: HostileServer[] = [];
  const pids = new Map<Tier, number | undefined>();
  before(async () => {
    hub = await openOwnHub({ settings: { TIDINGS_DELIVERY_TIMEOUT: "1s", TIDINGS_LOG_LEVEL: "error" } });
    callbacks = await openCallbackServer();
    for (const tier of ["edge", "core"] as const) pids.set(tier, hub.pid(tier));
    for (const { act } of HOSTILE_MANNERS) {
      const server = await openHostileServer();
      // Under /confirms the server confirms the subscription, and misbehaves on deliveries.
      server.manner = (socket, head) => {
        const challenge = /^GET \/confirms\?(\S+)/.exec(head)?.[1];
        if (challenge === undefined) return act(socket);
        const body = parameterOf(challenge, "hub.challenge") ?? "";
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
      };
      servers.push(server);
    }
  });
  after(async () => {
    await hub.close();
    await callbacks.close();
    for (const server of servers) await server.close();
  });

  it("a subscriber who has done nothing gets everything, in order, and both processes live", async () => {
    const bystander = callbacks.callback();
    await subscribed(hub, "news", bystander, { "hub.secret": "s" });
    const origins = servers.map(({ port }) => `http://127.0.0.1:${port}`);
    for (const origin of origins) {
      assert.equal((await request(hub, "subscribe", "news", `${origin}/confirms`)).status, 202);
      assert.equal((await request(hub, "subscribe", "news", `${origin}/does-not`)).status, 202);
      // The hub fetches it as a topic as soon as somebody subscribes to it.
      assert.equal((await request(hub, "subscribe", `${origin}/topic`, callbacks.callback().url)).status, 202);
    }
    for (const origin of origins) {
      await statusUntil(hub, "news", `${origin}/confirms`, "active", ({ state }) => state === "active", 60_000);
      assert.equal((await ping(hub, `${origin}/topic`)).status, 204);
    }
    for (let n = 0; n < MESSAGES; n++) await published(hub, "news", `message ${n}`);
    const deliveries = await bystander.delivered(MESSAGES, 60_000);
    assert.deepEqual(
      deliveries.map(({ body }) => body.toString()),
      Array.from({ length: MESSAGES }, (_, n) => `message ${n}`),
    );
    await eventually("each server to have shown its manners", () => servers.every((server) => server.requests() >= 4), {
      deadlineMs: 60_000,
      seen: () => servers.map((server) => server.requests()).join(),
    });
    for (const [tier, pid] of pids) {
      assert.equal(hub.pid(tier), pid, `the ${tier} lives:\n${hub.output()}`);
      if (process.platform !== "linux") continue;
      const { peak } = await megabytes(pid!);
      assert.ok(peak < MOST_MEGABYTES, `the ${tier} held ${peak} MB`);
    }
    assert.doesNotMatch(hub.output(), /"level":"(?:ERROR|FATAL)"/i);
  });
});
