import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CORE_ENDPOINTS } from "./core-requests.ts";
import type { Credential } from "./drafts.ts";
import { EDGE_ENDPOINTS, SIGNED_ENDPOINTS } from "./edge-requests.ts";
import { fuzz } from "./fuzz.ts";

describe("fuzzing a hub", () => {
  it("10,000 requests to edge and core, with tokens valid, stale and forged: no 5xx but a meant 503, nobody let in, no crash, no growth, and a bystander notices nothing", async () => {
    const { statuses, streams, failures } = await fuzz({ requests: 10_000, warmUp: 10_000, seed: 20_261_124 });
    assert.deepEqual(failures, []);
    // The fuzz reached every endpoint, or it would prove little.
    assert.deepEqual([...statuses.edge.keys()].toSorted(), [...EDGE_ENDPOINTS, "other"].toSorted());
    assert.deepEqual([...statuses.core.keys()].toSorted(), [...CORE_ENDPOINTS, "other"].toSorted());
    const came = (tier: "edge" | "core", endpoint: string, credential: Credential, ...wanted: readonly number[]) => {
      // A path and its other name under /hub are one route, so what came of one came of both.
      const names = [endpoint, endpoint.replace(" /", " /hub/"), endpoint.replace(" /hub/", " /")];
      for (const status of wanted) {
        const has = names.some((name) => statuses[tier].get(name)?.get(credential)?.has(status));
        assert.ok(has, `no ${status} of ${endpoint}, ${credential}`);
      }
    };
    came("edge", "POST /hub", "valid", 200, 202, 204, 400, 403, 413);
    for (const endpoint of EDGE_ENDPOINTS) {
      if (/healthz|readyz|actuator|^OPTIONS|^GET \/(?:hub)?$/.test(endpoint)) continue;
      for (const credential of ["none", "stale", "forged", "broken"] as const) came("edge", endpoint, credential, 401);
      if (SIGNED_ENDPOINTS.includes(endpoint)) came("edge", endpoint, "signed", 200, 400, 401);
      else came("edge", endpoint, "valid", 200, 400, 403);
    }
    for (const endpoint of CORE_ENDPOINTS.slice(1, -2)) {
      for (const credential of ["none", "stale", "forged", "broken"] as const) came("core", endpoint, credential, 401);
      came("core", endpoint, "valid", 200, 400);
    }
    came("core", CORE_ENDPOINTS[0]!, "valid", 200);
    for (const credential of ["stale", "forged", "broken"] as const) came("core", CORE_ENDPOINTS[0]!, credential, 401);
    assert.ok(streams.edge > 0 && streams.core > 0, JSON.stringify(streams));
  });
});
