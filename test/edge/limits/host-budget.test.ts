import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createHostBudget } from "../../../edge/limits/host-budget.ts";

describe("the budget of a callback host", () => {
  it("is used up by what the host does not confirm, and comes back with time", () => {
    let time = 0;
    const budget = createHostBudget({ places: 3, now: () => time, refillMs: 60_000, mostHosts: 100_000 });
    for (let n = 0; n < 3; n++) assert.ok(budget.take("victim.example"));
    assert.ok(!budget.take("victim.example"));
    time += 19_000;
    assert.ok(!budget.take("victim.example"));
    time += 2_000;
    assert.ok(budget.take("victim.example"));
    assert.ok(!budget.take("victim.example"));
    time += 60_000;
    for (let n = 0; n < 3; n++) assert.ok(budget.take("victim.example"));
  });

  it("is never used up by a host that confirms", () => {
    const budget = createHostBudget({ places: 2, now: () => 0, mostHosts: 100_000 });
    for (let n = 0; n < 1_000; n++) {
      assert.ok(budget.take("partner.example"));
      budget.giveBack("partner.example");
    }
  });

  it("is each host's own, whatever its name", () => {
    const budget = createHostBudget({ places: 1, now: () => 0, mostHosts: 100_000 });
    for (const host of ["a", "b", "__proto__", "constructor", "::1"]) {
      assert.ok(budget.take(host), host);
      assert.ok(!budget.take(host), host);
    }
  });

  it("is the same for a name with a dot at the end", () => {
    const budget = createHostBudget({ places: 1, now: () => 0, mostHosts: 100_000 });
    assert.ok(budget.take("victim.example"));
    assert.ok(!budget.take("victim.example."));
    budget.giveBack("victim.example.");
    assert.ok(budget.take("victim.example"));
  });

  it("never grows beyond its size, even if more is given back than was taken", () => {
    const budget = createHostBudget({ places: 1, now: () => 0, mostHosts: 100_000 });
    for (let n = 0; n < 5; n++) budget.giveBack("a");
    assert.ok(budget.take("a"));
    assert.ok(!budget.take("a"));
  });

  it("§6.7 is remembered for a bounded number of hosts, and a new host is never refused for that", () => {
    const budget = createHostBudget({ places: 1, now: () => 0, mostHosts: 10 });
    for (let n = 0; n < 1_000; n++) assert.ok(budget.take(`stranger ${n}`));
    assert.ok(!budget.take("stranger 999"), "the last ones are known");
    assert.ok(budget.take("stranger 0"), "the first ones are not");
  });

  it("0 is no limit", () => {
    const budget = createHostBudget({ places: 0, now: () => 0, mostHosts: 100_000 });
    for (let n = 0; n < 1_000; n++) assert.ok(budget.take("a"));
  });
});
