// Topic servers and callbacks that try to break their caller. Each call ends by its deadline, yields one result, reads no more
// of the answer than its cap, and frees the connection; the next call is unaffected.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import type { Socket } from "node:net";
import { createUndiciTransport } from "../../core/delivery/sending/undici-transport.ts";
import type { OutboundAnswer } from "../../shared/outbound/outbound.ts";
import { createOutboundGuard } from "../../shared/outbound/guard.ts";
import { pause } from "../../shared/pause.ts";
import { createChallenge } from "../../shared/random.ts";
import { createGuardedConnector } from "../../shared/runtime/guarded-connect.ts";
import { createOutbound } from "../../shared/runtime/outbound.ts";
import { verifyIntent } from "../../shared/outbound/verification.ts";
import { createAuthority } from "../support/servers/certificates.ts";
import { eventually } from "../support/eventually.ts";
import { sendPost } from "../support/rigs/transport-rig.ts";
import { HOSTILE_MANNERS, type HostileServer, openHostileServer } from "../support/servers/hostile-server.ts";

const GUARD = createOutboundGuard(["127.0.0.0/8"]);
const AUTHORITY = await createAuthority();
const CERTIFICATE = await AUTHORITY.issue("127.0.0.1");
/** Far above what a call may read, and far below what these servers would send. */
const MOST_TAKEN = 20_000_000;
const CAP = 100_000;
/** For servers that take time. */
const SHORT_MS = 500;
/** For servers that a limit stops: only the limit may end such a call. */
const LONG_MS = 10_000;

const outbound = createOutbound({ guard: GUARD, userAgent: "test", ca: AUTHORITY.ca, connectionsPerOrigin: 4 });
const connect = createGuardedConnector({ guard: GUARD, ca: AUTHORITY.ca });
const openTransport = (timeoutMs: number) => createUndiciTransport({ connect, timeoutMs, connectionsPerOrigin: 4 });
const impatient = openTransport(SHORT_MS);
const patient = openTransport(LONG_MS);
after(async () => {
  await outbound.close();
  await impatient.close();
  await patient.close();
});

const get = (url: string, deadlineMs = SHORT_MS): Promise<OutboundAnswer> =>
  outbound.call({ path: "fetch", method: "GET", url, deadlineMs, maxBytes: CAP, maxRedirects: 3 });

/** A delivery's status, or why it failed; the test fails if a second result comes. */
async function deliver(url: string, transport = impatient): Promise<number | string> {
  const result = await sendPost(transport, url);
  return "status" in result ? result.status : result.failed;
}

const good = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood";

const listenTls = (onSocket: (socket: Socket) => void) => {
  const server = createTlsServer(CERTIFICATE, onSocket);
  server.on("tlsClientError", () => {});
  return server;
};

for (const [scheme, listen] of [["http", undefined], ["https", listenTls]] as const) {
  describe(`a hostile server, called by ${scheme}`, () => {
    let server: HostileServer;
    before(async () => {
      server = await openHostileServer(listen);
    });
    after(() => server.close());

    for (const { name, act, fetch, delivery } of HOSTILE_MANNERS) {
      it(`with ${name}`, async () => {
        const url = `${scheme}://127.0.0.1:${server.port}/`;
        const before = server.sent();
        const [deadlineMs, transport] = fetch === "timeout" ? [SHORT_MS, impatient] : [LONG_MS, patient];
        server.manner = act;
        const found = await get(url, deadlineMs);
        assert.equal(found.kind === "answer" ? found.status : found.code, fetch, JSON.stringify(found));
        if (found.kind === "answer") assert.ok(found.body.length <= CAP, `${found.body.length} bytes`);
        const delivered = await deliver(url, transport);
        if (typeof delivered === "string") assert.match(delivered, /^[^\r\n]{1,200}$/);
        const outcome = typeof delivered === "string" ? "failed" : delivered;
        assert.ok(delivery === outcome || (delivery === "either" && [200, "failed"].includes(outcome)), `${delivered}`);
        assert.ok(server.sent() - before < MOST_TAKEN, `${server.sent() - before} bytes were taken`);
        // The next call is unaffected.
        server.manner = (socket) => void socket.write(good);
        await eventually("a good answer to a fetch", async () => {
          const next = await get(url);
          return next.kind === "answer" && next.status === 200 && Buffer.from(next.body).toString() === "good";
        });
        await eventually("a good answer to a delivery", async () => await deliver(url, transport) === 200);
        await eventually("its connections to be let go of", () => server.open() <= 3);
      });
    }
  });
}

describe("a hostile callback", () => {
  it("does not confirm a verification with any of this", async () => {
    await using server = await openHostileServer();
    const now = () => performance.now();
    const ports = { outbound, now, clock: () => Date.now(), challenge: createChallenge, pause: () => pause(0) };
    const callback = `http://127.0.0.1:${server.port}/`;
    // Servers that hold a verification for its whole 10 s are left out: they only take time.
    for (const { name, act } of HOSTILE_MANNERS.filter(({ fetch }) => fetch !== "timeout")) {
      server.manner = act;
      const stop = AbortSignal.timeout(800);
      const result = await verifyIntent({ mode: "subscribe", topic: "t", callback }, { ...ports, signal: stop });
      assert.ok(result.kind === "aborted" || !result.verified, name);
    }
  });
});

describe("a hostile TLS server", () => {
  it("that wants a new handshake again and again gets none", async () => {
    let wanted = 0;
    let got = 0;
    const options = { ...await AUTHORITY.issue("127.0.0.1"), maxVersion: "TLSv1.2" } as const;
    await using server = await openHostileServer((onSocket) => {
      const tls = createTlsServer(options, onSocket);
      tls.on("tlsClientError", () => {});
      return tls;
    });
    server.manner = (socket) => {
      const again = () => {
        wanted++;
        (socket as TLSSocket).renegotiate({}, (error) => {
          if (error !== null) return;
          got++;
          again();
        });
      };
      again();
    };
    const url = `https://127.0.0.1:${server.port}/`;
    const found = await get(url);
    assert.equal(found.kind, "failed");
    assert.equal(typeof await deliver(url), "string");
    assert.ok(wanted >= 2, "it was asked");
    assert.equal(got, 0, "it got none");
  });

  it("that never finishes its handshake, or speaks something else, costs the deadline", async () => {
    await using silent = await openHostileServer();
    const url = `https://127.0.0.1:${silent.port}/`;
    assert.ok((await get(url)).kind === "failed");
    assert.equal(typeof await deliver(url), "string");
    const certificate = await AUTHORITY.issue("127.0.0.1");
    await using noisy = await openHostileServer((onSocket) => {
      const tls = createTlsServer(certificate, onSocket);
      tls.on("tlsClientError", () => {});
      tls.on("connection", (socket) => void socket.write("\x16\x03\x01\xff\xff\x02garbage", "latin1"));
      return tls;
    });
    assert.ok((await get(`https://127.0.0.1:${noisy.port}/`)).kind === "failed");
  });
});
