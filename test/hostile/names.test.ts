// WIRE §7, SECURITY "a name server": silent name servers of some are not felt by others: not by their deliveries, nor by what the hub
// asks them, nor by the hosts of the operator.

import assert from "node:assert/strict";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { createUndiciTransport } from "../../core/delivery/sending/undici-transport.ts";
import type { Transport } from "../../core/delivery/sending/transport.ts";
import { createOutboundGuard } from "../../shared/outbound/guard.ts";
import type { Outbound } from "../../shared/outbound/outbound.ts";
import { createGuardedConnector } from "../../shared/runtime/guarded-connect.ts";
import { createHttpClient } from "../../shared/runtime/http-client.ts";
import { createNames } from "../../shared/runtime/names/names.ts";
import { createOutbound } from "../../shared/runtime/outbound.ts";
import { eventually } from "../support/eventually.ts";
import { sendPost } from "../support/rigs/transport-rig.ts";
import { answer } from "../support/servers/answers.ts";
import { type NameServerStand, openNameServer, type OwnFiles, ownFiles } from "../support/servers/name-server.ts";
import { openRecordingServer, type RecordingServer } from "../support/servers/recording-server.ts";

const GUARD = createOutboundGuard(["127.0.0.0/8"]);
/** Less than a name server is waited for, and than a look-up waits for its place. */
const SOON_MS = 1_400;

describe("silent name servers", () => {
  let server: RecordingServer;
  let nameServer: NameServerStand;
  let files: OwnFiles;
  let transport: Transport;
  let outbound: Outbound;
  const stuck: Promise<unknown>[] = [];
  const url = (host: string) => `http://${host}:${server.port}/`;
  const verify = (host: string, requester?: string) =>
    outbound.call({ path: "verification", method: "GET", url: url(host), requester, deadlineMs: 4_000, maxBytes: 100 });

  before(async () => {
    server = await openRecordingServer();
    server.route("/", answer(200));
    nameServer = await openNameServer(({ name }) =>
      name.includes("silent") ? "silent" : [{ type: "A", data: "127.0.0.1" }]
    );
    files = await ownFiles({ resolvConf: "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n" });
    const names = createNames({ ...files, port: nameServer.port, waitMs: 1_500 });
    const connect = createGuardedConnector({ guard: GUARD, names });
    transport = createUndiciTransport({ connect, timeoutMs: 4_000, connectionsPerOrigin: 4 });
    outbound = createOutbound({ guard: GUARD, names, userAgent: "test" });
    for (let n = 0; n < 60; n++) {
      // One client with a domain for each of its callbacks, one domain with many names, and a pool of its own for each.
      stuck.push(sendPost(transport, url(`lane${n}.silent.example`)), verify(`silent${n}.example`, "client evil"));
    }
    await eventually("look-ups in flight", () => nameServer.asked.length >= 40);
  });
  after(async () => {
    const results = await Promise.all(stuck);
    assert.ok(results.every((result) => /no address to call|could not be looked up/.test(JSON.stringify(result))));
    await Promise.all([transport.close(), outbound.close()]);
    await server.close();
    await nameServer[Symbol.asyncDispose]();
    await files[Symbol.asyncDispose]();
  });

  /** Does something with hosts that nobody has called yet. */
  async function soon(what: (host: string) => Promise<unknown>, name: string): Promise<void> {
    const begun = performance.now();
    const results = await Promise.all(Array.from({ length: 10 }, (_, n) => what(`${name}${n}.example`)));
    for (const result of results) assert.equal((result as { status?: number }).status, 200, JSON.stringify(result));
    assert.ok(performance.now() - begun < SOON_MS, `${performance.now() - begun} ms`);
  }

  it("stop no delivery to a host that is called for the first time", () =>
    soon((host) => sendPost(transport, url(host)), "callback"));

  it("stop no verification of others", () => soon((host) => verify(host, "client good"), "verified"));

  it("stop no call to a host of the operator, whose name the system itself looks up", async () => {
    const http = createHttpClient({ connections: 1 });
    const begun = performance.now();
    const call = {
      method: "GET",
      origin: `http://localhost:${server.port}`,
      path: "/",
      headers: {},
      timeoutMs: 4_000,
    } as const;
    assert.equal((await http.send(call)).status, 200);
    assert.ok(performance.now() - begun < SOON_MS, `${performance.now() - begun} ms`);
    await http.close();
  });

  it("hold none of the few threads that the system's look-ups need", () => {
    // Only Node tells.
    const busy = (process as { getActiveResourcesInfo?: () => string[] }).getActiveResourcesInfo?.() ?? [];
    assert.deepEqual(busy.filter((resource) => /GetAddrInfo|FSReq/.test(resource)), []);
  });
});
