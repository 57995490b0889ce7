// A4.3 as a property: a restart loses no message, whichever part of a checkpoint was written last; after a whole checkpoint it also
// repeats none. The lanes and the book are real; the log is the plainest model of one.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { LaneBook } from "../../../core/shards/lane-book.ts";
import type { CursorRecord } from "../../../core/state/records.ts";
import type { Delivery } from "../../../core/delivery/delivery.ts";
import type { Flight } from "../../../core/delivery/lane/backlog.ts";
import type { Lane } from "../../../core/delivery/lane/lane.ts";
import type { ShardRecord } from "../../../core/log/log.ts";
import { ADDRESSES, FAILED, messageAt } from "../../support/rigs/lanes.ts";
import { subscriptionOf } from "../../support/rigs/subscription-events.ts";

const LANES = 4;

type Step =
  | { readonly kind: "publish"; readonly gap: number }
  | { readonly kind: "done" | "failed" | "letter"; readonly which: number }
  | { readonly kind: "rewind" | "advance"; readonly which: number; readonly by: number }
  | { readonly kind: "checkpoint"; readonly most: number };

const STEP: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("publish" as const), gap: fc.nat(1) }) },
  {
    weight: 9,
    arbitrary: fc.record({
      kind: fc.constantFrom("done" as const, "done" as const, "failed" as const, "letter" as const),
      which: fc.nat(LANES - 1),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom("rewind" as const, "advance" as const),
      which: fc.nat(LANES - 1),
      by: fc.nat(3),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("checkpoint" as const), most: fc.integer({ min: 1, max: 2 }) }),
  },
);

const STEPS = fc.array(STEP, { maxLength: 60, size: "max" });

const subscription = subscriptionOf({ callback: "http://127.0.0.1:8080/callback", concurrency: 2 });

class Model {
  tail = 0;
  readonly published: number[] = [];
  readonly done = new Map<Lane, Set<number>>();
  readonly flights = new Map<Lane, Flight[]>();
  readonly cursors = new Map<string, CursorRecord>();
  watermark = 0;
  readonly book = new LaneBook({
    shard: 0,
    addresses: ADDRESSES,
    recipientOf: () => subscription,
    partitionOf: () => 0,
    cursors: new Map(),
    watermarks: [0],
  });

  constructor() {
    const delivery: Pick<Delivery, "add" | "advance" | "rewind"> & { readonly tail: Pick<Delivery["tail"], "next"> } = {
      tail: { next: () => this.tail },
      add: (lane) => this.join(lane),
      advance: (lane, next) => void lane.advance(next),
      rewind: (lane, from) => {
        lane.drop(this.tail);
        lane.rewind(from!);
        this.flights.set(lane, []);
        this.join(lane);
      },
    };
    this.book.attach(delivery as Delivery);
    for (let n = 0; n < LANES; n++) this.book.open(`lane-${n}`, subscription);
  }

  /** The lane gets the messages that it lacks in the same step (A4.1). */
  join(lane: Lane): void {
    for (const offset of this.published) lane.receive(messageAt(offset));
    lane.readUpTo(this.tail);
    lane.joinTail();
  }

  step(step: Step): void {
    switch (step.kind) {
      case "publish": {
        const offset = this.tail + step.gap;
        this.published.push(offset);
        for (const lane of this.book.lanes()) {
          lane.receive(messageAt(offset));
          this.book.moved(lane);
        }
        this.tail = offset + 1;
        break;
      }
      case "checkpoint":
        this.write(this.book.checkpoint(step.most));
        break;
      case "rewind":
      case "advance": {
        const lane = this.lane(step.which);
        const at = Math.max(
          0,
          Math.min(this.tail, lane.position(this.tail) + (step.kind === "rewind" ? -step.by : step.by)),
        );
        const done = this.doneOf(lane);
        if (step.kind === "advance") {
          for (let offset = 0; offset < at; offset++) done.add(offset);
          this.write(this.book.advance(lane.id, subscription, at));
        } else {
          for (const offset of done) if (offset >= at) done.delete(offset);
          this.write(this.book.rewind(lane.id, subscription, at));
        }
        break;
      }
      default:
        this.attempt(this.lane(step.which), step.kind);
    }
  }

  attempt(lane: Lane, outcome: "done" | "failed" | "letter"): void {
    const flying = this.flights.get(lane) ?? [];
    while (lane.hasRoom) {
      const flight = lane.depart(0);
      if (flight === undefined) break;
      flying.push(flight);
    }
    const flight = outcome === "letter" ? flying.shift() : flying.pop();
    this.flights.set(lane, flying);
    if (flight === undefined || !lane.isCurrent(flight)) return;
    if (outcome === "failed") {
      lane.failed(flight, FAILED, 1);
    } else {
      lane.done(flight);
      lane.resume();
      this.doneOf(lane).add(flight.message.offset);
    }
    if (outcome === "letter") this.book.gaveUp(lane);
    this.book.moved(lane);
    // The batch with the dead letter has the position too.
    if (outcome === "letter") this.write(this.book.checkpoint(1), lane);
  }

  /** Writes a batch, then checks what a restart would make of the log. */
  write(records: readonly ShardRecord[], owed?: Lane): void {
    for (const { key, value } of records) {
      if (value === null) this.cursors.delete(key);
      else this.cursors.set(key, JSON.parse(Buffer.from(value).toString()) as CursorRecord);
    }
    this.watermark = this.book.watermarks[0]!;
    for (const lane of this.book.lanes()) {
      const lost = this.taken(lane).filter((offset) => !this.doneOf(lane).has(offset));
      assert.deepEqual(lost, [], `${lane.id} would lose`);
    }
    if (owed !== undefined) this.assertNoRepeats(owed);
  }

  /** The messages that a restart takes as done. */
  taken(lane: Lane): number[] {
    const { position, beyond = [] } = this.cursors.get(lane.id) ?? { position: this.watermark };
    return this.published.filter((offset) => offset < position || beyond.includes(offset));
  }

  assertNoRepeats(lane: Lane): void {
    const taken = new Set(this.taken(lane));
    const again = [...this.doneOf(lane)].filter((offset) => this.published.includes(offset) && !taken.has(offset));
    assert.deepEqual(again, [], `${lane.id} would have again`);
  }

  lane(which: number): Lane {
    return this.book.lane(`lane-${which}`)!;
  }
  doneOf(lane: Lane): Set<number> {
    let done = this.done.get(lane);
    if (done === undefined) this.done.set(lane, done = new Set());
    return done;
  }
}

describe("checkpoints in parts", () => {
  it("A4.3 lose nothing after any part, repeat nothing after the whole, and leave no record of what is done", () => {
    fc.assert(
      fc.property(fc.oneof(fc.array(STEP, { maxLength: 12 }), STEPS), (steps) => {
        const model = new Model();
        for (const step of steps) model.step(step);
        model.write(model.book.checkpoint());
        for (const lane of model.book.lanes()) model.assertNoRepeats(lane);
        for (const lane of model.book.lanes()) {
          while (lane.busy) model.attempt(lane, "done");
          lane.resume();
          model.book.moved(lane);
        }
        // A lane ahead of the watermark is looked at until the tail has passed it.
        while (model.book.isDirty) model.write(model.book.checkpoint(2));
        assert.deepEqual([...model.cursors.keys()], []);
        assert.equal(model.watermark, model.tail);
      }),
      { numRuns: 3_000 },
    );
  });

  it("A4.3 hold about as many records as was asked for, and move the watermarks with the last", () => {
    const model = new Model();
    model.step({ kind: "publish", gap: 0 });
    const parts: number[] = [];
    do {
      const before = model.watermark;
      const part = model.book.checkpoint(2);
      model.write(part);
      parts.push(part.length);
      if (model.book.isInRound) assert.equal(model.watermark, before);
    } while (model.book.isInRound);
    assert.deepEqual(parts, [2, 2]);
    assert.equal(model.watermark, 1);
  });
});
