import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createBodyBudget } from "../../../edge/limits/body-budget.ts";
import { WORKER_MEMORY } from "../../../edge/limits/memory.ts";
import { HubError } from "../../../edge/answers/hub-error.ts";

const request = (length: string | null) =>
  new Request("http://h/", { method: "POST", headers: length === null ? {} : { "content-length": length } });
const overloaded = (error: unknown) => error instanceof HubError && error.code === "overloaded";

describe("the budget for bodies", () => {
  it("is used up by what is declared, and given back", () => {
    const budget = createBodyBudget(20_000, 4_096);
    const release = budget.reserve(request("15000"), 100_000);
    assert.throws(() => budget.reserve(request("5001"), 100_000), overloaded);
    budget.reserve(request("5000"), 100_000);
    release();
    budget.reserve(request("15000"), 100_000);
  });

  it("counts a body without a length as the longest, and one with a false length as at most that", () => {
    const budget = createBodyBudget(20_000, 4_096);
    budget.reserve(request("2000000000"), 10_000);
    budget.reserve(request(null), 10_000);
    assert.throws(() => budget.reserve(request(null), 10_000), overloaded);
  });

  it("counts every body of a Worker, whose connections nothing bounds", () => {
    const budget = createBodyBudget(10, WORKER_MEMORY.uncountedBytes);
    budget.reserve(request("10"), 100);
    assert.throws(() => budget.reserve(request("1"), 100), overloaded);
    budget.reserve(request("0"), 100);
  });

  it("does not count small bodies", () => {
    const budget = createBodyBudget(0, 4_096);
    for (const length of ["0", "4096", "nonsense"]) budget.reserve(request(length), 100_000);
  });
});
