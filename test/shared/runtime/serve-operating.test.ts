// The operating listener of a tier: where it is, and what it says when it cannot be there.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { serveOperating } from "../../../shared/runtime/serve-operating.ts";
import { keepLines } from "../../support/rigs/log-lines.ts";
import { call } from "../../support/servers/http.ts";

const hello = () => new Response("hello");

describe("WIRE §8 the operating listener", () => {
  it("takes any free port, and says where it is", async () => {
    const operating = await serveOperating("edge", hello, { host: "127.0.0.1", port: 0 });
    assert.equal((await call(`${operating.url}/`)).text, "hello");
    await operating.close();
  });

  it("warns where it is not on loopback, since it has neither TLS nor sign-in", async () => {
    for (const host of ["127.0.0.1", "0.0.0.0"]) {
      const log = keepLines();
      const operating = await serveOperating("edge", hello, { host, port: 0 }, log);
      await operating.close();
      const warning = `warn TIDINGS_EDGE_OPERATING_LISTEN is not on loopback: ${operating.url} has neither TLS nor ` +
        "sign-in, so keep strangers from it";
      assert.deepEqual(log.lines.slice(1), host === "127.0.0.1" ? [] : [warning]);
    }
  });

  it("is nowhere if it is told so", async () => {
    const operating = await serveOperating("edge", hello, undefined);
    assert.equal(operating.url, undefined);
    await operating.close();
  });

  it("names its setting if the port is taken", async () => {
    const first = await serveOperating("core", hello, { host: "127.0.0.1", port: 0 });
    const port = Number(new URL(first.url!).port);
    await assert.rejects(serveOperating("core", hello, { host: "127.0.0.1", port }), {
      message: `Cannot listen on 127.0.0.1:${port} (TIDINGS_CORE_OPERATING_LISTEN): port ${port} is already in use`,
    });
    await first.close();
  });
});
