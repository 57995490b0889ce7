import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { EMPTY_BACKLOG, type Flight, MOST_BEYOND } from "../../../../core/delivery/lane/backlog.ts";
import type { Failure } from "../../../../core/delivery/lane/outcome.ts";
import type { Lane } from "../../../../core/delivery/lane/lane.ts";
import { FAILED, laneOf, messageAt, REFUSED, termsOf } from "../../../support/rigs/lanes.ts";

type Step =
  | { readonly kind: "publish"; readonly gap: number }
  | { readonly kind: "read"; readonly room: number }
  | { readonly kind: "depart" }
  | { readonly kind: "done" | "failed" | "refused"; readonly which: number }
  | { readonly kind: "drop" | "leaveTail" | "restart" };

const STEP: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("publish" as const), gap: fc.nat(2) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("read" as const), room: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 6, arbitrary: fc.constant({ kind: "depart" as const }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("done" as const), which: fc.nat(7) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom("failed" as const, "refused" as const), which: fc.nat(7) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom("drop" as const, "leaveTail" as const, "restart" as const) }),
  },
);

/** A lane beside a log and the plainest possible account of what was done. */
class Model {
  readonly concurrency: number;
  readonly log: number[] = [];
  readonly done = new Set<number>();
  readonly flights: Flight[] = [];
  tail = 0;
  lane: Lane;

  constructor(concurrency: number) {
    this.concurrency = concurrency;
    this.lane = laneOf({ concurrency });
  }

  step(step: Step): void {
    switch (step.kind) {
      case "publish": {
        const offset = this.tail + step.gap;
        this.log.push(offset);
        this.tail = offset + 1;
        if (this.lane.onTail) this.lane.receive(messageAt(offset));
        break;
      }
      case "read":
        this.read(step.room);
        break;
      case "depart":
        this.depart();
        break;
      case "done":
      case "failed":
      case "refused": {
        const flight = this.flights.splice(step.which % Math.max(1, this.flights.length), 1)[0];
        if (flight === undefined) break;
        if (step.kind === "done") {
          this.lane.done(flight);
          this.done.add(flight.message.offset);
        } else {
          const repeat = this.lane.failed(flight, step.kind === "refused" ? REFUSED : FAILED, 0);
          assert.equal(repeat.attempts, flight.attempts + 1);
          assert.equal(repeat.refusals, flight.refusals + (step.kind === "refused" ? 1 : 0));
        }
        break;
      }
      case "drop":
        this.lane.drop(this.tail);
        break;
      case "leaveTail":
        this.lane.leaveTail(this.tail);
        break;
      case "restart":
        this.restart();
        break;
    }
    this.check();
  }

  /** As the catch-up reader and the ring do: a lane without room leaves the rest, otherwise it joins the tail. */
  read(room: number): void {
    if (this.lane.onTail) return;
    for (const offset of this.log) {
      if (offset < this.lane.readFrom) continue;
      if (room-- <= 0) return;
      this.lane.receive(messageAt(offset));
    }
    this.lane.readUpTo(this.tail);
    this.lane.joinTail();
  }

  depart(): boolean {
    if (!this.lane.hasRoom || !this.lane.backlog.hasNext) return false;
    const flight = this.lane.depart(0)!;
    const { offset } = flight.message;
    assert.ok(!this.done.has(offset), `${offset} is done and departs again`);
    assert.ok(!this.flights.some((other) => other.message.offset === offset), `${offset} is in flight twice`);
    const before = this.log.filter((other) => other < offset && !this.done.has(other));
    if (this.concurrency === 1) assert.deepEqual(before, [], `${offset} departs before what precedes it`);
    this.flights.push(flight);
    assert.ok(this.flights.length <= this.concurrency);
    return true;
  }

  /** Flights are forgotten; the lane is as its record says, or at the watermark if it has no record. */
  restart(): void {
    const record = this.lane.record(this.tail);
    this.flights.length = 0;
    this.lane = laneOf({ concurrency: this.concurrency, position: this.tail });
    if (record === undefined) return;
    assert.ok((record.beyond?.length ?? 0) <= MOST_BEYOND);
    this.lane.restore(structuredClone(record));
  }

  check(): void {
    const first = this.log.find((offset) => !this.done.has(offset)) ?? Infinity;
    const position = this.lane.position(this.tail);
    assert.ok(position <= first, `the position ${position} passes ${first}, which is not done`);
    assert.ok(EMPTY_BACKLOG.isEmpty, "what all quiet lanes share was written to");
  }

  /** Everything left is delivered; a lane that stalls fails here. */
  finish(): void {
    for (let rounds = 0; this.done.size < this.log.length; rounds++) {
      assert.ok(rounds <= this.log.length * 2 + 2, `stalled with ${this.log.length - this.done.size} left`);
      this.read(100);
      while (this.depart());
      while (this.flights.length > 0) this.step({ kind: "done", which: 0 });
    }
    this.read(100);
    assert.equal(this.lane.position(this.tail), this.tail);
    assert.equal(this.lane.busy, false);
  }
}

describe("a lane", () => {
  for (const concurrency of [1, 2, 5]) {
    it(`§6.2, §6.3 hold over random sequences, concurrency ${concurrency}`, () => {
      fc.assert(
        fc.property(fc.array(STEP, { maxLength: 80, size: "max" }), (steps) => {
          const model = new Model(concurrency);
          for (const step of steps) model.step(step);
          model.finish();
        }),
        { numRuns: 3_000 },
      );
    });
  }

  it("A4.3 at most 256 offsets are done beyond the prefix, however many are in flight", () => {
    const lane = laneOf({ concurrency: 64 });
    lane.joinTail();
    for (let offset = 0; offset < 1_000; offset++) lane.receive(messageAt(offset));
    const first = lane.depart(0)!;
    for (let round = 0; round < 20; round++) {
      const flights: Flight[] = [];
      while (lane.hasRoom) flights.push(lane.depart(0)!);
      for (const flight of flights) lane.done(flight);
    }
    const beyond = lane.record(1_000)?.beyond?.length ?? 0;
    assert.ok(beyond <= MOST_BEYOND && beyond >= MOST_BEYOND - 1, `${beyond} beyond`);
    assert.equal(lane.hasRoom, false);
    lane.done(first);
    assert.equal(lane.position(1_000), beyond + 1);
    assert.equal(lane.hasRoom, true);
  });

  for (const how of ["dropped", "restored"] as const) {
    it(`A4.3 a lane that is full beyond the prefix goes on with the prefix after it was ${how}`, () => {
      let lane = laneOf({ concurrency: 64 });
      lane.joinTail();
      for (let offset = 0; offset < 400; offset++) lane.receive(messageAt(offset));
      const first = lane.depart(0)!;
      while (lane.hasRoom) lane.done(lane.depart(0)!);
      const { beyond = [] } = lane.record(400)!;
      lane.failed(first, FAILED, 0);
      lane.drop(400);
      if (how === "restored") {
        const record = lane.record(400)!;
        lane = laneOf({ concurrency: 64, position: 400 });
        lane.restore(record);
      }
      for (let offset = 0; offset < 400; offset++) lane.receive(messageAt(offset));
      lane.joinTail();
      assert.equal(lane.hasRoom, true);
      const again = lane.depart(0)!;
      assert.equal(again.message.offset, 0);
      lane.done(again);
      assert.equal(lane.depart(0)?.message.offset, Math.max(...beyond) + 1);
    });
  }

  it("what failed is repeated before what follows, and keeps its attempts and refusals", () => {
    const lane = laneOf();
    lane.joinTail();
    for (const offset of [3, 4]) lane.receive(messageAt(offset));
    lane.failed(lane.depart(10)!, REFUSED, 10);
    const again = lane.depart(20)!;
    assert.deepEqual(
      { offset: again.message.offset, attempts: again.attempts, refusals: again.refusals, firstAt: again.firstAt },
      { offset: 3, attempts: 1, refusals: 1, firstAt: 10 },
    );
  });

  it("a message that is read again after a drop or a restart keeps its attempts and refusals", () => {
    const lane = laneOf();
    lane.joinTail();
    lane.receive(messageAt(7));
    lane.failed(lane.depart(10)!, REFUSED, 10);
    lane.drop(8);
    const restored = laneOf();
    restored.restore(lane.record(8)!);
    for (const one of [lane, restored]) {
      assert.equal(one.readFrom, 7);
      one.receive(messageAt(7));
      const { attempts, refusals, firstAt } = one.depart(20)!;
      assert.deepEqual({ attempts, refusals, firstAt }, { attempts: 1, refusals: 1, firstAt: 10 });
    }
  });

  it("A4.3 answers of 5xx and 500 to a message are counted over a drop, a restart, a renewal and a resume", () => {
    const failureOf = (status: number): Failure => ({ kind: "retry", reason: `answered ${status}`, status });
    let lane = laneOf();
    lane.joinTail();
    lane.receive(messageAt(7));
    for (const status of [500, 503, 599, 404, 0, 500]) {
      lane.failed(lane.depart(10)!, failureOf(status), 10);
      lane.drop(8);
      const restored = laneOf();
      restored.restore(lane.record(8)!);
      lane = restored;
      lane.receive(messageAt(7));
      lane.renew(termsOf(lane));
      lane.resume();
    }
    const afterResume = laneOf();
    afterResume.restore(lane.record(8)!);
    assert.deepEqual(lane.health.failed, {
      offset: 7,
      id: messageAt(7).id,
      attempts: 6,
      refusals: 0,
      answered5xx: 4,
      answered500: 2,
      firstAt: 10,
    });
    assert.deepEqual(afterResume.health.failed, lane.health.failed);
    const { answered5xx, answered500 } = lane.depart(20)!;
    assert.deepEqual([answered5xx, answered500], [4, 2]);
    // A resume from a position sends the message as if for the first time.
    lane.rewind(7);
    lane.receive(messageAt(7));
    assert.equal(lane.depart(30)!.answered500, 0);
  });

  it("A4.3 a record without these counts, of a core before this one, still counts its attempts and refusals", () => {
    const lane = laneOf();
    const failed = { offset: 7, attempts: 3, refusals: 2, firstAt: 10 };
    const health = { failingSince: 10, failures: 3, lastError: "answered 500", ...failed };
    lane.restore({ life: lane.life, position: 7, health });
    assert.deepEqual(lane.health.failed, { ...failed, id: "", answered5xx: 0, answered500: 0 });
    lane.receive(messageAt(7));
    lane.failed(lane.depart(20)!, { kind: "retry", reason: "answered 500", status: 500 }, 20);
    assert.deepEqual(lane.health.failed, {
      offset: 7,
      id: messageAt(7).id,
      attempts: 4,
      refusals: 2,
      answered5xx: 1,
      answered500: 1,
      firstAt: 10,
    });
  });

  it("a drop hands out what was held once, and not what is in flight", () => {
    const lane = laneOf({ concurrency: 2 });
    lane.joinTail();
    for (const offset of [1, 2, 3, 4]) lane.receive(messageAt(offset));
    const failing = lane.depart(0)!;
    lane.depart(0);
    lane.failed(failing, FAILED, 0);
    assert.deepEqual(lane.drop(5).map(({ offset }) => offset), [1, 3, 4]);
    assert.equal(lane.backlog.size, 1);
    assert.equal(lane.readFrom, 1);
    assert.deepEqual(lane.drop(5), []);
  });

  it("A4.3 a quiet lane that is done up to the watermark needs no record", () => {
    const lane = laneOf({ position: 5 });
    lane.joinTail();
    assert.equal(lane.record(9), undefined);
    lane.receive(messageAt(9));
    assert.deepEqual(lane.record(10), { life: 1, position: 9 });
    lane.done(lane.depart(0)!);
    assert.equal(lane.record(10), undefined);
  });

  it("A4.3 an expired lane keeps its record, at the position it stopped at", () => {
    const lane = laneOf({ position: 5 });
    lane.joinTail();
    lane.expire();
    lane.drop(12);
    assert.deepEqual(lane.record(20), { life: 1, position: 12 });
  });

  it("A4.3 no verb brings an ended lane back, and what was in flight moves nothing", () => {
    const lane = laneOf();
    lane.joinTail();
    lane.receive(messageAt(0));
    const flight = lane.depart(0)!;
    lane.end();
    assert.equal(lane.isCurrent(flight), false);
    const verbs = [
      () => lane.joinTail(),
      () => lane.leaveTail(1),
      () => lane.drop(1),
      () => lane.renew(termsOf(lane)),
      () => lane.resume(),
      () => lane.rewind(0),
      () => lane.park(),
      () => lane.backOff(),
      () => lane.endPause(Infinity),
      () => lane.expire(),
    ];
    for (const verb of verbs) {
      verb();
      assert.equal(lane.state, "ended", String(verb));
    }
    assert.equal(lane.isOver, true);
  });

  it("A4.3 a flight from before a rewind moves nothing, though its message is sent again", () => {
    const lane = laneOf();
    lane.joinTail();
    lane.receive(messageAt(0));
    const before = lane.depart(0)!;
    lane.rewind(0);
    lane.receive(messageAt(0));
    const again = lane.depart(0)!;
    assert.deepEqual([before, again].map((flight) => lane.isCurrent(flight)), [false, true]);
  });
});
