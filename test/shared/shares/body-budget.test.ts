import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createBodyBudget } from "../../../shared/shares/body-budget.ts";
import type { Claim } from "../../../shared/shares/standing.ts";

const of = (requester: string) => (): Claim => ({ requester, host: "", standing: "new" });

describe("§6.7 the budget for bodies", () => {
  it("counts what has come, by requester, and gives it back once", () => {
    const budget = createBodyBudget({ most: 20_000, uncountedBytes: 0 });
    const slow = Array.from({ length: 1_000 }, () => budget.open(of("slow")));
    assert.ok(slow.every((room) => room.take(0)), "what has not come takes nothing");
    const greedy = budget.open(of("greedy"));
    assert.ok(greedy.take(10_000));
    assert.ok(!greedy.take(1), "no more than is free");
    const other = budget.open(of("other"));
    assert.ok(other.take(5_000));
    greedy.release();
    greedy.release();
    assert.ok(!greedy.take(1), "what was given back does not grow");
    assert.ok(other.take(5_000));
  });

  it("does not count the beginning of a body", () => {
    const budget = createBodyBudget({ most: 10, uncountedBytes: 4_096 });
    const rooms = Array.from({ length: 100 }, () => budget.open(of("many")));
    assert.ok(rooms.every((room) => room.take(4_000) && room.take(96)));
    assert.ok(!rooms[0]!.take(11));
    assert.ok(rooms[0]!.take(1));
  });

  it("has nothing for what still comes of a body that was given up", () => {
    const budget = createBodyBudget({ most: 10, uncountedBytes: 0 });
    const slow = budget.open(of("slow"));
    slow.release();
    assert.ok(!slow.take(10), "nobody would give it back");
    assert.ok(budget.open(of("other")).take(10));
  });

  it("has again what a dropped request held", () => {
    const clock = { time: 0 };
    const lost = { now: () => clock.time, afterMs: 1_000 };
    const budget = createBodyBudget({ most: 10, uncountedBytes: 0, lost });
    const dropped = budget.open(of("a"));
    assert.ok(dropped.take(10));
    clock.time = 1_000;
    assert.ok(budget.open(of("b")).take(10));
    assert.ok(!dropped.take(1));
    dropped.release();
    assert.ok(!budget.open(of("c")).take(1));
  });
});
