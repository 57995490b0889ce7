// What lanes hold is bounded (§6.7), no lane stalls at the bound, and what retention takes from a lane is recorded (A4.5).
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { append, type DeliveryRig, openDeliveryRig } from "../../../support/rigs/delivery-rig.ts";
import { MOST_GAPS } from "../../../../core/delivery/lane/cursor-record.ts";
import type { Log } from "../../../../core/log/log.ts";
import { LaneMemory } from "../../../../core/delivery/reading/lane-memory.ts";
import { laneOf, messageAt } from "../../../support/rigs/lanes.ts";
import { eventually } from "../../../support/eventually.ts";

const KIB = 1024;
const at = (name: string, topicId: string) => ({ id: name, callback: `http://${name}.example/${name}`, topicId });
const body = (text: string, size: number) => text.padEnd(size, ".");
const brief = (bodies: readonly string[]) => bodies.map((text) => text.replace(/\.+$/, ""));
const numbers = (count: number) => Array.from({ length: count }, (_, index) => String(index));

async function publishAll(rig: DeliveryRig, topics: readonly string[], messages: number, size: number): Promise<void> {
  for (const number of numbers(messages)) {
    await Promise.all(topics.map((topic) => rig.publish(topic, body(number, size))));
  }
}

describe("the memory of lanes", () => {
  const topics = Array.from({ length: 60 }, (_, index) => `topic${index}`);

  for (const where of ["on the tail", "far behind"] as const) {
    it(`§6.7 LANE_MEMORY_BYTES holds with many slow lanes ${where}, and all of them get everything in order`, async () => {
      const laneMemoryBytes = 256 * KIB;
      const log = async (appender: (topic: string, text: string) => Promise<unknown>) => {
        for (const number of numbers(20)) {
          await Promise.all(topics.map((topic) => appender(topic, body(number, 10 * KIB))));
        }
      };
      await using rig = await openDeliveryRig({
        settings: { laneMemoryBytes },
        ...(where === "on the tail" ? {} : {
          from: "end" as const,
          before: (opened) => log((topic, text) => append(opened, topic, text)),
        }),
      });
      rig.answer = () => ({ status: 204, afterMs: 2 });
      for (const topic of topics) rig.add(at(topic, topic));
      if (where === "on the tail") await log((topic, text) => rig.publish(topic, text));
      for (const topic of topics) assert.deepEqual(brief(await rig.received(`/${topic}`, 20)), numbers(20));
      assert.ok(rig.mostHeld <= laneMemoryBytes + 11 * KIB, `${rig.mostHeld} bytes held`);
      assert.ok(rig.mostHeld >= laneMemoryBytes / 2, "the bound was never reached");
      await eventually("nothing to be held", () => rig.delivery.heldBytes === 0);
      assert.equal(rig.sent.length, topics.length * 20);
    });
  }

  it("§6.7 one message larger than all the memory is delivered all the same, one lane after the other", async () => {
    await using rig = await openDeliveryRig({ settings: { laneMemoryBytes: 64 * KIB } });
    const few = topics.slice(0, 5);
    for (const topic of few) rig.add(at(topic, topic));
    await publishAll(rig, few, 3, 300 * KIB);
    for (const topic of few) assert.deepEqual(brief(await rig.received(`/${topic}`, 3)), numbers(3));
    assert.ok(rig.mostHeld <= 365 * KIB, `${rig.mostHeld} bytes held`);
  });

  it("a lane with nothing in hand that is offered a message while memory is full gets it as soon as there is room", async () => {
    await using rig = await openDeliveryRig({ settings: { laneMemoryBytes: 64 * KIB } });
    rig.answer = ({ to }) => to === "/big" ? "hang" : 204;
    rig.add(at("big", "big"));
    rig.add(at("idle", "small"));
    await rig.publish("big", body("big", 100 * KIB));
    await rig.received("/big", 1);
    await rig.publish("small", "a");
    await rig.followed();
    assert.deepEqual(rig.bodies("/idle"), []);
    rig.sent[0]!.post.answered(204, undefined);
    assert.deepEqual(await rig.received("/idle", 1), ["a"]);
  });

  it("lanes that pause give up what they hold to those that can go on", async () => {
    await using rig = await openDeliveryRig({
      settings: { laneMemoryBytes: 256 * KIB, retry: { minMs: 60_000, maxMs: 60_000 } },
    });
    rig.answer = ({ to }) => to.startsWith("/topic") ? 500 : 204;
    const failing = topics.slice(0, 20);
    for (const topic of failing) rig.add(at(topic, topic));
    await publishAll(rig, failing, 10, 10 * KIB);
    await eventually("all memory to be taken", () => rig.delivery.heldBytes >= 128 * KIB);
    rig.add(at("well", "well"));
    await publishAll(rig, ["well"], 30, 10 * KIB);
    assert.deepEqual(brief(await rig.received("/well", 30, 5_000)), numbers(30));
    rig.answer = () => 204;
    rig.advance(60_000);
    for (const topic of failing) {
      await eventually(`${topic} to recover`, () => new Set(rig.bodies(`/${topic}`)).size === 10);
      const first = [...new Set(brief(rig.bodies(`/${topic}`)))];
      assert.deepEqual(first, numbers(10));
    }
  });

  it("a message that many lanes hold counts once", async () => {
    await using rig = await openDeliveryRig();
    rig.answer = () => "hang";
    for (let index = 0; index < 50; index++) rig.add(at(`lane${index}`, "one"));
    await rig.publish("one", body("a", 10 * KIB));
    await eventually("50 attempts", () => rig.sent.length === 50);
    assert.ok(rig.delivery.heldBytes < 11 * KIB);
    for (const { post } of rig.sent) post.answered(204, undefined);
    assert.equal(rig.delivery.heldBytes, 0);
  });
});

describe("what a subscriber has already", () => {
  it("an ack past all that a lane behind the tail holds lets it read on", async () => {
    await using rig = await openDeliveryRig({
      from: "end",
      before: async (log) => {
        for (const number of numbers(200)) await append(log, "one", body(number, 50 * KIB));
      },
    });
    rig.answer = () => "hang";
    const lane = rig.add(at("acking", "one"));
    await rig.received("/acking", 1);
    await eventually("it to hold some", () => lane.backlog.queued > 0);
    rig.answer = () => 204;
    rig.delivery.advance(lane, lane.readFrom);
    await eventually("the rest to come", () => brief(rig.bodies("/acking")).at(-1) === "199");
    await eventually("it to be at rest", () => lane.state === "idle" && !lane.busy);
  });
});

describe("gaps", () => {
  /** A log whose first messages are removed by retention. */
  const removing = (count: number) => ({
    retentionMs: 500,
    sweepMs: 10,
    before: async (log: Log) => {
      for (const number of numbers(count)) await append(log, "one", number);
      await eventually("retention", async () => await log.start("messages", 0) === count);
    },
  });

  it("A4.5 what retention took from a lane behind the tail is recorded, and the rest delivered", async () => {
    await using rig = await openDeliveryRig({ ...removing(5), from: "end" });
    const lane = rig.add({ ...at("late", "one"), position: 2 });
    await rig.publish("one", "5");
    assert.deepEqual(await rig.received("/late", 1), ["5"]);
    assert.deepEqual(lane.gaps, [{ from: 2, to: 5 }]);
    await eventually("it to be done", () => !lane.busy);
    assert.deepEqual(lane.record(6), { life: 1, position: 6, gaps: [{ from: 2, to: 5 }] });
  });

  it("A4.5 what retention took before the tail began is recorded for each lane, as far as it had not had it", async () => {
    await using rig = await openDeliveryRig({ ...removing(4), from: 1, started: false });
    const lanes = [1, 3, 4].map((position) => rig.add({ ...at(`from${position}`, "one"), position }));
    rig.delivery.start();
    await rig.publish("one", "4");
    for (const position of [1, 3, 4]) assert.deepEqual(await rig.received(`/from${position}`, 1), ["4"]);
    assert.deepEqual(lanes.map(({ gaps }) => gaps), [[{ from: 1, to: 4 }], [{ from: 3, to: 4 }], undefined]);
  });

  it("A4.5 gaps with nothing between them are one, and their number is bounded", () => {
    const lane = laneOf();
    for (const [from, to] of [[1, 4], [4, 9], [12, 14], [13, 20]] as const) lane.addGap({ from, to });
    assert.deepEqual(lane.gaps, [{ from: 1, to: 9 }, { from: 12, to: 20 }]);
    for (let from = 100; from < 10_000; from += 10) lane.addGap({ from, to: from + 5 });
    assert.equal(lane.gaps!.length, MOST_GAPS);
    assert.equal(lane.gaps![0]!.from, 1);
    assert.deepEqual(lane.gaps!.at(-1), { from: 9_990, to: 9_995 });
  });
});

describe("lanes that wait for memory", () => {
  it("have their turn in several turns of the event loop, however many may go at once", () => {
    let turns = 0;
    const onTurn = () => {
      turns++;
      for (const begun = performance.now(); performance.now() - begun < 5;);
    };
    const memory = new LaneMemory({ most: 10_000, tailNext: () => 0, clock: () => 0, onTurn });
    const [full, ...waiting] = Array.from({ length: 21 }, () => laneOf());
    const message = messageAt(0, { body: Buffer.alloc(20_000) });
    memory.give(full!, message);
    for (const lane of waiting) assert.equal(memory.admit(lane), false);
    memory.release(message);
    for (let woken = 0; woken < waiting.length && turns < waiting.length; woken++) {
      const before = turns;
      memory.wake();
      assert.ok(turns > before && turns <= before + 5, `${turns - before} at once`);
    }
    assert.equal(turns, waiting.length);
  });
});
