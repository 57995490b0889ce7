// WIRE §7 in the two processes of a hub, on every runtime: what a hub called while it might, it does not dial once it may not.
// And a proxy that the environment names gets no call of a hub.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { lookup } from "node:dns/promises";
import { type AddressInfo, createServer, type Server } from "node:net";
import { hostname } from "node:os";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { CORE_PATHS } from "../../shared/core-api.ts";
import { createOutboundGuard } from "../../shared/outbound/guard.ts";
import type { Runtime } from "../../shared/runtime/which.ts";
import { eventually } from "../support/eventually.ts";
import { createCoreCaller } from "../support/hub/core-caller.ts";
import { openOwnHub, type OwnHub } from "../support/hub/hub.ts";
import { ping, post, publish, request, subscribed } from "../support/hub/hub-client.ts";
import { withDirectory } from "../support/rigs/core-rig.ts";
import { executableOf, RUNTIMES } from "../support/runtimes.ts";
import { answer } from "../support/servers/answers.ts";
import { openCallbackServer } from "../support/servers/callback-server.ts";
import { call } from "../support/servers/http.ts";
import { openIssuer } from "../support/servers/issuer.ts";
import { openRecordingServer } from "../support/servers/recording-server.ts";
import { edgeKeyIn } from "./fuzz.ts";

const FETCH_ONCE = fileURLToPath(new URL("../support/rigs/fetch-once.ts", import.meta.url));
const RUN = { node: [], deno: ["run", "--no-check", "-A"], bun: [] } as const;
/** An address of this machine that a strict hub may call; only Linux has it. */
const ALLOWED = "127.77.77.77";

for (const runtime of RUNTIMES) {
  const runtimes = { edge: runtime, core: runtime } as const;

  describe(`a hub on ${runtime} that may no longer call this machine`, { timeout: 120_000 }, () => {
    it("H28 H70 dials it for no request, verification, notice, fetch or delivery", () =>
      withDirectory(async (dataDir) => {
        const callbacks = await openCallbackServer();
        const topic = `${callbacks.origin}/topic`;
        const callback = callbacks.callback();
        const open = await openOwnHub({ runtimes, dataDir });
        try {
          for (const each of ["news", topic]) await subscribed(open, each, callback);
        } finally {
          await open.close();
          await callbacks.close();
        }
        await using trap = await openTrap(callbacks.port);
        const settings = { TIDINGS_OUTBOUND_ALLOW: `${ALLOWED}/32`, TIDINGS_PARK_AFTER: "1m" };
        const hub = await openOwnHub({ runtimes, dataDir, settings });
        try {
          const refused = (url: string, path: string) => async () => await blocked(url, path) > 0;
          assert.equal((await request(hub, "subscribe", "news", callback.url)).status, 400);
          assert.equal((await publish(hub, "news", { body: "x", contentType: "text/plain" })).status, 200);
          await eventually("a delivery to be refused", refused(hub.operatingUrl("core"), "delivery"));
          assert.equal((await ping(hub, topic)).status, 204);
          await eventually("a fetch to be refused", refused(hub.operatingUrl("core"), "fetch"));
          await byTheCore(hub, callback.url);
          await eventually("the core's verification to be refused", refused(hub.operatingUrl("core"), "verification"));
          await byName(hub, callbacks.port);
          await byRedirect(hub, topic);
          await post(hub, { "hub.mode": "deregister", "hub.topic": "news" });
          await eventually("a denied notice to be refused", refused(hub.operatingUrl("core"), "notice"));
          assert.equal(trap.connections(), 0);
        } finally {
          await hub.close();
        }
      }));
  });

  describe(`a hub on ${runtime} in whose environment a proxy is named`, { timeout: 120_000 }, () => {
    it("verifies, asks its issuer, fetches, delivers and notifies without it", async () => {
      await using proxy = await openTrap();
      await using callbacks = await openCallbackServer();
      await using site = await openRecordingServer();
      site.route("/", answer(200, "hello", { "content-type": "text/plain" }));
      const named = environmentWith(proxy.port);
      // The runtime's own fetch takes the proxy, so the environment is one that matters.
      await fetchOnce(runtime, site.origin, named);
      assert.ok(proxy.connections() > 0, "fetch went to the proxy");
      const before = proxy.connections();
      const issuer = await openIssuer();
      const settings = {
        ...named,
        TIDINGS_ACCESS: "token",
        TIDINGS_ISSUER: issuer.url,
        TIDINGS_AUDIENCE: "hub",
        TIDINGS_OUTBOUND_ALLOW: "127.0.0.0/8",
      };
      const hub = await openOwnHub({ runtimes, settings });
      try {
        const authorization = `Bearer ${await issuer.token({ scope: "websub:publish websub:subscribe" })}`;
        const callback = callbacks.callback();
        const ask = (mode: string, topic: string, more = {}) =>
          post(hub, { "hub.mode": mode, "hub.topic": topic, ...more }, { authorization });
        const topic = `${site.origin}/`;
        assert.equal((await ask("register", topic)).status, 200);
        assert.equal((await ask("subscribe", topic, { "hub.callback": callback.url })).status, 202);
        await callback.challenged();
        await eventually("a delivery", async () => {
          await ask("publish", topic);
          return callback.deliveries.length > 0;
        }, { everyMs: 250 });
        await ask("deregister", topic);
        await callback.denied();
        assert.equal(proxy.connections(), before);
      } finally {
        await hub.close();
        await issuer.close();
      }
    });
  });
}

/** A server that takes note of each connection, and says nothing. */
async function openTrap(port = 0): Promise<{ port: number; connections: () => number } & AsyncDisposable> {
  let connections = 0;
  const server: Server = createServer((socket) => {
    connections++;
    socket.on("error", () => {});
    socket.destroy();
  });
  await new Promise<void>((listening) => server.listen(port, "127.0.0.1", listening));
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      await new Promise((closed) => server.close(closed));
    },
  };
}

/** How often a tier's guard refused a call of this path. */
async function blocked(operatingUrl: string, path: string): Promise<number> {
  const { text } = await call(`${operatingUrl}/metrics`);
  const lines = text.split("\n").filter((line) =>
    line.startsWith("tidings_outbound_blocked_total{") && line.includes(`path="${path}"`)
  );
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}

/** Has the core verify an intent whose edge cannot pin addresses (A3.6). */
async function byTheCore(hub: OwnHub, callback: string): Promise<void> {
  const core = createCoreCaller(hub.coreUrl, { key: await edgeKeyIn(hub.dataDir) });
  const intent = { kind: "intent", id: "msg_1", madeAt: Date.now(), mode: "subscribe", topic: "news", leaseMs: 60_000 };
  const { status, text } = await core(CORE_PATHS.operations, {
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...intent, callback, unpinned: true }),
  });
  assert.equal(status, 200, text);
}

/** Names this machine by its name, where its resolver says that this is a private address: only the edge's dial sees that. */
async function byName(hub: OwnHub, port: number): Promise<void> {
  const { address } = await lookup(hostname()).catch(() => ({ address: undefined }));
  if (address === undefined || createOutboundGuard([]).judgeAddress(address) === null) return;
  const before = await blocked(hub.operatingUrl("edge"), "verification");
  const reply = await request(hub, "subscribe", "news", `http://${hostname()}:${port}/`);
  assert.equal(reply.status, 202, reply.text);
  await eventually(
    "the edge's verification",
    async () => await blocked(hub.operatingUrl("edge"), "verification") > before,
  );
}

/** Has the core fetch a topic that it may call, and that redirects to one that it may not. */
async function byRedirect(hub: OwnHub, location: string): Promise<void> {
  if (process.platform !== "linux") return;
  await using site = await openRecordingServer(0, ALLOWED);
  site.route("/topic", answer(302, "", { location }));
  site.route("/callback", (recorded, response) => {
    const challenge = new URLSearchParams(recorded.query).get("hub.challenge");
    response.end(challenge ?? "");
  });
  const before = await blocked(hub.operatingUrl("core"), "fetch");
  const reply = await request(hub, "subscribe", `${site.origin}/topic`, `${site.origin}/callback`);
  assert.equal(reply.status, 202, reply.text);
  await eventually("the redirect to be refused", async () => {
    await ping(hub, `${site.origin}/topic`);
    return await blocked(hub.operatingUrl("core"), "fetch") > before;
  }, { everyMs: 250 });
}

function environmentWith(port: number): Record<string, string> {
  const proxy = `http://127.0.0.1:${port}`;
  const names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"].flatMap((name) => [name, name.toLowerCase()]);
  return {
    ...Object.fromEntries(names.map((name) => [name, proxy])),
    NO_PROXY: "",
    no_proxy: "",
    NODE_USE_ENV_PROXY: "1",
  };
}

/** Has the runtime's own fetch call an origin; whether it succeeds does not matter. */
async function fetchOnce(
  runtime: Runtime,
  origin: string,
  named: Record<string, string>,
): Promise<void> {
  const env = { ...process.env, ...named };
  await promisify(execFile)(executableOf(runtime), [...RUN[runtime], FETCH_ONCE, origin], { env });
}
