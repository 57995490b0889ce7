// The catch-up reader over a log in memory whose reads are synchronous, as the embedded log's are.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ReadMessages } from "../../../../core/messages/read-messages.ts";
import { CatchUp } from "../../../../core/delivery/reading/catch-up.ts";
import type { Lane } from "../../../../core/delivery/lane/lane.ts";
import { eventually } from "../../../support/eventually.ts";
import { laneOf, messageAt } from "../../../support/rigs/lanes.ts";

const CHUNK = 100;
const ROOM = 250;

/** A reader of an endless log, a chunk of 100 messages at a time. */
function openReader(read: ReadMessages = endless) {
  const reads: number[] = [];
  const arrived: Lane[] = [];
  const catchUp = new CatchUp({
    read: (partition, from, limits) => {
      reads.push(from);
      return read(partition, from, limits);
    },
    mayReceive: (lane) => lane.backlog.queued < ROOM,
    offer: (lane, message) => void lane.receive(message),
    arrived: (lane) => void arrived.push(lane),
    gap: (lane, gap) => lane.addGap(gap),
  });
  /** Lets lanes ask for a chunk, and resolves when all have had one. */
  const want = async (...lanes: Lane[]) => {
    for (const lane of lanes) catchUp.want(lane);
    await eventually("it to be read", () => !lanes.some((lane) => catchUp.isWaiting(lane)));
  };
  return { catchUp, reads, arrived, want };
}

const endless: ReadMessages = (_partition, from) =>
  Promise.resolve({
    messages: Array.from({ length: CHUNK }, (_, index) => messageAt(from + index)),
    next: from + CHUNK,
  });

function deliver(lane: Lane, count: number): void {
  for (; count > 0; count--) lane.done(lane.depart(0)!);
}

describe("the catch-up reader", () => {
  it("A4.2 a lane that has not asked joins a chunk that crosses its position, and both hold the same messages", async () => {
    const { reads, want } = openReader();
    const [fast, slow] = [laneOf({ id: "fast" }), laneOf({ id: "slow" })];
    await want(fast, slow);
    deliver(fast, CHUNK);
    await want(fast);
    assert.deepEqual(reads, [0, CHUNK], "one read for both, each time");
    assert.deepEqual([fast.backlog.queued, slow.backlog.queued], [CHUNK, 2 * CHUNK]);
    deliver(slow, CHUNK);
    assert.equal(slow.depart(0)!.message, fast.depart(0)!.message);
  });

  it("A4.2 a lane with no room stays where it is, and is read to from there when it asks", async () => {
    const { reads, want } = openReader();
    const [fast, slow] = [laneOf({ id: "fast" }), laneOf({ id: "slow" })];
    await want(fast, slow);
    for (let round = 0; round < 4; round++) {
      deliver(fast, CHUNK);
      await want(fast);
    }
    assert.deepEqual([fast.readFrom, slow.readFrom], [5 * CHUNK, ROOM], "filled to the last place");
    deliver(slow, ROOM);
    await want(slow);
    assert.equal(slow.readFrom, ROOM + CHUNK);
    assert.deepEqual(reads.slice(-1), [ROOM]);
  });

  it("ARCHITECTURE §4 a lane waits for one chunk of another requester's lanes, however many of them are behind", async () => {
    const { catchUp, reads } = openReader();
    const client = { issuer: "issuer", userId: "attacker" };
    for (let index = 0; index < 1_000; index++) {
      catchUp.want(laneOf({ id: `theirs${index}`, position: index * 1_000, client }));
    }
    const ours = laneOf({ id: "ours", position: 5_000_000, client: { issuer: "issuer", userId: "victim" } });
    catchUp.want(ours);
    await eventually("it to be read", () => !catchUp.isWaiting(ours));
    const before = reads.indexOf(5_000_000);
    assert.ok(before <= 2, `${before} reads before it`);
    await catchUp.close();
  });

  it("a partition that cannot be read lets the others go first, and is tried again", async () => {
    let isAway = true;
    const { catchUp, reads } = openReader((partition, from, limits) =>
      partition === 1 && isAway ? Promise.reject(new Error("no leader")) : endless(partition, from, limits)
    );
    const away = Array.from(
      { length: 20 },
      (_, index) => laneOf({ id: `away${index}`, partition: 1, position: index * 500 }),
    );
    const well = Array.from({ length: 20 }, (_, index) => laneOf({ id: `well${index}`, position: index * 500 + 1 }));
    for (const lane of [...away, ...well]) catchUp.want(lane);
    await eventually("the others", () => !well.some((lane) => catchUp.isWaiting(lane)), { deadlineMs: 2_000 });
    assert.ok(reads.length <= 24, `${reads.length} reads`);
    assert.ok(away.every((lane) => catchUp.isWaiting(lane)));
    isAway = false;
    await eventually("these, too", () => !away.some((lane) => catchUp.isWaiting(lane)), { deadlineMs: 5_000 });
    await catchUp.close();
  });

  it("reads nothing to lanes that are forgotten", async () => {
    const { catchUp, arrived, want } = openReader();
    const [one, other] = [laneOf({ id: "one" }), laneOf({ id: "other" })];
    await want(one, other);
    catchUp.forget(other);
    await want(one);
    assert.deepEqual([one.readFrom, other.readFrom], [2 * CHUNK, CHUNK]);
    assert.equal(arrived.filter((lane) => lane === other).length, 1);
  });

  it("lets others have a turn between two chunks", async () => {
    let turns = 0;
    const turnsAt: number[] = [];
    const { want } = openReader((partition, from, limits) => {
      turnsAt.push(turns);
      return endless(partition, from, limits);
    });
    const tick = () => {
      turns++;
      ticking = setImmediate(tick);
    };
    let ticking = setImmediate(tick);
    await want(...Array.from({ length: 10 }, (_, index) => laneOf({ id: `lane${index}`, position: index * 1_000 })));
    clearImmediate(ticking);
    assert.equal(new Set(turnsAt).size, 10, `turns at each read: ${turnsAt.join()}`);
  });

  it("lets others have a turn while a chunk is handed to very many lanes", async () => {
    const { catchUp, arrived } = openReader();
    const lanes = Array.from({ length: 30_000 }, (_, index) => laneOf({ id: `lane${index}` }));
    for (const lane of lanes) catchUp.want(lane);
    const seen = new Set<number>();
    while (arrived.length < lanes.length) {
      await new Promise((resolve) => setImmediate(resolve));
      seen.add(arrived.length);
    }
    // How many turns there are is a matter of speed; that there are some in between is not.
    assert.ok([...seen].some((count) => count > 0 && count < lanes.length), `seen: ${[...seen].join()}`);
    assert.ok(lanes.every((lane) => lane.readFrom === CHUNK));
  });
});
