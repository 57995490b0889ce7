// For how long a member may rely on its shards (A3.4): a session of 10 s, a rebalance that waits 30 s.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { GroupSession } from "../../../../core/log/kafka/session.ts";

function joined(sentAt: number): GroupSession {
  const session = new GroupSession();
  session.memberId = "m";
  session.generation = 1;
  session.confirm(sentAt);
  return session;
}

describe("A3.4 a session in the group", () => {
  it("A3.4 counts from the sending, and never back", () => {
    const session = joined(5_000);
    assert.equal(session.confirmedAt, 5_000);
    session.confirm(4_000);
    assert.equal(session.confirmedAt, 5_000);
  });

  it("A3.4 goes on in a rebalance as long as no shard can move within the session", () => {
    const session = joined(0);
    session.confirmInRebalance(19_999);
    assert.equal(session.confirmedAt, 19_999);
    session.confirmInRebalance(20_000);
    assert.equal(session.confirmedAt, 19_999);
    session.confirm(21_000);
    session.confirmInRebalance(40_999);
    assert.equal(session.confirmedAt, 40_999);
  });

  it("A3.4 is over when the group has lost the member, or the member leaves", () => {
    const lost = joined(0);
    lost.lose();
    assert.deepEqual([lost.confirmedAt, lost.isMember, lost.memberId], [-Infinity, false, ""]);
    const left = joined(0);
    left.end();
    // It still has to say goodbye under its name.
    assert.deepEqual([left.confirmedAt, left.isMember, left.memberId], [-Infinity, false, "m"]);
  });
});
