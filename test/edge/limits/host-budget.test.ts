import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createHostBudget } from "../../../edge/limits/host-budget.ts";

describe("the budget of a requester at a callback host", () => {
  it("is used up by what the host does not confirm, and comes back with time", () => {
    let time = 0;
    const budget = createHostBudget({ places: 3, now: () => time, refillMs: 60_000, mostHosts: 100_000 });
    for (let n = 0; n < 3; n++) assert.ok(budget.take("one", "victim.example"));
    assert.ok(!budget.take("one", "victim.example"));
    time += 19_000;
    assert.ok(!budget.take("one", "victim.example"));
    time += 2_000;
    assert.ok(budget.take("one", "victim.example"));
    assert.ok(!budget.take("one", "victim.example"));
    time += 60_000;
    for (let n = 0; n < 3; n++) assert.ok(budget.take("one", "victim.example"));
  });

  it("is never used up by a host that confirms", () => {
    const budget = createHostBudget({ places: 2, now: () => 0, mostHosts: 100_000 });
    for (let n = 0; n < 1_000; n++) {
      assert.ok(budget.take("one", "partner.example"));
      budget.giveBack("one", "partner.example");
    }
  });

  it("is each host's own, whatever its name", () => {
    const budget = createHostBudget({ places: 1, now: () => 0, mostHosts: 100_000 });
    for (const host of ["a", "b", "__proto__", "constructor", "::1"]) {
      assert.ok(budget.take("one", host), host);
      assert.ok(!budget.take("one", host), host);
    }
  });

  it("is each requester's own: what a stranger spends is not felt", () => {
    const budget = createHostBudget({ places: 10, now: () => 0, mostHosts: 100_000 });
    for (let n = 0; n < 1_000; n++) budget.take("stranger", "partner.example");
    for (let n = 0; n < 10; n++) assert.ok(budget.take("partner", "partner.example"));
    assert.ok(!budget.take("partner", "partner.example"));
  });

  it("H70 is bounded for all requesters together, who share it fairly", () => {
    const budget = createHostBudget({ places: 10, now: () => 0, mostHosts: 100_000 });
    let taken = 0;
    for (let n = 0; n < 30; n++) for (let r = 0; r < 5; r++) taken += Number(budget.take(`${r}`, "victim.example"));
    assert.ok(taken <= 40, `${taken} places of 40`);
    assert.ok(budget.take("another", "victim.example"), "who has none finds one");
    for (let n = 0; n < 1_000; n++) taken += Number(budget.take(`requester ${n}`, "victim.example"));
    assert.ok(taken < 40, `${taken} places of 40, and that of another`);
  });

  it("never grows beyond its size, even if more is given back than was taken", () => {
    const budget = createHostBudget({ places: 1, now: () => 0, mostHosts: 100_000 });
    for (let n = 0; n < 5; n++) budget.giveBack("one", "a");
    assert.ok(budget.take("one", "a"));
    assert.ok(!budget.take("one", "a"));
  });

  it("§6.7 is remembered for a bounded number of hosts, and a new host is never refused for that", () => {
    const budget = createHostBudget({ places: 1, now: () => 0, mostHosts: 10 });
    for (let n = 0; n < 1_000; n++) assert.ok(budget.take("one", `stranger ${n}`));
    assert.ok(!budget.take("one", "stranger 999"), "the last ones are known");
    assert.ok(budget.take("one", "stranger 0"), "the first ones are not");
  });

  it("0 is no limit", () => {
    const budget = createHostBudget({ places: 0, now: () => 0, mostHosts: 100_000 });
    for (let n = 0; n < 1_000; n++) assert.ok(budget.take("one", "a"));
  });
});
