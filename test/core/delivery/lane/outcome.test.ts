import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { backoffMs, failureOf, type Outcome, outcomeOf } from "../../../../core/delivery/lane/outcome.ts";

const NOW = Date.UTC(2026, 0, 1);

describe("the outcome of an attempt (WIRE §3)", () => {
  const KINDS: Record<Outcome["kind"], readonly number[]> = {
    delivered: [200, 201, 202, 203, 204, 206, 299],
    gone: [410],
    refused: [400, 413, 415, 422, 431, 494],
    retry: [
      300,
      301,
      302,
      303,
      304,
      307,
      308,
      401,
      403,
      404,
      405,
      406,
      408,
      409,
      411,
      412,
      414,
      416,
      418,
      421,
      423,
      424,
    ]
      .concat([425, 426, 428, 429, 451, 499, 500, 501, 502, 503, 504, 507, 511, 599, 600, 999]),
  };
  for (const [kind, statuses] of Object.entries(KINDS)) {
    it(`is "${kind}" for ${statuses.join(", ")}`, () => {
      for (const status of statuses) {
        const outcome = outcomeOf(status, undefined, NOW);
        assert.equal(outcome.kind, kind, String(status));
        if (outcome.kind === "retry" || outcome.kind === "refused") {
          assert.equal(outcome.status, status);
          assert.equal(outcome.reason, `answered ${status}`);
          assert.ok(!("notBefore" in outcome));
        }
      }
    });
  }

  it("is a retry with its reason where no answer came", () => {
    assert.deepEqual(failureOf("timed out"), { kind: "retry", reason: "timed out", status: 0 });
  });

  it("carries what Retry-After asks for, where the answer means another time", () => {
    const asked = (status: number) => {
      const outcome = outcomeOf(status, "7", NOW);
      return outcome.kind === "retry" ? outcome.notBefore : undefined;
    };
    assert.equal(asked(503), NOW + 7_000);
    assert.equal(asked(429), NOW + 7_000);
    assert.equal(asked(422), undefined);
    assert.equal(asked(200), undefined);
  });
});

describe("backoff (WIRE §4)", () => {
  const policy = { minMs: 1_000, maxMs: 300_000 };

  it("gap n is within 0 … min(RETRY_MAX, RETRY_MIN·2ⁿ)", () => {
    const bounds = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000, 300_000];
    for (const [failure, bound] of bounds.entries()) {
      assert.equal(backoffMs(policy, failure, 0), 0);
      assert.equal(backoffMs(policy, failure, 0.5), bound / 2);
      assert.ok(backoffMs(policy, failure, 1 - Number.EPSILON) <= bound);
    }
  });

  it("stays at its bound for ever", () => {
    for (const failure of [40, 41, 1_023, 1_024, 1e9]) assert.equal(backoffMs(policy, failure, 0.5), 150_000);
  });
});
