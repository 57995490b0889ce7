import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fuzz } from "./fuzz.ts";

describe("fuzzing a hub", () => {
  it("20,000 requests to edge and core: no 5xx but a meant 503, no crash, no growth, and a bystander notices nothing", async () => {
    const { statuses, failures } = await fuzz({ requests: 20_000, seed: 20_261_124 });
    assert.deepEqual(failures, []);
    // It reached what it was to reach, or it would prove little.
    for (const status of [200, 202, 400, 401, 404, 405, 413]) {
      assert.ok(statuses.edge.has(status), `edge: no ${status} at all`);
    }
    for (const status of [200, 400, 401, 404]) assert.ok(statuses.core.has(status), `core: no ${status} at all`);
  });
});
