// Whose turn it is: order, repeats, and no lane held up by another, over a real log and a transport that answers as told.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { nextTurn } from "../../../../shared/turn.ts";
import { at, numbers, openDeliveryRig, TOPIC } from "../../../support/rigs/delivery-rig.ts";
import { eventually, never } from "../../../support/eventually.ts";

/** A seeded source of numbers in [0, 1), so that a failure can be repeated. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

describe("order and repeats", () => {
  for (const concurrency of [1, 4]) {
    it(`§6.2, §6.3 with failures at random everything arrives, in order of first success if one at a time (${concurrency})`, async () => {
      const random = seeded(concurrency);
      await using rig = await openDeliveryRig({ settings: { retry: { minMs: 1, maxMs: 5 } }, random });
      const succeeded: string[] = [];
      const inFlight = new Set<string>();
      rig.answer = ({ body }) => {
        assert.ok(!inFlight.has(body) && !succeeded.includes(body), `${body} is sent again`);
        inFlight.add(body);
        const status = random() < 0.3 ? 500 : 204;
        setImmediate(() => {
          inFlight.delete(body);
          if (status === 204) succeeded.push(body);
        });
        return status;
      };
      const lane = rig.add({ ...at("flaky"), concurrency });
      await Promise.all(numbers(150).map((body) => rig.publish(TOPIC, body)));
      await eventually("all to succeed", () => succeeded.length >= 150, { seen: () => `${succeeded.length}` });
      if (concurrency === 1) assert.deepEqual(succeeded, numbers(150));
      else assert.deepEqual(succeeded.toSorted((a, b) => Number(a) - Number(b)), numbers(150));
      await eventually("the lane to be done", () => !lane.busy);
      assert.equal(lane.position(rig.delivery.tail.next(0)), 150);
    });
  }

  it("A4.3 with concurrency above 1 the position moves over the contiguous prefix only", async () => {
    await using rig = await openDeliveryRig();
    rig.answer = ({ body }) => body === "0" ? "hang" : 204;
    const lane = rig.add({ ...at("wide"), concurrency: 3 });
    await Promise.all(numbers(20).map((body) => rig.publish(TOPIC, body)));
    await rig.received("/wide", 20);
    await eventually("19 done", () => lane.inFlight === 1);
    assert.equal(lane.position(20), 0);
    assert.deepEqual(lane.record(20)?.beyond, numbers(19, 1).map(Number));
    rig.sent.find(({ body }) => body === "0")!.post.answered(204, undefined);
    assert.equal(lane.position(20), 20);
    assert.equal(lane.record(20), undefined);
  });

  it("A4.3 a lane that is full beyond its prefix goes on as soon as the prefix is done, though it was parked meanwhile", async () => {
    await using rig = await openDeliveryRig({ settings: { parkAfterMs: 1_000 } });
    let well = false;
    rig.answer = ({ body }) => body === "0" && !well ? 500 : 204;
    const lane = rig.add({ ...at("wide"), concurrency: 64 });
    await Promise.all(numbers(600).map((body) => rig.publish(TOPIC, body)));
    await eventually("it to wait for its prefix", () => (lane.record(600)?.beyond?.length ?? 0) >= 250);
    rig.advance(2_000);
    await eventually("it to be parked", () => lane.state === "parked");
    assert.ok(new Set(rig.bodies("/wide")).size < 600);
    well = true;
    rig.advance(600_000);
    await eventually("all to be done", () => lane.position(600) === 600);
    const times = (body: string) => rig.bodies("/wide").filter((other) => other === body).length;
    for (const body of numbers(599, 1)) assert.equal(times(body), 1, body);
  });
});

describe("isolation", () => {
  it("many answers that come at once begin no more attempts than one turn of the event loop has time for", async () => {
    await using rig = await openDeliveryRig();
    rig.answer = () => {
      for (const begun = performance.now(); performance.now() - begun < 0.5;);
      return "hang";
    };
    for (let n = 0; n < 400; n++) rig.add(at(`lane${n}`));
    await rig.publish(TOPIC, "to all");
    while (rig.sent.length < 10) await nextTurn();
    const before = rig.sent.length;
    for (const { post } of rig.sent.slice(0, 10)) post.answered(204, undefined);
    assert.ok(before < 200 && rig.sent.length < before + 100, `${before}, then ${rig.sent.length}`);
    await eventually("the others to have their turn", () => rig.sent.length === 400);
  });

  it("a callback that hangs does not delay the others, in one origin or in many", async () => {
    await using rig = await openDeliveryRig();
    rig.answer = ({ to }) => to.startsWith("/hang") ? "hang" : 204;
    for (let index = 0; index < 100; index++) {
      rig.add({ ...at(`hang${index}`), callback: `http://h${index % 50}.example/hang${index}` });
      for (let well = 0; well < 9; well++) {
        rig.add({ ...at(`well${index}-${well}`), callback: `http://w${index}.example/well${index}-${well}` });
      }
    }
    for (const body of numbers(5)) await rig.publish(TOPIC, body);
    await rig.followed();
    await eventually("the well to have all", () => rig.sent.length === 100 + 900 * 5, { deadlineMs: 3_000 });
  });

  it("more callbacks of one requester that hang at once than it has places are felt for a second, not until they time out", async () => {
    await using rig = await openDeliveryRig();
    rig.answer = ({ to }) => to.startsWith("/hang") ? "hang" : 204;
    for (let index = 0; index < 1_500; index++) {
      rig.add({ ...at(`hang${index}`), callback: `http://h${index}.example/hang${index}` });
    }
    for (let index = 0; index < 100; index++) {
      rig.add({ ...at(`well${index}`), callback: `http://w${index}.example/well${index}` });
    }
    await rig.publish(TOPIC, "a");
    const well = () => rig.sent.filter(({ to }) => to.startsWith("/well")).length;
    await eventually("the well to have it", () => well() === 100, { deadlineMs: 5_000, seen: () => `${well()}` });
  });

  it("an origin with many lanes that hang holds no more than its share", async () => {
    await using rig = await openDeliveryRig();
    rig.answer = ({ to }) => to.startsWith("/hang") ? "hang" : 204;
    for (let index = 0; index < 800; index++) {
      rig.add({ ...at(`hang${index}`), callback: `http://one.example/hang${index}` });
    }
    rig.add({ ...at("well"), callback: "http://two.example/well" });
    await rig.publish(TOPIC, "a");
    await rig.received("/well", 1, 2_000);
    const hanging = () => rig.sent.filter(({ to }) => to.startsWith("/hang")).length;
    await never("more than its share", () => hanging() !== 256, 50);
  });

  it("lanes that wait for a place all get one, in time", async () => {
    await using rig = await openDeliveryRig();
    rig.answer = () => ({ status: 204, afterMs: 1 });
    for (let index = 0; index < 3_000; index++) {
      rig.add({ ...at(`lane${index}`), callback: `http://one.example/lane${index}` });
    }
    for (const body of numbers(3)) await rig.publish(TOPIC, body);
    await eventually("9,000 deliveries", () => rig.sent.length === 9_000, { seen: () => `${rig.sent.length}` });
    await eventually("nothing in flight", () => rig.delivery.inFlight === 0);
  });

  it("WIRE §4 Retry-After holds for its subscription, at most RETRY_MAX, and its origin gets fewer at a time", async () => {
    await using rig = await openDeliveryRig({ settings: { retry: { minMs: 1, maxMs: 60_000 } } });
    rig.answer = ({ to }) => to === "/busy" ? { status: 503, retryAfter: "86400" } : to === "/other" ? 204 : "hang";
    const busy = rig.add({ ...at("busy"), callback: "http://one.example/busy" });
    await rig.publish(TOPIC, "a");
    await eventually("it to ask for a pause", () => busy.health.failures > 0);
    for (let index = 0; index < 300; index++) {
      rig.add({ ...at(`same${index}`), callback: `http://one.example/same${index}` });
    }
    rig.add({ ...at("other"), callback: "http://one.example/other", topicId: "second" });
    await eventually("the origin's places to be taken", () => rig.delivery.inFlight >= 128);
    await never("an earlier repeat", () => rig.bodies("/busy").length > 1, 150);
    assert.ok(rig.delivery.inFlight < 200, `${rig.delivery.inFlight} in flight`);
    const first = rig.sent.find(({ to }) => to === "/busy")!;
    rig.advance(60_000);
    for (const { to, post } of rig.sent) if (to.startsWith("/same")) post.answered(204, undefined);
    rig.answer = () => 204;
    await rig.received("/busy", 2);
    assert.ok(rig.sent.filter(({ to }) => to === "/busy")[1]!.at - first.at >= 60_000);
  });
});
