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

  it("takes the oldest body that still comes from who has most, for who has less", () => {
    const budget = createBodyBudget({ most: 1_000, uncountedBytes: 0 });
    const lost: string[] = [];
    const open = (name: string) => {
      const room = budget.open(of(name.slice(0, 1)));
      room.onLost?.(() => lost.push(name));
      return room;
    };
    // One after the other, each takes what the one before has left, as far as its share goes.
    for (const [requester, bodies] of [["a", 10], ["b", 5], ["c", 2], ["d", 1], ["e", 1]] as const) {
      for (let n = 0; n < bodies; n++) assert.ok(open(`${requester}${n}`).take(50));
    }
    assert.deepEqual(lost, []);
    const good = open("good");
    for (let part = 0; part < 5; part++) assert.ok(good.take(30), String(part));
    assert.deepEqual(lost, ["a0", "a1", "a2", "a3"].slice(0, lost.length));
    assert.ok(lost.length > 1);
    assert.ok(!open("b more").take(500), "nobody has more than that");
  });

  it("leaves a body alone that has come", () => {
    const budget = createBodyBudget({ most: 100, uncountedBytes: 0 });
    const whole = budget.open(of("most"));
    whole.onLost?.(() => assert.fail("it has come"));
    assert.ok(whole.take(100));
    whole.settle();
    assert.ok(!budget.open(of("other")).take(10));
    whole.release();
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
