import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { RequestListener, Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { after, describe, it } from "node:test";
import { createFetchClient, HttpClientError } from "../../../shared/http-client.ts";
import type { HttpCall } from "../../../shared/http-client.ts";
import { createHttpClient } from "../../../shared/runtime/http-client.ts";
import { createAuthority, withChecksTurnedOff } from "../../support/servers/certificates.ts";
import { eventually } from "../../support/eventually.ts";

const opened: Server[] = [];
after(() => {
  for (const server of opened) server.close().closeAllConnections();
});

async function open(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  opened.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
const get = (origin: string, timeoutMs = 5_000): HttpCall => ({
  method: "GET",
  origin,
  path: "/",
  headers: {},
  timeoutMs,
});
const failure = (error: unknown) => error instanceof HttpClientError;

for (const [name, create] of [["undici", () => createHttpClient()], ["fetch", () => createFetchClient()]] as const) {
  describe(`a stream between the tiers, by ${name}`, () => {
    const client = create();
    after(() => client.close());

    it("has the head at once, and each part as it comes", async () => {
      let say = (_text: string) => {};
      const origin = await open((_request, response) => {
        response.writeHead(201, { "content-type": "x/y" }).flushHeaders();
        say = (text) => text === "" ? response.end() : response.write(text);
      });
      const { status, contentType, body } = await client.stream(get(origin));
      assert.deepEqual([status, contentType], [201, "x/y"]);
      const reader = body.getReader();
      for (const text of ["one", "two"]) {
        const part = reader.read();
        say(text);
        assert.equal(Buffer.from((await part).value ?? []).toString(), text);
      }
      say("");
      assert.equal((await reader.read()).done, true);
    });

    it("brings every byte of a long answer, whole or in small parts, and of an empty one", async () => {
      const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, n) => n * 7 % 251));
      for (const size of [0, 1_000, 300_000]) {
        const origin = await open((_request, response) => {
          for (let at = 0; at < bytes.length && size > 0; at += size) response.write(bytes.subarray(at, at + size));
          response.end();
        });
        const { body } = await client.stream(get(origin));
        const got = Buffer.from(await new Response(body).arrayBuffer());
        assert.ok(got.equals(size === 0 ? Buffer.alloc(0) : bytes), `${got.length} bytes of parts of ${size}`);
      }
    });

    it("reads no more than its reader takes", async () => {
      let taken = 0;
      let closed = false;
      const origin = await open((_request, response) => {
        response.on("close", () => closed = true);
        const write = () => {
          while (!closed && response.write(Buffer.alloc(65_536))) taken += 65_536;
          taken += 65_536;
        };
        response.on("drain", write);
        write();
      });
      const { body } = await client.stream(get(origin));
      const reader = body.getReader();
      await reader.read();
      // What fits into the sockets' buffers goes; then it stands still.
      let before = -1;
      await eventually("a standstill", () => {
        const still = taken === before;
        before = taken;
        return still;
      }, { everyMs: 100 });
      assert.ok(taken < 64_000_000, `${taken} bytes were taken`);
      const enough = taken + 1_000_000;
      for (let read = 0; read < enough;) read += (await reader.read()).value?.length ?? 0;
      await reader.cancel();
      await eventually("the end of it", () => closed);
    });

    it("ends at the server when it is cancelled, also while nothing comes", async () => {
      let closed = false;
      const origin = await open((_request, response) => {
        response.on("close", () => closed = true);
        response.writeHead(200).flushHeaders();
      });
      const { body } = await client.stream(get(origin));
      const reader = body.getReader();
      const waiting = reader.read();
      await reader.cancel();
      assert.equal((await waiting).done, true);
      await eventually("the end of it", () => closed);
    });

    it("that breaks off is an error to its reader, and one that never begins to its caller", async () => {
      const breaking = await open((_request, response) => {
        response.writeHead(200, { "content-length": "100" });
        response.write("x", () => response.destroy());
      });
      const { body } = await client.stream(get(breaking));
      await assert.rejects(new Response(body).text());
      const silent = await open(() => {});
      await assert.rejects(client.stream(get(silent, 50)), failure);
      await assert.rejects(client.stream(get("http://127.0.0.1:1")), failure);
    });

    it("may take longer than its head may", async () => {
      const origin = await open((_request, response) => {
        response.writeHead(200).flushHeaders();
        setTimeout(() => response.end("late"), 150);
      });
      const { body } = await client.stream(get(origin, 100));
      assert.equal(await new Response(body).text(), "late");
    });
  });

  it(`an answer by ${name} that is longer than 16 MiB is an error, and no more of it is read`, async () => {
    const client = create();
    let closed = false;
    const origin = await open((_request, response) => {
      response.on("close", () => closed = true);
      const write = () => {
        while (!closed && response.write(Buffer.alloc(65_536)));
      };
      response.on("drain", write);
      write();
    });
    await assert.rejects(client.send(get(origin)), failure);
    await eventually("the end of it", () => closed);
    await client.close();
  });
}

describe("a client with TLS", () => {
  it("H68 checks certificates whatever the environment says", async () => {
    const [ours, theirs] = [await createAuthority(), await createAuthority()];
    const server = createTlsServer(await ours.issue("127.0.0.1"), (_request, response) => response.end("hello"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const trusting = (ca: string | undefined) => createHttpClient({ tls: { ca } });
    const clients = [trusting(ours.ca), trusting(theirs.ca), trusting(undefined)] as const;
    try {
      await withChecksTurnedOff(async () => {
        assert.equal((await clients[0].send(get(origin))).status, 200);
        for (const client of clients.slice(1)) await assert.rejects(client.send(get(origin)), failure);
        // A certificate that is taken into use later is no exception.
        clients[1].useTls({});
        await assert.rejects(clients[1].send(get(origin)), failure);
      });
    } finally {
      for (const client of clients) await client.close();
      server.close().closeAllConnections();
    }
  });
});
