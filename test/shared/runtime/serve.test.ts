import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { readBody } from "../../../shared/request-body.ts";
import { createHttpClient } from "../../../shared/runtime/http-client.ts";
import { runChild, signalChild } from "../../support/hub/child.ts";
import { eventually } from "../../support/eventually.ts";
import { call } from "../../support/servers/http.ts";
import { exchangeRaw } from "../../support/servers/raw-http.ts";
import { createServeRig } from "../../support/servers/serve-rig.ts";

const rig = await createServeRig();
const { open } = rig;
after(() => rig.close());

describe("serving", () => {
  it("answers requests at the URL it says", async () => {
    const served = await open();
    assert.equal(served.url, `http://127.0.0.1:${served.port}`);
    const reply = await call(served.url, { body: "abc" });
    assert.deepEqual([reply.status, reply.text], [200, "POST 3"]);
  });

  it("says in a sentence that the port is in use", async () => {
    const served = await open();
    await assert.rejects(open({ port: served.port }), new RegExp(`port ${served.port} is already in use`));
  });

  it("writes an IPv6 host in brackets", async () => {
    const served = await open({ hostname: "::1" });
    assert.equal(served.url, `http://[::1]:${served.port}`);
    assert.equal((await call(served.url)).text, "GET 0");
  });

  it("lets a request in flight end when it closes, though its connection is kept alive", async () => {
    let finish = () => {};
    const finished = new Promise<void>((resolve) => finish = resolve);
    let begun = false;
    const served = await open({
      fetch: async () => {
        begun = true;
        await finished;
        return new Response("done");
      },
    });
    const client = createHttpClient();
    const request = client.send({ method: "GET", origin: served.url, path: "/", headers: {}, timeoutMs: 5_000 });
    await eventually("the request", () => begun);
    const closed = served.close(5_000);
    finish();
    assert.equal(new TextDecoder().decode((await request).body), "done");
    const at = performance.now();
    await closed;
    assert.ok(performance.now() - at < 1_000, "an idle connection held it");
    await client.close();
  });

  it("cuts what has not ended by the deadline", async () => {
    const served = await open({ fetch: () => new Promise(() => {}) });
    const request = call(served.url).then(() => "answered", () => "cut");
    await new Promise((resolve) => setTimeout(resolve, 50));
    const begun = performance.now();
    await served.close(100);
    assert.equal(await request, "cut");
    assert.ok(performance.now() - begun < 2_000);
  });

  it("tells the client's address", async () => {
    const served = await open({ fetch: (_request, exchange) => new Response(exchange?.address) });
    assert.equal((await call(served.url)).text, "127.0.0.1");
  });

  it("answers what is in flight when its process is asked to stop, which then ends with 0", async () => {
    await using server = runChild(new URL("./tiers/serving.ts", import.meta.url), {
      settings: { TIDINGS_LOG_LEVEL: "warning" },
    });
    const [, port] = await server.says(/ready at http:\/\/127\.0\.0\.1:(\d+)/);
    const answer = exchangeRaw(Number(port), "GET / HTTP/1.1\r\nHost: x\r\n\r\n", { untilClosed: true });
    await server.says(/asked/);
    signalChild(server.process, "SIGTERM");
    assert.match((await answer).body, /^answered after the signal/);
    assert.deepEqual(await server.ended, { code: 0, signal: null });
    assert.equal(server.stderr(), "");
  });
});

describe("reading a body", () => {
  it("refuses a Content-Length over the limit before it reads, and a chunked body as soon as it is over", async () => {
    const served = await open({
      fetch: async (request) => {
        try {
          return new Response(String((await readBody(request, { maxBytes: 10 })).length));
        } catch (error) {
          return new Response((error as Error).name, { status: 413 });
        }
      },
    });
    const post = "POST / HTTP/1.1\r\nHost: x\r\n";
    const lies = await exchangeRaw(served.port, `${post}Content-Length: 2000000000\r\n\r\n`);
    assert.equal(lies.status, 413);
    const chunks = `${post}Transfer-Encoding: chunked\r\n\r\n`;
    assert.equal((await exchangeRaw(served.port, `${chunks}b\r\n12345678901\r\n`)).status, 413);
    assert.match((await exchangeRaw(served.port, `${chunks}5\r\n12345\r\n5\r\n67890\r\n0\r\n\r\n`)).body, /10/);
    assert.match((await exchangeRaw(served.port, `${post}Content-Length: 10\r\n\r\n1234567890`)).body, /10/);
  });
});
