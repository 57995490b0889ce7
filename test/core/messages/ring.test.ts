import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Ring, RING_BYTES } from "../../../core/messages/ring.ts";
import { messageAt } from "../../support/rigs/lanes.ts";

const MIB = 1024 * 1024;
const offsets = (messages: readonly { offset: number }[] | undefined) => messages?.map(({ offset }) => offset);

describe("the tail's ring", () => {
  it("A4.1 yields what came from an offset on, and nothing for one beyond the newest", () => {
    const ring = new Ring([10]);
    for (const offset of [10, 12, 15]) ring.add(messageAt(offset));
    assert.deepEqual(offsets(ring.since(0, 10)), [10, 12, 15]);
    assert.deepEqual(offsets(ring.since(0, 11)), [12, 15]);
    assert.deepEqual(offsets(ring.since(0, 15)), [15]);
    assert.deepEqual(offsets(ring.since(0, 16)), []);
    assert.deepEqual(offsets(ring.since(0, 900)), []);
  });

  it("A4.1 says so when it does not reach back to an offset", () => {
    const ring = new Ring([10]);
    assert.equal(ring.since(0, 9), undefined);
    assert.deepEqual(ring.since(0, 10), []);
  });

  it("keeps partitions apart, and drops the oldest of any of them beyond its bound", () => {
    const ring = new Ring([0, 0]);
    const body = Buffer.alloc(MIB);
    const many = RING_BYTES / MIB + 4;
    ring.add(messageAt(0, { partition: 1 }));
    for (let offset = 0; offset < many; offset++) ring.add(messageAt(offset, { body }));
    assert.equal(ring.since(1, 0), undefined);
    assert.deepEqual(ring.since(1, 1), []);
    // What a message takes beside its body leaves room for one less.
    assert.equal(ring.since(0, 4), undefined);
    assert.deepEqual(offsets(ring.since(0, 5)), Array.from({ length: many - 5 }, (_, index) => index + 5));
  });

  it("does not hold one message that is larger than all of it", () => {
    const ring = new Ring([0]);
    ring.add(messageAt(0));
    ring.add(messageAt(1, { body: Buffer.alloc(RING_BYTES + 1) }));
    assert.equal(ring.since(0, 1), undefined);
    assert.deepEqual(ring.since(0, 2), []);
    ring.add(messageAt(2));
    assert.deepEqual(offsets(ring.since(0, 2)), [2]);
  });

  it("reaches back only to where the tail jumped", () => {
    const ring = new Ring([0]);
    ring.add(messageAt(0));
    ring.skipTo(0, 50);
    assert.equal(ring.since(0, 0), undefined);
    assert.deepEqual(ring.since(0, 50), []);
    ring.skipTo(0, 40);
    assert.equal(ring.since(0, 49), undefined);
  });

  it("never leaves a hole, whatever the sizes", () => {
    const sizes = fc.array(fc.tuple(fc.nat(1), fc.integer({ min: 0, max: 3 * MIB })), { maxLength: 60, size: "max" });
    const bodies = new Map<number, Buffer>();
    const bodyOf = (size: number) => {
      const rounded = Math.floor(size / 65_536) * 65_536;
      return bodies.get(rounded) ?? bodies.set(rounded, Buffer.alloc(rounded)).get(rounded)!;
    };
    fc.assert(
      fc.property(sizes, fc.nat(60), (added, asked) => {
        const ring = new Ring([0, 0]);
        const next = [0, 0];
        for (const [partition, size] of added) {
          ring.add(messageAt(next[partition]!++, { partition, body: bodyOf(size) }));
        }
        for (const partition of [0, 1]) {
          const found = ring.since(partition, asked);
          const all = Array.from({ length: Math.max(0, next[partition]! - asked) }, (_, index) => asked + index);
          if (found !== undefined) assert.deepEqual(offsets(found), all);
        }
      }),
      { numRuns: 300 },
    );
  });
});
