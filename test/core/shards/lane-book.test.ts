// The lanes of one shard, and what the log says of their positions (A4.3), over the real scheduler and a real log.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LaneBook, type LaneBookOptions } from "../../../core/shards/lane-book.ts";
import type { CursorRecord, SubscriptionRecord } from "../../../core/state/records.ts";
import { topicIdOf } from "../../../core/state/ids.ts";
import type { ShardRecord } from "../../../core/log/log.ts";
import { type DeliveryRig, openDeliveryRig } from "../../support/rigs/delivery-rig.ts";
import { eventually } from "../../support/eventually.ts";
import { ADDRESSES } from "../../support/rigs/lanes.ts";
import { subscriptionOf, TOPIC } from "../../support/rigs/subscription-events.ts";

const TOPIC_ID = topicIdOf(TOPIC);

/** What is kept of a parked lane: its first message failed seven times. */
const PARKED = {
  parked: true,
  failingSince: 5,
  failures: 7,
  lastError: "answered 500",
  offset: 0,
  id: "msg_first",
  attempts: 7,
  refusals: 0,
  answered5xx: 6,
  answered500: 5,
  firstAt: 5,
};

function subscription(name: string, more: Partial<SubscriptionRecord> = {}): SubscriptionRecord {
  return subscriptionOf({ callback: `http://127.0.0.1:8080/${name}`, ...more });
}

interface BookOptions {
  readonly watermark?: number;
  readonly cursors?: Readonly<Record<string, CursorRecord>>;
}

/** Its subscriptions are what they were when their lanes were opened last. */
class Book extends LaneBook {
  readonly #opened: Map<string, SubscriptionRecord>;

  constructor(options: Omit<LaneBookOptions, "recipientOf">) {
    const opened = new Map<string, SubscriptionRecord>();
    super({ ...options, recipientOf: (id) => opened.get(id)! });
    this.#opened = opened;
  }
  override open(id: string, subscription: SubscriptionRecord): void {
    this.#opened.set(id, subscription);
    super.open(id, subscription);
  }
}

function bookOf(rig: DeliveryRig, { watermark = 0, cursors = {} }: BookOptions = {}): LaneBook {
  const book = new Book({
    shard: 0,
    addresses: ADDRESSES,
    partitionOf: () => 0,
    cursors: new Map(Object.entries(cursors)),
    watermarks: [watermark],
  });
  rig.moved = (lane) => book.moved(lane);
  book.attach(rig.delivery);
  return book;
}

/** By key: the record, or null where it is removed. */
function said(records: readonly ShardRecord[]): Record<string, CursorRecord | null> {
  return Object.fromEntries(records.map(({ stream, key, value }) => {
    assert.equal(stream, "cursors");
    return [key, value === null ? null : JSON.parse(Buffer.from(value).toString()) as CursorRecord];
  }));
}

describe("the lane book", () => {
  it("A4.3 only a lane that is not done up to the watermark has a record, and only until it is", async () => {
    await using rig = await openDeliveryRig();
    rig.answer = ({ to }) => to === "/slow" ? "hang" : 204;
    const book = bookOf(rig);
    for (const name of ["quick", "slow"]) book.open(name, subscription(name));
    assert.deepEqual(said(book.checkpoint()), {});
    for (let index = 0; index < 3; index++) await rig.publish(TOPIC_ID, "a");
    await rig.received("/quick", 3);
    await eventually("quick to be done", () => !book.lane("quick")!.busy);
    assert.deepEqual(said(book.checkpoint()), { slow: { life: 1, position: 0 } });
    assert.deepEqual(book.watermarks, [3]);
    assert.deepEqual(book.checkpoint(), []);
    await rig.publish(TOPIC_ID, "b");
    await eventually("quick to be done", () => rig.bodies("/quick").length === 4 && !book.lane("quick")!.busy);
    assert.deepEqual(said(book.checkpoint()), {});
    rig.answer = () => 204;
    rig.sent.find(({ to }) => to === "/slow")!.post.answered(204, undefined);
    await eventually("slow to be done", () => !book.lane("slow")!.busy);
    assert.deepEqual(said(book.checkpoint()), { slow: null });
    assert.equal(book.isDirty, false);
  });

  it("A4.3 a restart goes on from the record if it is of this life, else from the watermark or the start", async () => {
    await using rig = await openDeliveryRig();
    rig.answer = () => "hang";
    for (let index = 0; index < 10; index++) await rig.publish(TOPIC_ID, String(index));
    await rig.followed();
    const cursors = { behind: { life: 1, position: 3, beyond: [4] }, reborn: { life: 1, position: 2 } };
    const book = bookOf(rig, { watermark: 6, cursors });
    book.open("behind", subscription("behind", { concurrency: 4 }));
    book.open("reborn", subscription("reborn", { life: 9, start: 8 }));
    book.open("quiet", subscription("quiet"));
    book.open("new", subscription("new", { start: 20 }));
    await eventually("the first attempts", () => rig.sent.length === 6);
    assert.deepEqual(rig.bodies("/behind"), ["3", "5", "6", "7"]);
    assert.deepEqual(rig.bodies("/reborn"), ["8"]);
    assert.deepEqual(rig.bodies("/quiet"), ["6"]);
    assert.deepEqual(rig.bodies("/new"), []);
  });

  it("A4.3 the watermark never goes back, and quiet lanes need no record while the tail is behind it", async () => {
    await using rig = await openDeliveryRig();
    for (let index = 0; index < 4; index++) await rig.publish(TOPIC_ID, String(index));
    await rig.followed();
    // The tail starts behind the watermark of this shard, as if another shard of the process were further behind.
    const book = bookOf(rig, { watermark: 9, cursors: { behind: { life: 1, position: 2 } } });
    rig.answer = () => "hang";
    book.open("quiet", subscription("quiet"));
    book.open("behind", subscription("behind"));
    assert.deepEqual(said(book.checkpoint()), {});
    assert.deepEqual(book.watermarks, [9]);
    rig.answer = () => 204;
    rig.sent[0]!.post.answered(204, undefined);
    await eventually("behind to be at the tail", () => !book.lane("behind")!.busy);
    // The lane is done up to the tail, but not up to the watermark.
    assert.deepEqual(said(book.checkpoint()), { behind: { life: 1, position: 4 } });
    for (let index = 4; index < 12; index++) await rig.publish(TOPIC_ID, String(index));
    await rig.received("/quiet", 3);
    await rig.received("/behind", 10);
    await eventually("both to be done", () => [...book.lanes()].every((lane) => !lane.busy));
    assert.deepEqual(said(book.checkpoint()), { behind: null });
    assert.deepEqual(book.watermarks, [12]);
    assert.deepEqual(rig.bodies("/quiet"), ["9", "10", "11"]);
  });

  it("A4.3 a lane ahead of the watermark keeps its record until the tail has passed it, and not for ever", async () => {
    await using rig = await openDeliveryRig();
    const book = bookOf(rig);
    assert.deepEqual(said(book.begin("ahead", 1, 5)), { ahead: { life: 1, position: 5 } });
    book.open("ahead", subscription("ahead", { start: 5 }));
    assert.deepEqual(said(book.checkpoint()), {});
    for (let index = 0; index < 5; index++) await rig.publish("another-topic", "x");
    await rig.followed();
    assert.deepEqual(said(book.checkpoint()), { ahead: null });
    assert.equal(book.isDirty, false);
    assert.equal(rig.sent.length, 0);
  });

  it("A4.3 expiry writes the position it stopped at, and what lands later; a renewal sends nothing twice", async () => {
    await using rig = await openDeliveryRig();
    rig.answer = () => "hang";
    const book = bookOf(rig);
    book.open("leased", subscription("leased"));
    for (let index = 0; index < 3; index++) await rig.publish(TOPIC_ID, String(index));
    await rig.received("/leased", 1);
    assert.deepEqual(said(book.expire("leased")), { leased: { life: 1, position: 0 } });
    rig.sent[0]!.post.answered(204, undefined);
    assert.deepEqual(said(book.checkpoint()), { leased: { life: 1, position: 1 } });
    assert.equal(book.lane("leased"), undefined);
    await rig.publish(TOPIC_ID, "3");
    await rig.followed();
    assert.deepEqual(said(book.checkpoint()), {});
    rig.answer = () => 204;
    book.open("leased", subscription("leased"));
    assert.deepEqual(await rig.received("/leased", 4), ["0", "1", "2", "3"]);
  });

  it("A4.3 a renewal while the last attempt is under way goes on with the same lane", async () => {
    await using rig = await openDeliveryRig();
    rig.answer = () => "hang";
    const book = bookOf(rig);
    book.open("leased", subscription("leased"));
    for (let index = 0; index < 2; index++) await rig.publish(TOPIC_ID, String(index));
    await rig.received("/leased", 1);
    const lane = book.lane("leased");
    book.expire("leased");
    book.open("leased", subscription("leased", { secret: "new" }));
    assert.equal(book.lane("leased"), lane);
    rig.answer = () => 204;
    rig.sent[0]!.post.answered(204, undefined);
    assert.deepEqual(await rig.received("/leased", 2), ["0", "1"]);
    assert.ok(rig.sent[1]!.post.headers.includes("x-hub-signature"));
  });

  it("an end removes the record, and what lands later says nothing", async () => {
    await using rig = await openDeliveryRig();
    rig.answer = () => "hang";
    const book = bookOf(rig);
    book.open("ended", subscription("ended"));
    await rig.publish(TOPIC_ID, "0");
    await rig.received("/ended", 1);
    assert.deepEqual(said(book.checkpoint()), { ended: { life: 1, position: 0 } });
    assert.deepEqual(said(book.end("ended")), { ended: null });
    rig.sent[0]!.post.answered(204, undefined);
    assert.deepEqual(book.checkpoint(), []);
    assert.deepEqual(book.end("ended"), []);
    assert.equal(book.size, 0);
  });

  it("WIRE §4 a parked lane is parked after a restart, with what is known of its failures, and is probed in time", async () => {
    await using rig = await openDeliveryRig({ random: () => 0.5 });
    await rig.publish(TOPIC_ID, "0");
    await rig.followed();
    const book = bookOf(rig, { watermark: 1, cursors: { down: { life: 1, position: 0, health: PARKED } } });
    book.open("down", subscription("down"));
    const lane = book.lane("down")!;
    assert.deepEqual([lane.state, lane.health.failures, lane.health.lastError], ["parked", 7, "answered 500"]);
    assert.deepEqual(said(book.checkpoint()), {});
    assert.equal(rig.sent.length, 0);
    rig.advance(150_000);
    await eventually("it to recover", () => lane.state === "idle");
    assert.deepEqual(said(book.checkpoint()), { down: null });
  });

  it("WIRE §4 a parked lane whose lease ran out is tried at once when it is renewed", async () => {
    await using rig = await openDeliveryRig();
    await rig.publish(TOPIC_ID, "0");
    await rig.followed();
    const book = bookOf(rig, { watermark: 1, cursors: { down: { life: 1, position: 0, health: PARKED } } });
    book.open("down", subscription("down"));
    book.expire("down");
    book.open("down", subscription("down"));
    assert.deepEqual(await rig.received("/down", 1), ["0"]);
  });
});
