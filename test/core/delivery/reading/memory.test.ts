// What the delivery half drops can be collected: a bound in bytes means nothing while an emptied place still refers to a message
// (§6.7). The runtime's own collector is asked.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Ring, RING_BYTES } from "../../../../core/messages/ring.ts";
import { laneOf, messageAt } from "../../../support/rigs/lanes.ts";
import { alive } from "../../../support/garbage.ts";

describe("memory of the delivery half", () => {
  it("§6.7 the ring refers to nothing beyond its bound", async () => {
    const ring = new Ring([0]);
    const references: WeakRef<object>[] = [];
    for (let offset = 0; offset < 400; offset++) {
      const message = messageAt(offset, { body: Buffer.alloc(256 * 1024) });
      references.push(new WeakRef(message));
      ring.add(message);
    }
    assert.ok(await alive(references) <= RING_BYTES / (256 * 1024));
    assert.ok(ring.since(0, 399) !== undefined);
  });

  it("§6.7 a lane refers to nothing that it delivered", async () => {
    const lane = laneOf();
    lane.joinTail();
    const references: WeakRef<object>[] = [];
    for (let offset = 0; offset < 60; offset++) {
      const message = messageAt(offset);
      references.push(new WeakRef(message));
      lane.receive(message);
    }
    for (let offset = 0; offset < 50; offset++) lane.done(lane.depart(0)!);
    assert.equal(await alive(references), 10);
    assert.equal(lane.backlog.queued, 10);
  });
});
