import assert from "node:assert/strict";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { describe, it } from "node:test";
import { createSystemConnector } from "../../../shared/runtime/system-connect.ts";

/** Connects; resolves to the address that was reached. */
function reached(port: number, hostname: string, lookUp?: (name: string) => Promise<readonly string[]>) {
  const connect = createSystemConnector({ timeoutMs: 500, tls: {}, ...(lookUp === undefined ? {} : { lookUp }) });
  return new Promise<string | undefined>((resolve, reject) =>
    connect({ hostname, host: hostname, protocol: "http:", port: String(port) }, (...[error, socket]) => {
      if (error !== null) return reject(error);
      const { remoteAddress } = socket as Socket;
      (socket as Socket).destroy();
      resolve(remoteAddress);
    })
  );
}

describe("connecting to a host of the operator", () => {
  it("asks the system for its name, and takes whichever of its addresses answers", async () => {
    const server = createServer((socket) => socket.on("error", () => {}));
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const { port } = server.address() as AddressInfo;
    assert.equal(await reached(port, "127.0.0.1"), "127.0.0.1");
    assert.equal(await reached(port, "localhost"), "127.0.0.1");
    // Nobody listens at the first two.
    assert.equal(
      await reached(port, "core.example", () => Promise.resolve(["::1", "127.0.0.9", "127.0.0.1"])),
      "127.0.0.1",
    );
    await new Promise((closed) => server.close(closed));
  });

  it("does not wait for ever for its name", async () => {
    await assert.rejects(
      reached(80, "core.example", () => new Promise(() => {})),
      /"core.example" was not looked up within 500 ms/,
    );
    await assert.rejects(reached(80, "no.invalid"), /no\.invalid|ENOTFOUND|EAI_AGAIN/);
  });
});
