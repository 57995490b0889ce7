import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import { operationId } from "../../support/rigs/core-rig.ts";
import { events, onSharedCore, pair, stateOf } from "../../support/rigs/shared-core.ts";
import { resultOf } from "../../support/rigs/test-core.ts";

describe("§6.6 an operation from an edge", { timeout: 60_000 }, () => {
  onSharedCore({}, (core) => {
    const good = () => ({ id: operationId(), madeAt: core().clock(), ...pair() });
    const intent = () => ({ kind: "intent", mode: "subscribe", ...good() });

    it("A3.8 an operation that was made over 90 s ago is stale", async () => {
      const { topic } = pair();
      const made = (agoMs: number) => ({ kind: "register", topic, madeAt: core().clock() - agoMs }) as const;
      assert.equal((await core().operate(made(85_000))).status, 200);
      const { status, refusal } = await core().operate(made(91_000));
      assert.deepEqual([status, refusal.code], [409, "stale_operation"]);
    });

    const WRONG: readonly (readonly [field: RegExp, change: object])[] = [
      [/kind/, { kind: "delete" }],
      [/kind/, { kind: undefined }],
      [/\bid\b/, { id: "" }],
      [/\bid\b/, { id: "a b" }],
      [/\bid\b/, { id: "x".repeat(65) }],
      [/madeAt/, { madeAt: "now" }],
      [/madeAt/, { madeAt: 1.5 }],
      [/mode/, { mode: "Subscribe" }],
      [/topic/, { topic: undefined }],
      [/topic/, { topic: "" }],
      [/topic/, { topic: 7 }],
      [/topic/, { topic: "x".repeat(16_385) }],
      [/topic/, { topic: "lone \ud800" }],
      [/callback/, { callback: undefined }],
      [/callback/, { callback: "/relative" }],
      [/callback/, { callback: "ftp://example.com/" }],
      [/callback/, { callback: "http://user:password@example.com/" }],
      [/callback/, { callback: "http://example.com/\ud800" }],
      [/leaseMs/, { leaseMs: 0 }],
      [/leaseMs/, { leaseMs: -1 }],
      [/leaseMs/, { leaseMs: 1e16 }],
      [/leaseMs/, { leaseMs: null }],
      [/secret/, { secret: "é".repeat(100) }],
      [/secret/, { secret: 5 }],
      [/concurrency/, { concurrency: 0 }],
      [/concurrency/, { concurrency: 65 }],
      [/verifyToken/, { verifyToken: "x".repeat(4_097) }],
      [/start/, { start: "x".repeat(257) }],
      [/elapsedMs/, { ...resultOf("i", "subscribe", "t", "http://a.example/", true), elapsedMs: -1 }],
      [/elapsedMs/, { ...resultOf("i", "subscribe", "t", "http://a.example/", true), elapsedMs: 1e300 }],
      [/verified/, { ...resultOf("i", "subscribe", "t", "http://a.example/", true), verified: "yes" }],
      [/intent/, { ...resultOf("i", "subscribe", "t", "http://a.example/", true), intent: "a b" }],
      [/topics/, { kind: "ping", topics: [] }],
      [/topics/, { kind: "ping", topics: "t" }],
      [/topics/, { kind: "ping", topics: ["\udfff"] }],
      [/topics/, { kind: "ping", topics: Array.from({ length: 1_001 }, () => "t") }],
    ];
    for (const [field, change] of WRONG) {
      it(`${inspect(change, { breakLength: Infinity }).slice(0, 60)} is 400 and named`, async () => {
        const before = await events(core());
        const reply = await core().raw(JSON.stringify({ ...intent(), ...change }));
        assert.equal(reply.status, 400, reply.text);
        const { code, message } = JSON.parse(reply.text) as { code: string; message: string };
        assert.equal(code, "invalid_request");
        assert.match(message, field);
        assert.equal(await events(core()), before, "nothing was written");
      });
    }

    it("a body that is not JSON, or has another shape, is 400", async () => {
      for (const body of ["", "{", "null", "[]", '"x"', "7", Buffer.from([0xff, 0xfe]), "{}"]) {
        assert.equal((await core().raw(body)).status, 400, String(body));
      }
    });

    it("no JSON causes a 5xx, and what is accepted is folded", async () => {
      const value = fc.oneof(
        { withCrossShrink: true },
        fc.jsonValue(),
        fc.string({ unit: "binary" }),
        fc.constantFrom("subscribe", "http://127.0.0.1:9/fuzz", "earliest", 0, -1, 1e308, "\ud800"),
      );
      const keys = [
        "mode",
        "topic",
        "topics",
        "callback",
        "leaseMs",
        "secret",
        "verifyToken",
        "concurrency",
        "start",
        "intent",
        "verified",
        "elapsedMs",
        "reason",
        "id",
        "madeAt",
        "__proto__",
      ];
      const operation = fc.tuple(
        fc.constantFrom("register", "deregister", "intent", "result", "ping"),
        fc.array(fc.tuple(fc.constantFrom(...keys), value), { maxLength: 4 }),
      );
      await fc.assert(
        fc.asyncProperty(operation, async ([kind, changes]) => {
          const base = { ...intent(), kind, topics: [pair().topic], intent: "i", verified: true, elapsedMs: 0 };
          const reply = await core().raw(JSON.stringify({ ...base, ...Object.fromEntries(changes) }));
          assert.ok(reply.status < 500, `${reply.status} ${reply.text}`);
        }),
        { numRuns: 300 },
      );
      const { topic, callback } = pair();
      await core().subscribe(topic, callback);
      assert.equal(await stateOf(core(), topic, callback), "active");
      assert.deepEqual(core().core.engine.ownership.shards.map(({ setAside }) => setAside), [0]);
    });
  });
});
