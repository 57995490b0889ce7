// The hub dials the address that it checked (WIRE §7). Pinning does not weaken TLS: the hub still asks for the name, and the
// certificate must have it.

import assert from "node:assert/strict";
import { createServer } from "node:tls";
import type { TlsOptions } from "node:tls";
import { type AddressInfo, createServer as createPlainServer } from "node:net";
import { after, before, describe, it } from "node:test";
import { createUndiciTransport } from "../../core/delivery/sending/undici-transport.ts";
import { createOutboundGuard } from "../../shared/outbound/guard.ts";
import { createGuardedConnector } from "../../shared/runtime/guarded-connect.ts";
import type { Names } from "../../shared/runtime/names/names.ts";
import { createOutbound } from "../../shared/runtime/outbound.ts";
import { createAuthority, withChecksTurnedOff } from "../support/servers/certificates.ts";
import { sendPost } from "../support/rigs/transport-rig.ts";
import { openRecordingServer } from "../support/servers/recording-server.ts";

const GUARD = createOutboundGuard(["127.0.0.0/8", "::1/128"]);
const AUTHORITY = await createAuthority();
/** The runtimes name the same fault differently. */
const OF_A_STRANGER = /CERT_SIGNATURE_FAILURE|UNABLE_TO/;
const OF_ANOTHER_NAME = /ERR_TLS_CERT_ALTNAME_INVALID/;
/** Deno says only that it cannot verify such a certificate. */
const NOT_OF_TODAY = /CERT_(?:HAS_EXPIRED|NOT_YET_VALID)|UNABLE_TO/;

/** A name server under test control: the nth question gets the nth answer, and later questions get the last one. */
function rebinding(...answers: readonly (readonly string[])[]): { names: Names; asked: () => number } {
  let asked = 0;
  const lookUp = () => Promise.resolve({ addresses: answers[Math.min(asked++, answers.length - 1)] ?? [] });
  return { names: { lookUp }, asked: () => asked };
}

/** One POST by the delivery transport; resolves to a status, or to the reason for none. */
async function deliver(url: string, names: Names): Promise<number | string> {
  const connect = createGuardedConnector({ guard: GUARD, names, ca: AUTHORITY.ca });
  const transport = createUndiciTransport({ connect, timeoutMs: 5_000, connectionsPerOrigin: 1 });
  try {
    const result = await sendPost(transport, url);
    return "status" in result ? result.status : result.failed;
  } finally {
    await transport.close();
  }
}

/** One GET by the outbound client; resolves to a status, or to a failure's code and reason. */
async function get(url: string, names: Names): Promise<number | string> {
  const outbound = createOutbound({ guard: GUARD, userAgent: "test", names, ca: AUTHORITY.ca });
  try {
    const result = await outbound.call({ path: "fetch", method: "GET", url, deadlineMs: 5_000, maxBytes: 1_000 });
    return result.kind === "answer" ? result.status : `${result.code}: ${result.reason}`;
  } finally {
    await outbound.close();
  }
}

for (const [path, send] of [["the outbound client", get], ["the delivery transport", deliver]] as const) {
  describe(`rebinding against ${path}`, () => {
    it("a name is asked for once a dial, so that the second answer does not get through", async () => {
      await using server = await openRecordingServer();
      server.route("/", (_request, response) => void response.end());
      const { names, asked } = rebinding(["127.0.0.1"], ["10.0.0.1"]);
      assert.equal(await send(`http://rebind.example:${server.port}/`, names), 200);
      assert.equal(asked(), 1);
    });

    it("the checked addresses are dialled in turn, and no other", async () => {
      const reached: (string | undefined)[] = [];
      const server = createPlainServer((socket) => {
        reached.push(socket.localAddress);
        socket.on("error", () => {});
        socket.on("data", () => void socket.end("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
      });
      await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
      const { port } = server.address() as AddressInfo;
      // Nobody listens on ::1.
      for (const answers of [["127.0.0.1"], ["::ffff:127.0.0.1"], ["::1", "127.0.0.1"], ["127.0.0.1", "::1"]]) {
        const { names, asked } = rebinding(answers, ["10.0.0.1"]);
        assert.equal(await send(`http://several.example:${port}/`, names), 200, answers.join());
        assert.equal(asked(), 1);
      }
      assert.deepEqual(new Set(reached), new Set(["127.0.0.1"]));
      const { names } = rebinding(["::1"]);
      assert.match(
        String(await send(`http://several.example:${port}/`, names)),
        /ECONNREFUSED|connection refused|EADDRNOTAVAIL/,
      );
      server.close();
    });

    it("each new dial is checked anew", async () => {
      await using server = await openRecordingServer();
      server.route("/", (_request, response) => void response.writeHead(200, { connection: "close" }).end());
      const { names } = rebinding(["127.0.0.1"], ["10.0.0.1"], ["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "127.0.0.1"]);
      const results = [];
      for (let n = 0; n < 4; n++) results.push(await send(`http://rebind.example:${server.port}/`, names));
      assert.equal(results[0], 200);
      for (const result of results.slice(1)) assert.match(String(result), /^forbidden|^no address to call$/);
    });
  });

  describe(`TLS under ${path}`, () => {
    const asked: (string | false)[] = [];
    const open: { close: () => void }[] = [];
    const serve = async (options: TlsOptions) => {
      const server = createServer(options, (socket) => {
        asked.push((socket as unknown as { servername: string | false }).servername);
        socket.on("error", () => {});
        socket.on("data", () => void socket.end("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
      });
      server.on("tlsClientError", () => {});
      await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
      open.push(server);
      return (server.address() as AddressInfo).port;
    };
    let port = 0;
    before(async () => {
      port = await serve(await AUTHORITY.issue("right.example", "127.0.0.2"));
    });
    after(() => {
      for (const server of open) server.close();
    });
    const { names } = rebinding(["127.0.0.1"]);

    it("asks for the name, not the address, and takes a certificate that says it", async () => {
      asked.length = 0;
      assert.equal(await send(`https://right.example:${port}/`, names), 200);
      assert.deepEqual(asked, ["right.example"]);
    });

    it("refuses a certificate of another name, though the address is the one that was checked", async () => {
      for (const host of ["wrong.example", "sub.right.example", "127.0.0.1"]) {
        const result = await send(`https://${host}:${port}/`, names);
        assert.match(String(result), /ERR_TLS_CERT_ALTNAME_INVALID/, host);
      }
    });

    it("refuses a certificate of an authority that it does not trust, and plain HTTP", async () => {
      const stranger = await serve(await (await createAuthority()).issue("right.example"));
      assert.match(
        String(await send(`https://right.example:${stranger}/`, names)),
        OF_A_STRANGER,
      );
      await using plain = await openRecordingServer();
      assert.equal(typeof await send(`https://right.example:${plain.port}/`, names), "string");
    });

    it("H68 refuses it whatever the environment says of checks", async () => {
      const stranger = await serve(await (await createAuthority()).issue("right.example"));
      await withChecksTurnedOff(async () => {
        assert.match(String(await send(`https://right.example:${stranger}/`, names)), OF_A_STRANGER);
        assert.match(String(await send(`https://wrong.example:${port}/`, names)), OF_ANOTHER_NAME);
      });
    });

    it("refuses a certificate that is over, or that has not begun", async () => {
      for (const days of [-3, 3]) {
        const at = await serve(await AUTHORITY.issueFrom(days, "right.example"));
        assert.match(String(await send(`https://right.example:${at}/`, names)), NOT_OF_TODAY, `${days}`);
      }
    });

    it("speaks HTTP/1.1 where the server would rather speak HTTP/2, and refuses one that speaks nothing else", async () => {
      const certificate = await AUTHORITY.issue("right.example");
      const both = await serve({ ...certificate, ALPNProtocols: ["h2", "http/1.1"] });
      assert.equal(await send(`https://right.example:${both}/`, names), 200);
      const second = await serve({ ...certificate, ALPNProtocols: ["h2"] });
      assert.match(String(await send(`https://right.example:${second}/`, names)), /NO_APPLICATION_PROTOCOL/);
    });
  });
}
