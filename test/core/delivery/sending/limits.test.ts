import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Lane } from "../../../../core/delivery/lane/lane.ts";
import {
  IN_FLIGHT,
  Limits,
  MOST_IN_FLIGHT,
  PER_ORIGIN,
  Queue,
  SUSPECTS_IN_FLIGHT,
  SUSPECTS_PER_ORIGIN,
} from "../../../../core/delivery/sending/limits.ts";
import { laneOf } from "../../../support/rigs/lanes.ts";

function laneAt(origin: string, suspect = false): Lane {
  const lane = laneOf({ callback: `http://${origin}.example/` });
  if (suspect) lane.suspect();
  return lane;
}
const keyOf = (lane: Lane) => lane.target.url.origin;

/** Enters lanes of an origin of their own each, until one is refused. */
function fill(limits: Limits, suspect: boolean, most = 5_000): Lane[] {
  const entered: Lane[] = [];
  while (entered.length < most && !limits.full) {
    const lane = laneAt(`o${entered.length}${suspect}`, suspect);
    if (!limits.enter(lane)) break;
    entered.push(lane);
  }
  return entered;
}

describe("limits of what is in flight", () => {
  it("ARCHITECTURE §4 attempts beside the lanes take the suspects' places only, and give them back", () => {
    const limits = new Limits();
    const keys = Array.from({ length: SUSPECTS_IN_FLIGHT }, (_, n) => `http://o${n}.example`);
    for (const key of keys) assert.equal(limits.enterReplay(key), true);
    assert.equal(limits.enterReplay("http://another.example"), false);
    assert.equal(fill(limits, false).length, IN_FLIGHT);
    for (const key of keys) limits.leave(key, true);
    assert.equal(limits.inFlight, IN_FLIGHT);
    const origins = new Map();
    const single = new Limits(origins);
    let taken = 0;
    while (single.enterReplay("http://one.example")) taken++;
    assert.equal(taken, SUSPECTS_PER_ORIGIN);
    for (let n = 0; n < taken; n++) single.leave("http://one.example", true);
    assert.deepEqual([single.inFlight, origins.size], [0, 0]);
  });

  it("ARCHITECTURE §4 lanes that fail or are slow hold a bounded share, and the rest all of theirs", () => {
    const limits = new Limits();
    assert.equal(fill(limits, true).length, SUSPECTS_IN_FLIGHT);
    assert.equal(limits.full, false);
    assert.equal(fill(limits, false).length, IN_FLIGHT);
    assert.equal(limits.full, true);
  });

  it("ARCHITECTURE §4 attempts that turn out slow leave their places to others, up to a bound for all", () => {
    const limits = new Limits();
    for (let round = 0; round * IN_FLIGHT < MOST_IN_FLIGHT; round++) {
      const entered = fill(limits, false);
      assert.equal(entered.length, IN_FLIGHT);
      for (const lane of entered) limits.slow(keyOf(lane));
    }
    assert.equal(limits.inFlight, MOST_IN_FLIGHT);
    assert.equal(limits.full, true);
  });

  it("one origin holds a bounded share, and its suspects a part of that", () => {
    const limits = new Limits();
    const enter = (suspect: boolean) => limits.enter(laneAt("one", suspect));
    for (let index = 0; index < SUSPECTS_PER_ORIGIN; index++) assert.equal(enter(true), true);
    assert.equal(enter(true), false);
    for (let index = SUSPECTS_PER_ORIGIN; index < PER_ORIGIN; index++) assert.equal(enter(false), true);
    assert.equal(enter(false), false);
    assert.equal(limits.enter(laneAt("two")), true);
  });

  it("a lane that found no place gets one back as soon as one is free, the healthy first", () => {
    const limits = new Limits();
    const entered = Array.from({ length: PER_ORIGIN }, () => laneAt("one"));
    for (const lane of entered) assert.equal(limits.enter(lane), true);
    const [suspect, healthy] = [laneAt("one", true), laneAt("one")];
    assert.equal(limits.enter(suspect), false);
    assert.equal(limits.enter(healthy), false);
    // A place for suspects is kept even where the healthy take all there is.
    assert.deepEqual(limits.leave(keyOf(healthy), false), [suspect]);
    assert.equal(limits.enter(suspect), true);
    assert.deepEqual(limits.leave(keyOf(healthy), false), [healthy]);
  });

  it("a suspect waits for a free share, and its turn comes with the first that is", () => {
    const limits = new Limits();
    const entered = fill(limits, true, SUSPECTS_IN_FLIGHT);
    const late = laneAt("late", true);
    assert.equal(limits.enter(late), false);
    assert.deepEqual(limits.wake(), []);
    assert.deepEqual(limits.leave(keyOf(entered[0]!), true), [late]);
    assert.equal(limits.enter(late), true);
  });

  it("an origin that asked for a pause has half, and regains one with each success", () => {
    const limits = new Limits();
    const lane = laneAt("one");
    limits.enter(lane);
    const key = keyOf(lane);
    for (let times = 0; times < 20; times++) limits.ease(key);
    limits.leave(key, false);
    assert.equal(limits.enter(laneAt("one")), true);
    assert.equal(limits.enter(laneAt("one")), false);
    limits.trust(key);
    assert.equal(limits.enter(laneAt("one")), true);
    assert.equal(limits.enter(laneAt("one")), false);
  });

  it("an origin that is no longer called regains all places in seconds, and is forgotten", () => {
    const origins = new Map();
    const limits = new Limits(origins);
    const lane = laneAt("one");
    limits.enter(lane);
    for (let times = 0; times < 20; times++) limits.ease(keyOf(lane));
    limits.leave(keyOf(lane), false);
    assert.equal(origins.size, 1);
    for (let tick = 0; tick < PER_ORIGIN; tick++) limits.wake();
    assert.equal(origins.size, 0);
  });

  it("leaks no place and forgets no lane, over random sequences", () => {
    const step = fc.record({
      kind: fc.constantFrom("enter", "leave", "slow", "wake", "ease", "trust"),
      which: fc.nat(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200, size: "max" }), (steps) => {
        const origins = new Map();
        const limits = new Limits(origins);
        const inside: { lane: Lane; wasSuspect: boolean }[] = [];
        const ready: Lane[] = Array.from({ length: 40 }, (_, index) => laneAt(`o${index % 3}`, index % 4 === 0));
        const waiting = new Set<Lane>();
        const again = (lanes: readonly Lane[]) => {
          for (const lane of lanes) {
            assert.ok(waiting.delete(lane), "a lane came back that did not wait");
            ready.push(lane);
          }
        };
        const leave = (which: number) => {
          const [left] = inside.splice(which % Math.max(1, inside.length), 1);
          if (left === undefined) return;
          again(limits.leave(keyOf(left.lane), left.wasSuspect));
          ready.push(left.lane);
        };
        for (const { kind, which } of steps) {
          const key = `http://o${which % 3}.example:80`;
          if (kind === "wake") again(limits.wake());
          else if (kind === "ease") { for (let times = 0; times < 7; times++) limits.ease(key); }
          else if (kind === "trust") limits.trust(key);
          else if (kind === "leave") leave(which);
          else if (kind === "slow") {
            const one = inside[which % Math.max(1, inside.length)];
            if (one === undefined || one.wasSuspect) continue;
            one.wasSuspect = true;
            limits.slow(keyOf(one.lane));
          } else {
            const lane = ready.shift();
            if (lane === undefined) continue;
            if (limits.enter(lane)) inside.push({ lane, wasSuspect: lane.health.isSuspect });
            else waiting.add(lane);
          }
          assert.equal(limits.inFlight, inside.length);
        }
        while (inside.length > 0) leave(0);
        for (let tick = 0; waiting.size > 0 || origins.size > 0; tick++) {
          assert.ok(tick <= PER_ORIGIN + 1, `${waiting.size} lanes are never woken`);
          again(limits.wake());
        }
        assert.equal(limits.inFlight, 0);
        assert.equal(fill(limits, true).length, SUSPECTS_IN_FLIGHT);
        assert.equal(fill(limits, false).length, IN_FLIGHT);
      }),
      { numRuns: 100 },
    );
  });
});

describe("a queue", () => {
  it("gives back what it was given, in order, as an array does", () => {
    const steps = fc.array(
      fc.oneof(fc.record({ push: fc.nat(200) }), fc.record({ take: fc.integer({ min: -1, max: 150 }) })),
    );
    fc.assert(fc.property(steps, (all) => {
      const queue = new Queue<number>();
      const plain: number[] = [];
      let next = 0;
      for (const step of all) {
        if ("push" in step) {
          for (let n = 0; n < step.push; n++, next++) {
            queue.push(next);
            plain.push(next);
          }
        } else if (step.take === 1) assert.equal(queue.shift(), plain.shift());
        else assert.deepEqual(queue.shiftMany(step.take), plain.splice(0, Math.max(0, step.take)));
        assert.equal(queue.size, plain.length);
      }
    }));
  });
});
