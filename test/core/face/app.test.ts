import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CORE_PATHS, type CoreRefusal } from "../../../shared/core-api.ts";
import { call } from "../../support/servers/http.ts";
import { onSharedCore } from "../../support/rigs/shared-core.ts";

describe("the core's app", { timeout: 60_000 }, () => {
  onSharedCore({}, (core) => {
    it("a body over 4 MiB is 413", async () => {
      const reply = await core().raw(JSON.stringify({ kind: "register", padding: "x".repeat(4 * 1024 * 1024) }));
      assert.equal(reply.status, 413);
    });

    it("other paths are 404 for a known edge", async () => {
      for (const path of ["/", CORE_PATHS.operations]) assert.equal((await core().call(path)).status, 404, path);
    });

    it("ARCHITECTURE §5 every request without a session is refused and counted", async () => {
      const paths = [...Object.values(CORE_PATHS), "/", "/v1", "/console", "/metrics/x"];
      for (const path of paths) {
        for (const method of ["GET", "POST", "DELETE", "OPTIONS"]) {
          const reply = await call(`${core().url}${path}`, { method, body: method === "POST" ? "{}" : undefined! });
          assert.equal(reply.status, 401, `${method} ${path}`);
          assert.equal((JSON.parse(reply.text) as CoreRefusal).code, "no_session");
        }
      }
      const text = await core().metrics();
      const refused = /tidings_edge_refused_total\{[^}]*reason="no_session"[^}]*\} (\d+)/.exec(text)?.[1];
      assert.ok(Number(refused) >= paths.length * 4 - 1, text);
    });

    it("WIRE §8 answers probes to anyone, and figures to operators alone", async () => {
      assert.equal((await call(`${core().url}/healthz`)).status, 200);
      assert.equal((await call(`${core().url}/readyz`)).status, 200);
      assert.equal((await core().raw("{")).status, 400);
      assert.equal((await call(`${core().url}/metrics`)).status, 401);
      const operating = (path: string, method = "GET") =>
        core().core.operating(new Request(`http://core.test${path}`, { method }));
      for (const path of ["/healthz", "/readyz"]) assert.equal((await operating(path)).status, 200);
      assert.equal((await operating("/metrics", "POST")).status, 405);
      assert.equal((await operating("/v1/operations")).status, 404);
      const text = await (await operating("/metrics")).text();
      for (
        const name of ["requests_total", "deliveries", "lanes", "lag_records", "subscriptions", "events_set_aside"]
      ) {
        assert.match(text, new RegExp(`^tidings_${name}`, "m"));
      }
      assert.match(text, /tidings_requests_total\{.*route="operations",status="400".*\} [1-9]/);
    });
  });
});
