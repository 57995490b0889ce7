import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createPressure } from "../../../edge/limits/pressure.ts";
import type { Pressure } from "../../../edge/limits/pressure.ts";

const TARGET_MS = 1_000;

function started(options: { least?: number; most?: number } = {}) {
  const clock = { time: 0 };
  return { clock, pressure: createPressure({ targetMs: TARGET_MS, now: () => clock.time, ...options }) };
}

/** Enters as often as it may. */
function fill(pressure: Pressure): (() => void)[] {
  const leaves = [];
  for (let leave = pressure.enter("one"); leave !== null; leave = pressure.enter("one")) leaves.push(leave);
  return leaves;
}

describe("pressure on the core", () => {
  it("stops counting a request that the runtime has dropped, and does not take it for a slow core", () => {
    const clock = { time: 0 };
    const pressure = createPressure({ targetMs: TARGET_MS, now: () => clock.time, lostAfterMs: 120_000, most: 20 });
    fill(pressure);
    clock.time = 120_001;
    assert.ok(!pressure.isFull(() => "one"));
    assert.equal(pressure.inFlight, 0);
    assert.equal(pressure.limit, 20, "no cut for a request that is lost");
  });

  it("lets in up to its limit, and more as soon as one has left", () => {
    const { pressure } = started({ most: 20 });
    const leaves = fill(pressure);
    assert.equal(leaves.length, 20);
    assert.ok(pressure.isFull(() => "one"));
    leaves[0]!();
    assert.ok(!pressure.isFull(() => "one"));
    leaves[0]!();
    assert.equal(pressure.inFlight, 19, "a place is given back once");
    assert.notEqual(pressure.enter("one"), null);
    assert.equal(pressure.enter("one"), null);
  });

  it("halves what it lets in when answers come late, once for all that are late together", () => {
    const { pressure, clock } = started();
    const before = pressure.limit;
    const leaves = fill(pressure);
    clock.time += TARGET_MS + 1;
    for (const leave of leaves) leave();
    assert.equal(pressure.limit, before / 2);
  });

  it("notices by the waiting requests that the core answers nothing, and lets a few in to notice its return", () => {
    const { pressure, clock } = started({ least: 8 });
    const leaves = fill(pressure);
    for (let n = 0; n < 20; n++) {
      clock.time += TARGET_MS + 1;
      assert.equal(pressure.enter("one"), null);
    }
    assert.equal(pressure.limit, 8);
    for (const leave of leaves) leave();
    assert.equal(fill(pressure).length, 8);
  });

  it("grows again while answers come in time and the limit is used, up to its maximum", () => {
    const { pressure, clock } = started({ least: 8, most: 64 });
    const leaves = fill(pressure);
    for (let n = 0; n < 5; n++) {
      clock.time += TARGET_MS + 1;
      void pressure.isFull(() => "one");
    }
    for (const leave of leaves) leave();
    assert.equal(pressure.limit, 8);
    for (let n = 0; n < 1_000; n++) {
      const batch = fill(pressure);
      clock.time += 10;
      for (const leave of batch) leave();
    }
    assert.equal(pressure.limit, 64);
  });

  it("does not blame the core for its own lateness", () => {
    let [time, busy] = [0, 0];
    const pressure = createPressure({ targetMs: TARGET_MS, now: () => time, busyMs: () => busy });
    const before = pressure.limit;
    const leaves = fill(pressure);
    time += 5_000;
    busy += 4_500;
    void pressure.isFull(() => "one");
    for (const leave of leaves) leave();
    assert.ok(pressure.limit >= before);
    fill(pressure);
    time += 5_000;
    busy += 3_000;
    void pressure.isFull(() => "one");
    assert.ok(pressure.limit < before);
  });

  it("is not cut by slow requests that are fewer than its minimum", () => {
    const { pressure, clock } = started({ least: 8 });
    const before = pressure.limit;
    for (let n = 0; n < 7; n++) pressure.enter("one");
    clock.time += 60_000;
    assert.ok(!pressure.isFull(() => "one"));
    assert.equal(pressure.limit, before);
  });

  it("lets in who has less than its part, however many slow requests another has, and no more than as many again", () => {
    const { pressure, clock } = started({ least: 16 });
    fill(pressure);
    for (let n = 0; n < 10; n++) {
      clock.time += TARGET_MS + 1;
      assert.equal(pressure.enter("one"), null);
    }
    assert.deepEqual([pressure.limit, pressure.inFlight], [16, 256]);
    assert.ok(!pressure.isFull(() => "other"));
    const other = Array.from({ length: 20 }, () => pressure.enter("other")).filter((leave) => leave !== null);
    assert.equal(other.length, 8, "its part beside the other one");
    for (let n = 0; n < 100; n++) pressure.enter(`more-${n}`);
    assert.ok(pressure.inFlight <= 256 + 16);
    for (const leave of other) leave();
    assert.notEqual(pressure.enter("other"), null);
  });
});
