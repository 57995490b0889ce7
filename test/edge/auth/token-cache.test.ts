import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createTokenCache, ENTRY_BYTES } from "../../../edge/auth/token-cache.ts";

describe("the cache of verified tokens", () => {
  it("never remembers a token past its end", () => {
    let now = 1_000;
    const cache = createTokenCache<string>(() => now, 10_000);
    cache.set("token", "client", 2_000);
    cache.set("over", "client", 1_000);
    assert.equal(cache.get("token"), "client");
    assert.equal(cache.get("over"), undefined);
    now = 1_999;
    assert.equal(cache.get("token"), "client");
    now = 2_000;
    assert.equal(cache.get("token"), undefined);
    assert.equal(cache.size, 0);
  });

  it("§6.7 is bounded by what its tokens take, and forgets what was used least lately", () => {
    const cache = createTokenCache<number>(() => 0, 3 * (10 + ENTRY_BYTES));
    for (const [index, token] of ["a".repeat(10), "b".repeat(10), "c".repeat(10)].entries()) cache.set(token, index, 1);
    assert.equal(cache.get("a".repeat(10)), 0);
    cache.set("d".repeat(10), 3, 1);
    assert.equal(cache.get("b".repeat(10)), undefined);
    assert.equal(cache.get("a".repeat(10)), 0);
    cache.set("e".repeat(31 + 2 * ENTRY_BYTES), 4, 1);
    assert.equal(cache.size, 0, "one that is longer than all there is is not kept");
    for (let index = 0; index < 10_000; index++) cache.set(`t${index}`, index, 1);
    assert.ok(cache.size <= 3, "short ones count, too");
  });

  it("replaces what it knew about a token", () => {
    const cache = createTokenCache<number>(() => 0, 40 + ENTRY_BYTES);
    for (let index = 0; index < 100; index++) cache.set("same", index, 1);
    assert.deepEqual([cache.size, cache.get("same")], [1, 99]);
    cache.forget("same");
    cache.forget("same");
    cache.set("other".repeat(6), 1, 1);
    assert.equal(cache.size, 1);
  });
});
