// RFC 8305: addresses of which one is dead, far, or refuses. The sockets are real; what is far away connects late.

import assert from "node:assert/strict";
import { type AddressInfo, connect as connectSocket, createServer, Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { dial } from "../../../shared/runtime/dial.ts";
import type { buildConnector } from "../../../shared/undici.ts";
import { eventually } from "../../support/eventually.ts";

const DEAD = "192.0.2.1";
const FAR = "192.0.2.2";
const FARTHER = "192.0.2.3";
const REFUSING = "2001:db8::1";
const NEAR = "2001:db8::2";
const FAR_MS: Readonly<Record<string, number>> = { [FAR]: 600, [FARTHER]: 900, [NEAR]: 0 };
const target = { hostname: "several.example", host: "several.example", protocol: "http:", port: "80" };

describe("connecting to one of several addresses", () => {
  const server = createServer((socket) => socket.on("error", () => {}));
  let port = 0;
  before(async () => {
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    port = (server.address() as AddressInfo).port;
  });
  after(() => void server.close());

  /** Dials, and tells which addresses were tried when, and what became of their sockets. */
  function dialling(addresses: readonly string[], timeoutMs = 5_000) {
    const begun = performance.now();
    const tried: { readonly address: string; readonly atMs: number; readonly socket: Socket }[] = [];
    const connect = ((options, callback) => {
      const address = options.hostname;
      const socket = address === REFUSING ? connectSocket(1, "127.0.0.1") : new Socket();
      tried.push({ address, atMs: performance.now() - begun, socket });
      const farMs = FAR_MS[address];
      if (farMs !== undefined) {
        setTimeout(() => socket.destroyed || socket.connect(port, "127.0.0.1"), farMs);
      }
      socket.on("error", (error) => callback(error, null));
      socket.once("connect", () => callback(null, socket));
      return socket;
    }) as buildConnector.connector;
    return { dialled: dial(connect, target, addresses, timeoutMs), tried };
  }

  it("reaches one that is far away, although the first one is dead and others begin meanwhile", async () => {
    const { dialled, tried } = dialling([DEAD, FAR, FARTHER]);
    const { socket, address } = await dialled;
    assert.equal(address, FAR);
    assert.deepEqual(tried.map((one) => one.address), [DEAD, FAR, FARTHER]);
    for (const [n, { atMs }] of tried.entries()) assert.ok(atMs > n * 240, `${n}: ${atMs} ms`);
    assert.equal(socket.destroyed, false);
    await eventually("the others given up", () => tried.filter(({ socket }) => socket.destroyed).length === 2);
    socket.destroy();
  });

  it("begins with IPv6, and goes on at once from one that refuses, the families in turn", async () => {
    const { dialled, tried } = dialling([DEAD, FAR, REFUSING, NEAR]);
    const { socket, address } = await dialled;
    assert.equal(address, NEAR);
    assert.deepEqual(tried.map((one) => one.address), [REFUSING, DEAD, NEAR]);
    socket.destroy();
  });

  it("gives up in time, whatever was still on its way", async () => {
    const { dialled, tried } = dialling([DEAD, FARTHER], 400);
    await assert.rejects(dialled, { code: "UND_ERR_CONNECT_TIMEOUT" });
    await eventually("all given up", () => tried.every(({ socket }) => socket.destroyed));
  });

  it("says why when all refuse", async () => {
    await assert.rejects(dialling([REFUSING]).dialled, { code: "ECONNREFUSED" });
    await assert.rejects(dialling([REFUSING, REFUSING]).dialled, { code: "ECONNREFUSED" });
  });

  it("tries ten addresses at most", async () => {
    const { dialled, tried } = dialling(Array.from({ length: 40 }, () => REFUSING));
    await assert.rejects(dialled);
    assert.equal(tried.length, 10);
  });
});
