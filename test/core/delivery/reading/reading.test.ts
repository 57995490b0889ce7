// How lanes join the tail and come up to it, over a real log.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { append, at, numbers, openDeliveryRig, TOPIC } from "../../../support/rigs/delivery-rig.ts";
import { eventually } from "../../../support/eventually.ts";
import { laneOf } from "../../../support/rigs/lanes.ts";

describe("joining the tail", () => {
  it("A4.1 lanes that join under a running publisher get everything from their position on, once and in order", async () => {
    await using rig = await openDeliveryRig();
    const publishing = (async () => {
      for (const body of numbers(200)) await rig.publish(TOPIC, body);
    })();
    for (let lane = 0; lane < 8; lane++) {
      await eventually("the publisher to go on", () => rig.delivery.tail.next(0) >= lane * 22);
      rig.add({ ...at(`/joined${lane}`.slice(1)), position: lane * 11 });
    }
    await publishing;
    for (let lane = 0; lane < 8; lane++) {
      const from = lane * 11;
      assert.deepEqual(await rig.received(`/joined${lane}`, 200 - from), numbers(200 - from, from));
    }
  });

  it("§6.4 a lane that begins beyond the tail gets nothing from before its start", async () => {
    await using rig = await openDeliveryRig();
    const lane = rig.add({ ...at("later"), position: 3 });
    for (const body of numbers(6)) await rig.publish(TOPIC, body);
    assert.deepEqual(await rig.received("/later", 3), ["3", "4", "5"]);
    await eventually("it to be at rest", () => lane.state === "idle");
  });

  it("A4.1 lanes of a shard just taken join as a group: only those that may have missed something read the log", async () => {
    await using rig = await openDeliveryRig({
      from: "end",
      before: async (log) => void await append(log, TOPIC, "missed"),
    });
    const quiet = { until: [1], mayHave: (_: number, topicId: string) => topicId === TOPIC };
    const [missing, idle] = [laneOf(at("missing")), laneOf({ ...at("idle"), topicId: "topic-two" })];
    for (const lane of [missing, idle]) rig.delivery.add(lane, quiet);
    assert.deepEqual([missing.onTail, idle.onTail], [false, true]);
    assert.deepEqual(await rig.received("/missing", 1), ["missed"]);
    // What is known ends before the tail's memory begins: the lane may have missed something.
    const unknown = laneOf({ ...at("unknown"), topicId: "topic-three" });
    rig.delivery.add(unknown, { ...quiet, until: [0] });
    assert.equal(unknown.onTail, false);
    await eventually("it to be at the tail", () => unknown.onTail);
    for (const topicId of ["topic-two", "topic-three"]) await rig.publish(topicId, "news");
    assert.deepEqual(await rig.received("/idle", 1), ["news"]);
    assert.deepEqual(await rig.received("/unknown", 1), ["news"]);
  });

  it("A4.1 a lane that overflows under a running publisher catches up to the tail without loss or repeat", async () => {
    await using rig = await openDeliveryRig();
    let slow = true;
    rig.answer = () => slow ? { status: 204, afterMs: 25 } : 204;
    const lane = rig.add(at("slow"));
    const states = new Set<string>();
    for (let round = 0; round < 8; round++) {
      await Promise.all(numbers(300, round * 300).map((body) => rig.publish(TOPIC, body)));
      await rig.followed();
      states.add(lane.state);
      assert.ok(lane.backlog.queued <= 1_024, `${lane.backlog.queued} in its queue`);
    }
    assert.ok(states.has("catchingUp"), "it never overflowed");
    slow = false;
    for (let more = 0; more < 100; more++) await rig.publish(TOPIC, String(2_400 + more));
    assert.deepEqual(await rig.received("/slow", 2_500), numbers(2_500));
    await eventually("the lane at the tail", () => lane.onTail && lane.state === "idle");
    assert.equal(rig.delivery.heldBytes, 0);
  });

  it("A4.2 lanes far behind read large messages chunk by chunk, those of one position together", async () => {
    await using rig = await openDeliveryRig({
      from: "end",
      before: async (log) => {
        // A few in each chunk of a MiB, and more than the ring holds.
        for (let index = 0; index < 36; index++) {
          await append(log, index % 3 === 0 ? "other" : TOPIC, `${index}`.padEnd(300_000, "."));
        }
      },
    });
    for (const name of ["one", "two"]) rig.add(at(name));
    rig.add({ ...at("third"), topicId: "other", position: 4 });
    const all = numbers(36);
    const brief = (bodies: string[]) => bodies.map((body) => body.replaceAll(".", ""));
    for (const name of ["/one", "/two"]) {
      assert.deepEqual(brief(await rig.received(name, 24)), all.filter((_, index) => index % 3 !== 0));
    }
    assert.deepEqual(brief(await rig.received("/third", 10)), all.filter((_, index) => index > 4 && index % 3 === 0));
    await rig.publish(TOPIC, "36");
    assert.equal((await rig.received("/one", 25)).at(-1), "36");
  });
});
