import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { DeadlineList, type Timed, TimerWheel } from "../../../../core/delivery/sending/timers.ts";

class Item implements Timed {
  deadline = 0;
  previous: Timed | undefined;
  next: Timed | undefined;
  readonly name: number;
  constructor(name: number) {
    this.name = name;
  }
}

describe("a list of equal deadlines", () => {
  it("yields what is due, in order, once", () => {
    const list = new DeadlineList<Item>(100);
    const [one, two, three] = [new Item(1), new Item(2), new Item(3)];
    list.add(one, 0);
    list.add(two, 10);
    list.add(three, 50);
    assert.deepEqual(list.due(99), []);
    assert.deepEqual(list.due(110), [one, two]);
    assert.deepEqual(list.due(110), []);
    assert.equal(list.empty, false);
    assert.deepEqual(list.due(1_000), [three]);
    assert.equal(list.empty, true);
  });

  it("an item removed twice, or never added, does no harm", () => {
    const list = new DeadlineList<Item>(1);
    const [one, two, stranger] = [new Item(1), new Item(2), new Item(3)];
    list.add(one, 0);
    list.add(two, 0);
    list.remove(stranger);
    list.remove(one);
    list.remove(one);
    assert.deepEqual(list.due(10), [two]);
    list.remove(two);
    assert.equal(list.empty, true);
  });

  it("an item may go from one list to another", () => {
    const [heads, bodies] = [new DeadlineList<Item>(10), new DeadlineList<Item>(5)];
    const items = [1, 2, 3].map((name) => new Item(name));
    for (const item of items) heads.add(item, 0);
    heads.remove(items[1]!);
    bodies.add(items[1]!, 1);
    assert.deepEqual(bodies.due(6), [items[1]]);
    assert.deepEqual(heads.due(10), [items[0], items[2]]);
  });

  it("keeps what a plain array would, over random sequences", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constantFrom("add" as const, "remove" as const), which: fc.nat(9) }),
      fc.record({ kind: fc.constant("due" as const), which: fc.nat(9) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
        const list = new DeadlineList<Item>(5);
        const items = Array.from({ length: 10 }, (_, name) => new Item(name));
        let plain: Item[] = [];
        for (const [now, { kind, which }] of steps.entries()) {
          const item = items[which]!;
          if (kind === "add" && !plain.includes(item)) {
            list.add(item, now);
            plain.push(item);
          } else if (kind === "remove") {
            list.remove(item);
            plain = plain.filter((other) => other !== item);
          } else if (kind === "due") {
            assert.deepEqual(list.due(now).map(({ name }) => name), names(plain, now));
            plain = plain.filter((other) => other.deadline > now);
          }
          assert.equal(list.empty, plain.length === 0);
        }
        assert.deepEqual(list.due(Infinity).map(({ name }) => name), names(plain, Infinity));
      }),
      { numRuns: 500 },
    );
    function names(items: readonly Item[], now: number) {
      return items.filter((item) => item.deadline <= now).map(({ name }) => name);
    }
  });
});

describe("the timer wheel", () => {
  it("wakes nothing early, and everything within a tick", () => {
    const wheel = new TimerWheel<string>(20, 1_000);
    wheel.add("a", 1_050);
    assert.deepEqual(wheel.due(1_049), []);
    assert.deepEqual(wheel.due(1_059), []);
    assert.deepEqual(wheel.due(1_060), ["a"]);
  });

  it("wakes what was due already at the next tick", () => {
    const wheel = new TimerWheel<string>(20, 1_000);
    wheel.add("late", 3);
    assert.deepEqual(wheel.due(1_000), []);
    assert.deepEqual(wheel.due(1_020), ["late"]);
  });

  it("wakes everything after a pause of the process, oldest first", () => {
    const wheel = new TimerWheel<string>(20, 0);
    wheel.add("second", 5_000);
    wheel.add("first", 100);
    wheel.add("never", 1e12);
    assert.deepEqual(wheel.due(1e9), ["first", "second"]);
    assert.deepEqual(wheel.due(1e9 + 20), []);
  });

  it("wakes each item once and never early, over random times", () => {
    const times = fc.array(fc.nat(2_000), { maxLength: 40, size: "max" });
    fc.assert(
      fc.property(times, fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 30 }), (at, steps) => {
        const wheel = new TimerWheel<number>(20, 0);
        for (const [index, time] of at.entries()) wheel.add(index, time);
        const woken = new Set<number>();
        let now = 0;
        for (const step of [...steps, 3_000]) {
          now += step;
          for (const index of wheel.due(now)) {
            assert.ok(!woken.has(index));
            assert.ok(at[index]! <= now, "early");
            woken.add(index);
          }
          for (const [index, time] of at.entries()) {
            if (time <= now - 40) assert.ok(woken.has(index), `${time} is not woken at ${now}`);
          }
        }
        assert.equal(woken.size, at.length);
      }),
      { numRuns: 500 },
    );
  });

  it("goes on when the clock is set back", () => {
    const wheel = new TimerWheel<string>(20, 3_600_000);
    wheel.add("far", 3_700_000);
    assert.deepEqual(wheel.due(3_600_020), []);
    assert.deepEqual(wheel.due(50), []);
    // An hour back: what is put in now is due by the clock as it is now.
    wheel.add("near", 100);
    assert.deepEqual(wheel.due(80), []);
    assert.deepEqual(wheel.due(120), ["near"]);
    assert.deepEqual(wheel.clear(), ["far"]);
    assert.deepEqual(wheel.due(Infinity), []);
  });
});
