import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createBodyBudget } from "../../../edge/limits/body-budget.ts";
import { type MemoryBounds, PROCESS_MEMORY, WORKER_MEMORY } from "../../../edge/limits/memory.ts";
import { HubError } from "../../../edge/answers/hub-error.ts";

const request = (length: string | null) =>
  new Request("http://h/", { method: "POST", headers: length === null ? {} : { "content-length": length } });
/** A budget whose time stands still. */
const budgetOf = (most: number, { uncountedBytes, lostAfterMs }: MemoryBounds) =>
  createBodyBudget({ most, uncountedBytes, lostAfterMs, now: () => 0 });
const overloaded = (error: unknown) => error instanceof HubError && error.code === "overloaded";

describe("the budget for bodies", () => {
  it("is used up by what is declared, and given back", () => {
    const budget = budgetOf(20_000, PROCESS_MEMORY);
    const release = budget.reserve(request("15000"), 100_000);
    assert.throws(() => budget.reserve(request("5001"), 100_000), overloaded);
    budget.reserve(request("5000"), 100_000);
    release();
    budget.reserve(request("15000"), 100_000);
  });

  it("counts a body without a length as the longest, and one with a false length as at most that", () => {
    const budget = budgetOf(20_000, PROCESS_MEMORY);
    budget.reserve(request("2000000000"), 10_000);
    budget.reserve(request(null), 10_000);
    assert.throws(() => budget.reserve(request(null), 10_000), overloaded);
  });

  it("counts every body of a Worker, whose connections nothing bounds", () => {
    const budget = budgetOf(10, WORKER_MEMORY);
    budget.reserve(request("10"), 100);
    assert.throws(() => budget.reserve(request("1"), 100), overloaded);
    budget.reserve(request("0"), 100);
  });

  it("does not count small bodies", () => {
    const budget = budgetOf(0, PROCESS_MEMORY);
    for (const length of ["0", "4096", "nonsense"]) budget.reserve(request(length), 100_000);
  });
});
