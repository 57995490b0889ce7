import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { DueIndex } from "../../../core/shards/due-index.ts";

const START = 1_700_000_000_000;

describe("A3.7 the index of what is due", () => {
  it("a key is due at its time or within the second after, never before, and once", () => {
    const index = new DueIndex(START);
    index.add("a", START + 1_500);
    assert.deepEqual(index.due(START + 1_000), []);
    assert.deepEqual(index.due(START + 1_499), []);
    assert.deepEqual(index.due(START + 2_000), ["a"]);
    assert.deepEqual(index.due(START + 9_000), []);
  });

  it("what is due at once is due at the next look", () => {
    const index = new DueIndex(START);
    assert.deepEqual(index.due(START), []);
    index.add("past", START - 60_000);
    assert.deepEqual(index.due(START + 1_000), ["past"]);
  });

  it("after a sleep of hours everything that fell due comes at once", () => {
    const index = new DueIndex(START);
    for (let n = 0; n < 100; n++) index.add(`key-${n}`, START + n * 60_000);
    const due = index.due(START + 50 * 60_000);
    assert.deepEqual(due.toSorted(), Array.from({ length: 51 }, (_, n) => `key-${n}`).toSorted());
    assert.equal(index.due(START + 3_600_000_000).length, 49);
  });

  it("the owner's clock counts, also when it was set back", () => {
    const index = new DueIndex(START);
    assert.deepEqual(index.due(START + 3_600_000), []);
    // The clock is set back by an hour; a lease of a minute is over a minute later, not an hour and a minute.
    assert.deepEqual(index.due(START), []);
    index.add("short lease", START + 60_000);
    assert.deepEqual(index.due(START + 60_000), ["short lease"]);
  });

  it("§6.7 a key that is put off again and again stays one entry", () => {
    const index = new DueIndex(START);
    // A renewal a second, each with ten days of lease.
    for (let n = 0; n < 5_000; n++) {
      index.add("busy", START + 864_000_000 + n * 1_000);
      index.add("busy", START + 60_000);
    }
    assert.equal(index.size, 1);
    assert.deepEqual(index.due(START + 60_000), ["busy"]);
    assert.equal(index.size, 0);
  });

  it("a key is due no later than the earliest of its dates, whatever comes", () => {
    const step = fc.record({
      key: fc.constantFrom("a", "b", "c"),
      inMs: fc.integer({ min: -5_000, max: 20_000 }),
      advanceMs: fc.integer({ min: 0, max: 7_000 }),
    });
    fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const index = new DueIndex(START);
      const earliest = new Map<string, number>();
      // A date that was past when it was added can be given out only from then on.
      const possible = new Map<string, number>();
      let now = START;
      for (const { key, inMs, advanceMs } of steps) {
        index.add(key, now + inMs);
        earliest.set(key, Math.min(earliest.get(key) ?? Infinity, now + inMs));
        possible.set(key, Math.min(possible.get(key) ?? Infinity, Math.max(now, now + inMs)));
        now += advanceMs;
        const due = index.due(now);
        assert.deepEqual(due, [...new Set(due)], "each once");
        for (const one of due) {
          assert.ok(earliest.get(one)! <= now, "never before its time");
          earliest.delete(one);
          possible.delete(one);
        }
        // Whole seconds: what was not given out is less than a second late.
        for (const at of possible.values()) assert.ok(at > now - 1_000, `${now - at} ms late`);
      }
    }));
  });
});
