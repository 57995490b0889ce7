import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createMemoryBudget } from "../../../core/missed/memory-budget.ts";

const never = new AbortController().signal;
/** What a promise has resolved to after everything that was ready has run. */
async function now<T>(promise: Promise<T>): Promise<T | "waits"> {
  return await Promise.race([promise, new Promise<"waits">((resolve) => setImmediate(resolve, "waits"))]);
}

describe("§6.7 the budget of what is read", () => {
  it("grants what fits at once, and the rest in the order of asking", async () => {
    const budget = createMemoryBudget(100);
    const one = await budget.reserve(60, never);
    const two = budget.reserve(60, never);
    const three = budget.reserve(10, never);
    assert.deepEqual([await now(two), await now(three), budget.reserved], ["waits", "waits", 60]);
    one?.resize(30);
    assert.notEqual(await now(two), "waits");
    assert.notEqual(await now(three), "waits");
    assert.equal(budget.reserved, 100);
  });

  it("releases once, and lets a reservation grow over the bound", async () => {
    const budget = createMemoryBudget(100);
    const one = await budget.reserve(10, never);
    one?.resize(150);
    assert.equal(budget.reserved, 150);
    const two = budget.reserve(1, never);
    assert.equal(await now(two), "waits");
    one?.release();
    one?.release();
    assert.notEqual(await now(two), "waits");
    assert.equal(budget.reserved, 1);
  });

  it("grants a request larger than the whole budget when it is the only one", async () => {
    const budget = createMemoryBudget(100);
    const large = await budget.reserve(1_000, never);
    const small = budget.reserve(1, never);
    assert.equal(await now(small), "waits");
    large?.release();
    assert.notEqual(await now(small), "waits");
  });

  it("forgets an aborted request, and grants those behind it", async () => {
    const budget = createMemoryBudget(100);
    const first = await budget.reserve(50, never);
    const impatient = new AbortController();
    const large = budget.reserve(90, impatient.signal);
    const small = budget.reserve(20, never);
    assert.equal(await now(small), "waits");
    impatient.abort();
    assert.equal(await large, undefined);
    assert.notEqual(await now(small), "waits");
    first?.release();
    assert.equal(budget.reserved, 20);
    assert.equal(await budget.reserve(1, impatient.signal), undefined);
  });
});
