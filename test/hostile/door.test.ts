// One attacker at the edge's door, beside clients from other addresses: whatever the attacker holds, they do not feel it.

import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, it } from "node:test";
import { tokenAccess } from "../../edge/auth/access.ts";
import { PROCESS_MEMORY } from "../../edge/limits/memory.ts";
import { openEdge, type OwnEdge } from "../support/rigs/edge.ts";
import { openTokenAccess } from "../support/rigs/token-access.ts";
import { openIssuer } from "../support/servers/issuer.ts";
import { openFakeCore } from "../support/rigs/fake-core.ts";
import type { FakeCore } from "../support/rigs/fake-core.ts";
import { call, type Reply } from "../support/servers/http.ts";
import { eventually, pause } from "../support/eventually.ts";

/** The edge takes the address from our own proxy, so that one machine can be many clients. */
const PROXIED = { trustedProxies: ["127.0.0.0/8"] };
const ATTACKER = "203.0.113.66";
const PUBLISH = "/hub?hub.mode=publish&hub.topic=t";

function publish(edge: OwnEdge, from: string, body: string, token?: string): Promise<Reply> {
  const headers = {
    "x-forwarded-for": from,
    "content-type": "text/plain",
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  };
  return call(edge.url, { method: "POST", target: PUBLISH, headers, body });
}

/** Opens so many connections that have sent `bytes`, and says which statuses they are answered. */
async function hold(edge: OwnEdge, count: number, bytes: string) {
  const statuses: number[] = [];
  const sockets = await Promise.all(Array.from({ length: count }, () => {
    const socket = connect({ port: edge.port, host: "127.0.0.1" });
    socket.on("error", () => {}).on("data", (part) => {
      const status = /^HTTP\/1\.1 (\d{3})/.exec(part.toString("latin1"))?.[1];
      if (status !== undefined) statuses.push(Number(status));
    });
    return new Promise<typeof socket>((resolve) =>
      socket.once("connect", () => socket.write(bytes, () => resolve(socket)))
    );
  }));
  return { statuses, [Symbol.dispose]: () => sockets.forEach((socket) => socket.destroy()) };
}

const slow = (headers: string) =>
  `POST ${PUBLISH} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: ${ATTACKER}\r\nContent-Type: text/plain\r\n${headers}\r\n`;

describe("an attacker at the edge's door", () => {
  let core: FakeCore;
  before(async () => {
    core = await openFakeCore();
  });
  const closes: { close(): Promise<void> }[] = [];
  after(async () => {
    await Promise.all(closes.map((opened) => opened.close()));
    await core.close();
  });

  for (
    const [what, headers, part] of [
      ["of unknown length", "Transfer-Encoding: chunked\r\n", "1\r\nx\r\n"],
      ["that say they are as long as may be", "Content-Length: 1000000\r\n", "x"],
    ] as const
  ) {
    it(`§6.7 with 300 slow bodies ${what} keeps nobody's body out, and is told to be faster`, async () => {
      await using edge = await openEdge([core.origin], {
        limits: PROXIED,
        bodyPatience: { pace: { graceMs: 1_000, bytesPerSecond: 1_024 } },
      });
      using held = await hold(edge, 300, slow(headers) + part);
      for (const from of ["203.0.113.1", ATTACKER]) {
        const { status, text } = await publish(edge, from, "x".repeat(300_000));
        assert.equal(status, 200, text);
      }
      await pause(1_200);
      assert.deepEqual([held.statuses.length, new Set(held.statuses)], [300, new Set([408])]);
    });
  }

  it("§6.7 who fills its share of the memory for bodies does not fill another's", async () => {
    const memory = { ...PROCESS_MEMORY, bodiesBytes: 4_000_000 };
    await using edge = await openEdge([core.origin], { limits: PROXIED, memory });
    using held = await hold(edge, 20, `${slow("Content-Length: 900000\r\n")}${"x".repeat(400_000)}`);
    const { status, text } = await publish(edge, "203.0.113.1", "x".repeat(100_000));
    assert.equal(status, 200, text);
    assert.deepEqual(new Set(held.statuses), new Set());
  });

  it("§6.7 with made-up tokens keeps nobody's token from being checked", async () => {
    const issuer = await openIssuer();
    closes.push(issuer);
    const { onIntrospect } = issuer;
    issuer.onIntrospect = (request, response) => void setTimeout(() => void onIntrospect(request, response), 500);
    const tokens = openTokenAccess({
      INTROSPECTION_URL: `${issuer.url}/introspect`,
      INTROSPECTION_CLIENT_ID: "hub",
      INTROSPECTION_CLIENT_SECRET: "s3cret",
    });
    closes.push(tokens);
    await using edge = await openEdge([core.origin], { limits: PROXIED, access: tokenAccess(tokens) });
    const good = Array.from({ length: 25 }, (_, n) => `good-${n}`);
    for (const token of good) issuer.opaque.set(token, { sub: token, aud: "hub", scope: "websub:publish" });
    const floods = Array.from({ length: 300 }, (_, n) => publish(edge, ATTACKER, "x", `made-up-${n}`));
    await eventually("the flood", () => issuer.asked.introspect.length > 0);
    await pause(200);
    const replies = await Promise.all(good.map((token, n) => publish(edge, `203.0.113.${n + 1}`, "x", token)));
    assert.deepEqual(replies.map(({ status }) => status), good.map(() => 200));
    const refused = await Promise.all(floods);
    assert.deepEqual(new Set(refused.map(({ status }) => status)), new Set([401, 503]));
    assert.ok(refused.every(({ status, headers }) => status === 401 || Number(headers["retry-after"]) > 0));
  });

  it("§6.7 without a token has its body refused before it is read", async () => {
    const issuer = await openIssuer();
    closes.push(issuer);
    const tokens = openTokenAccess({ ISSUER: issuer.url });
    closes.push(tokens);
    await using edge = await openEdge([core.origin], { limits: PROXIED, access: tokenAccess(tokens) });
    using held = await hold(edge, 10, `${slow("Transfer-Encoding: chunked\r\n")}1\r\nx\r\n`);
    await eventually("the refusals", () => held.statuses.length === 10);
    assert.deepEqual(new Set(held.statuses), new Set([401]));
  });

  it("§6.7 with slow operations that fill, and lower, what may wait for the core keeps nobody else out", async () => {
    await using slowCore = await openFakeCore();
    slowCore.onContent = async ({ topic }) => {
      if (topic === "slow") await pause(3_000);
      return null;
    };
    await using edge = await openEdge([slowCore.origin], { limits: { ...PROXIED, overloadAfterMs: 100 } });
    const headers = { "x-forwarded-for": ATTACKER, "content-type": "text/plain" };
    const target = "/hub?hub.mode=publish&hub.topic=slow";
    const floods = Array.from({ length: 400 }, () => call(edge.url, { method: "POST", target, headers, body: "x" }));
    await pause(800);
    for (let n = 1; n <= 10; n++) assert.equal((await publish(edge, `203.0.113.${n}`, "x")).status, 200);
    const replies = await Promise.all(floods);
    const refused = replies.filter(({ status }) => status === 503);
    assert.ok(refused.length > 0 && refused.every((reply) => Number(reply.headers["retry-after"]) > 0));
  });
});
