// The tail over a real log: what it offers, and what it says of how far it has come.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { append, at, numbers, openDeliveryRig, TOPIC } from "../../support/rigs/delivery-rig.ts";
import { eventually } from "../../support/eventually.ts";

describe("the tail", () => {
  it("A4.4 what an edge sent twice is one message, on the tail and when catching up", async () => {
    await using rig = await openDeliveryRig();
    const first = rig.add(at("tail"));
    for (const [body, id] of [["a", "msg_a"], ["b", "msg_b"], ["a", "msg_a"], ["c", "msg_c"]]) {
      await rig.publish(TOPIC, body!, id);
    }
    assert.deepEqual(await rig.received("/tail", 3), ["a", "b", "c"]);
    rig.add(at("behind"));
    assert.deepEqual(await rig.received("/behind", 3), ["a", "b", "c"]);
    await rig.followed();
    await eventually("nothing in hand", () => !first.busy);
    assert.equal(rig.sent.length, 6);
  });

  it("a batch for very many lanes lets others run in between", async () => {
    await using rig = await openDeliveryRig({
      started: false,
      before: async (log) => void await Promise.all(numbers(200).map((body) => append(log, TOPIC, body))),
    });
    rig.answer = () => "hang";
    const lanes = Array.from({ length: 20_000 }, (_, index) => rig.add(at(`many${index}`)));
    const last = lanes.at(-1)!;
    const seen = new Set<number>();
    rig.delivery.start();
    while (last.readFrom < 200) {
      await new Promise((resolve) => setImmediate(resolve));
      seen.add(last.readFrom);
    }
    // How many turns there are is a matter of speed; that there are some between the first offer and the last is not.
    assert.ok([...seen].some((offset) => offset > 0 && offset < 200), `seen: ${[...seen].join()}`);
    assert.ok(lanes.every((lane) => lane.readFrom === 200 && lane.onTail));
  });

  it("ARCHITECTURE §4 a message for very many lanes gives others their turn, and reaches one that joins meanwhile once", async () => {
    await using rig = await openDeliveryRig();
    for (let n = 0; n < 1_000; n++) rig.add(at(`one-${n}`));
    let offered = 0;
    let turn: { offered: number; tailNext: number } | undefined;
    rig.moved = () => {
      // 0.1 ms each: 100 ms in one step.
      for (const until = performance.now() + 0.1; performance.now() < until;);
      if (offered++ > 0) return;
      setImmediate(() => {
        turn = { offered, tailNext: rig.delivery.tail.next(0) };
        rig.moved = () => {};
        rig.add(at("late"));
      });
    };
    await rig.publish(TOPIC, "a");
    await rig.followed();
    await rig.received("/late", 1);
    await eventually("all to be sent", () => rig.sent.length >= 1_001);
    assert.ok(turn!.offered < 1_000, String(turn!.offered));
    assert.equal(turn!.tailNext, 0, "a watermark would pass those that have not been offered it");
    assert.equal(rig.sent.length, 1_001);
    assert.equal(rig.bodies("/late").length, 1);
  });

  it("a wait for the tail ends when it has passed, when time is up, and when the hub stops", async () => {
    await using rig = await openDeliveryRig();
    const passed = rig.delivery.tail.passed(0, 1, 5_000);
    assert.equal(await rig.delivery.tail.passed(0, 1, 20), false);
    await rig.publish(TOPIC, "a");
    assert.equal(await passed, true);
    assert.equal(await rig.delivery.tail.passed(0, 1, 0), true);
    const waiting = rig.delivery.tail.passed(0, 99, 60_000);
    await rig.delivery.stop(0);
    assert.equal(await waiting, false);
  });
});
