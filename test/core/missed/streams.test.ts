import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createStreams } from "../../../core/missed/streams.ts";

describe("§6.7 streams of events", () => {
  it("are bounded in all, and of one subscription, and counted off", () => {
    const streams = createStreams(3, 2);
    const leave = [streams.enter("a"), streams.enter("a")];
    assert.throws(() => streams.enter("a"), { code: "too_many", message: /has 2 event streams already/ });
    leave.push(streams.enter("b"));
    assert.throws(() => streams.enter("c"), { code: "overloaded" });
    assert.equal(streams.open, 3);
    leave[0]!();
    assert.equal(streams.open, 2);
    leave.push(streams.enter("a"));
    for (const end of leave.slice(1)) end();
    assert.equal(streams.open, 0);
  });
});
