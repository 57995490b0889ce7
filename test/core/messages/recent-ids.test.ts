import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RecentIds } from "../../../core/messages/recent-ids.ts";
import { messageAt } from "../../support/rigs/lanes.ts";

function memory() {
  let time = 1_000_000;
  return { ids: new RecentIds(() => time), pass: (ms: number) => void (time += ms) };
}

describe("the ids of the last two minutes (A4.4)", () => {
  it("A4.4 the second message with an id is a repeat, the first never", () => {
    const { ids } = memory();
    const [first, second] = [messageAt(1, { id: "a" }), messageAt(2, { id: "a" })];
    assert.equal(ids.seen(first), false);
    assert.equal(ids.seen(second), true);
    assert.equal(ids.seen(first), false);
    assert.equal(ids.isRepeat(first), false);
    assert.equal(ids.isRepeat(second), true);
    assert.equal(ids.isRepeat(messageAt(3, { id: "b" })), false);
  });

  it("tells messages of different partitions at one offset apart", () => {
    const { ids } = memory();
    ids.seen(messageAt(5, { id: "a", partition: 1 }));
    assert.equal(ids.seen(messageAt(5, { id: "a", partition: 2 })), true);
    assert.equal(ids.seen(messageAt(5, { id: "a", partition: 1 })), false);
  });

  it("says where the first one stands, at any offset a log reaches", () => {
    const { ids } = memory();
    const place = { partition: 15, offset: 2 ** 40 };
    ids.seen(messageAt(place.offset, { id: "a", partition: place.partition }));
    assert.deepEqual(ids.find("a"), place);
    assert.equal(ids.find("b"), undefined);
  });

  it("A4.4 remembers for two minutes whatever comes in between, and not for ever", () => {
    for (const offsetInMinute of [0, 1, 30_000, 59_999]) {
      const { ids, pass } = memory();
      pass(offsetInMinute);
      ids.seen(messageAt(0, { id: "a" }));
      for (let second = 0; second < 120; second++) {
        ids.seen(messageAt(second + 1));
        assert.equal(ids.isRepeat(messageAt(999, { id: "a" })), true, `after ${second} s`);
        pass(1_000);
      }
      for (let second = 0; second < 120; second++) {
        pass(1_000);
        ids.seen(messageAt(second + 200));
      }
      assert.equal(ids.find("a"), undefined);
    }
  });

  it("A4.4 remembers for two minutes also after a quiet time", () => {
    const { ids, pass } = memory();
    ids.seen(messageAt(0, { id: "a" }));
    pass(61_000);
    ids.seen(messageAt(1, { id: "b" }));
    pass(61_000);
    ids.seen(messageAt(2, { id: "c" }));
    pass(61_000);
    ids.seen(messageAt(3, { id: "d" }));
    assert.deepEqual(ids.find("b"), { partition: 0, offset: 1 });
  });
});
