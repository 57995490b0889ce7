// What becomes of lanes whose attempts fail, over a real log and a transport that answers as told.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { at, numbers, openDeliveryRig, TOPIC } from "../../../support/rigs/delivery-rig.ts";
import { eventually, never } from "../../../support/eventually.ts";
import { termsOf } from "../../../support/rigs/lanes.ts";

describe("failing, parking, giving up", () => {
  it("WIRE §4 fails, parks, is probed, recovers, and goes on in order without a new publish", async () => {
    await using rig = await openDeliveryRig();
    let status = 503;
    rig.answer = () => status;
    const lane = rig.add(at("down"));
    for (const body of numbers(5)) await rig.publish(TOPIC, body);
    await rig.received("/down", 3);
    rig.advance(900_000);
    await eventually("it to be parked", () => lane.state === "parked");
    await eventually("it to hold nothing", () => rig.delivery.heldBytes === 0);
    const before = rig.sent.length;
    await never("an attempt before the probe", () => rig.sent.length > before, 100);
    for (const body of numbers(5, 5)) await rig.publish(TOPIC, body);
    rig.advance(300_000);
    await eventually("a probe", () => rig.sent.length === before + 1);
    await eventually("the probe to fail", () => lane.inFlight === 0);
    assert.equal(lane.state, "parked");
    assert.equal(lane.record(10)?.position, 0);
    assert.deepEqual([...new Set(rig.bodies("/down"))], ["0"]);
    status = 204;
    rig.advance(300_000);
    await rig.received("/down", before + 11);
    assert.deepEqual(rig.bodies("/down").slice(before + 1), numbers(10));
    await eventually("it to be at rest", () => lane.state === "idle" && lane.record(10) === undefined);
    assert.equal(new Set(rig.sent.filter(({ body }) => body === "0").map(({ id }) => id)).size, 1);
  });

  it("WIRE §4 a renewal probes a parked lane at once", async () => {
    await using rig = await openDeliveryRig();
    let status = 500;
    rig.answer = () => status;
    const lane = rig.add(at("down"));
    await rig.publish(TOPIC, "a");
    await eventually("it to fail", () => lane.health.failures > 0);
    rig.advance(900_000);
    await eventually("it to be parked", () => lane.state === "parked");
    const before = rig.sent.length;
    rig.delivery.renew(lane, termsOf(lane));
    await eventually("a probe", () => rig.sent.length === before + 1);
    assert.deepEqual(rig.parked, [lane], "a probe that fails does not park it anew");
    assert.deepEqual(rig.recovered, []);
    status = 204;
    rig.delivery.renew(lane, termsOf(lane));
    await eventually("it to be at rest", () => lane.state === "idle");
    assert.deepEqual(rig.recovered, [lane]);
    assert.equal(rig.sent.length, before + 2);
  });

  it("after it recovered, a lane's pauses are short again", async () => {
    await using rig = await openDeliveryRig();
    let status = 500;
    rig.answer = ({ body }) => body === "slow" ? "hang" : status;
    const lane = rig.add({ ...at("down"), concurrency: 2 });
    await rig.publish(TOPIC, "slow");
    await rig.publish(TOPIC, "a");
    await eventually("it to fail", () => lane.health.failures > 0);
    rig.advance(900_000);
    await eventually("it to be parked", () => lane.state === "parked");
    // An attempt from before succeeds: the callback is there again. The next failure is a first one.
    rig.answer = ({ body }) => body === "b" && status === 500 ? 500 : 204;
    rig.sent.find(({ body }) => body === "slow")!.post.answered(204, undefined);
    await rig.publish(TOPIC, "b");
    await eventually("b to fail", () => rig.bodies("/down").includes("b"));
    status = 204;
    await eventually("b to succeed", () => lane.position(3) === 3, { deadlineMs: 3_000 });
  });

  it("WIRE §3 a message refused 5 times is a dead letter, and the next one follows", async () => {
    await using rig = await openDeliveryRig();
    rig.answer = ({ body }) => body === "bad" ? 422 : 204;
    const lane = rig.add(at("picky"));
    for (const body of ["a", "bad", "b"]) await rig.publish(TOPIC, body);
    assert.deepEqual(await rig.received("/picky", 7), ["a", "bad", "bad", "bad", "bad", "bad", "b"]);
    await eventually("it to be at rest", () => lane.state === "idle" && lane.record(3) === undefined);
    assert.equal(rig.deadLetters.length, 1);
    const { lane: of, id, firstAt, lastAt, ...letter } = rig.deadLetters[0]!;
    assert.equal(of, lane);
    assert.equal(id, rig.sent[1]!.id);
    assert.ok(firstAt <= lastAt && firstAt >= rig.sent[1]!.at - 5);
    assert.deepEqual(letter, { partition: 0, offset: 1, reason: "answered 422", status: 422, attempts: 5 });
    assert.deepEqual(rig.delivery.counts.deadLettered, 1);
  });

  it("WIRE §3 other failures in between do not count as refusals", async () => {
    await using rig = await openDeliveryRig({ settings: { deadLetterAttempts: 2 } });
    const answers = [400, 500, 404, 413];
    rig.answer = () => answers.shift() ?? 204;
    rig.add(at("picky"));
    for (const body of ["a", "b"]) await rig.publish(TOPIC, body);
    assert.deepEqual(await rig.received("/picky", 5), ["a", "a", "a", "a", "b"]);
    assert.equal(rig.deadLetters[0]?.attempts, 4);
    assert.equal(rig.deadLetters[0]?.status, 413);
  });

  it("WIRE §3 a message answered exactly 500 as often as DEAD_LETTER_500_ATTEMPTS says is a dead letter", async () => {
    await using rig = await openDeliveryRig({ settings: { deadLetter500Attempts: 3 } });
    const answers = [500, 503, 501, 500, 404, 599, 500];
    rig.answer = () => answers.shift() ?? 204;
    const lane = rig.add(at("broken"));
    for (const body of ["a", "b"]) await rig.publish(TOPIC, body);
    assert.deepEqual(await rig.received("/broken", 8), ["a", "a", "a", "a", "a", "a", "a", "b"]);
    await eventually("it to be at rest", () => lane.state === "idle" && lane.record(2) === undefined);
    const { reason, status, attempts, offset } = rig.deadLetters[0]!;
    assert.deepEqual({ reason, status, attempts, offset }, {
      reason: "answered 500",
      status: 500,
      attempts: 7,
      offset: 0,
    });
    assert.equal(rig.deadLetters.length, 1);
  });

  it("WIRE §3 without that setting a 500 never makes a dead letter, and 400s and 500s are counted apart", async () => {
    await using rig = await openDeliveryRig({ settings: { deadLetterAttempts: 2 } });
    const answers = [...Array.from({ length: 12 }, () => 500), 422, 500, 422];
    rig.answer = () => answers.shift() ?? 204;
    rig.add(at("broken"));
    for (const body of ["a", "b"]) await rig.publish(TOPIC, body);
    await eventually("all but the pauses", () => {
      rig.advance(300_000);
      return rig.deadLetters.length === 1;
    });
    assert.equal(rig.deadLetters[0]?.attempts, 15);
    assert.equal(rig.deadLetters[0]?.status, 422);
  });

  it("WIRE §4 probes of a parked lane are counted, too, and one that makes a dead letter ends the parking", async () => {
    await using rig = await openDeliveryRig({ settings: { deadLetter500Attempts: 4 } });
    rig.answer = ({ body }) => body === "bad" ? 500 : 204;
    const lane = rig.add(at("parked"));
    for (const body of ["bad", "good"]) await rig.publish(TOPIC, body);
    await eventually("it to fail", () => lane.health.failures === 1);
    for (let parked = 2; parked <= 3; parked++) {
      rig.advance(900_000);
      await eventually("it to be parked", () => lane.state === "parked" && lane.health.failed?.answered500 === parked);
    }
    rig.advance(900_000);
    await eventually("it to be at rest", () => lane.state === "idle" && lane.record(2) === undefined);
    assert.deepEqual(rig.bodies("/parked"), ["bad", "bad", "bad", "bad", "good"]);
    assert.equal(rig.deadLetters.length, 1);
  });

  it("WIRE §4 Retry-After of the 500 that makes a dead letter holds for the next message", async () => {
    await using rig = await openDeliveryRig({ settings: { deadLetter500Attempts: 1 } });
    rig.answer = ({ body }) => body === "bad" ? { status: 500, retryAfter: "300" } : 204;
    const lane = rig.add(at("busy"));
    for (const body of ["bad", "good"]) await rig.publish(TOPIC, body);
    await eventually("a dead letter", () => rig.deadLetters.length === 1);
    await never("an attempt in the pause", () => rig.sent.length > 1, 100);
    rig.advance(301_000);
    await eventually("it to be at rest", () => lane.state === "idle" && lane.record(2) === undefined);
    assert.deepEqual(rig.bodies("/busy"), ["bad", "good"]);
  });

  it("a dead letter does not end the pause of another message (concurrency above 1)", async () => {
    await using rig = await openDeliveryRig({ settings: { deadLetterAttempts: 1 } });
    rig.answer = ({ body }) =>
      body === "bad" ? { status: 400, afterMs: 60 } : { status: 503, retryAfter: "300", afterMs: 30 };
    rig.add({ ...at("two"), concurrency: 2 });
    await Promise.all(["busy", "bad"].map((body) => rig.publish(TOPIC, body)));
    await eventually("a dead letter", () => rig.deadLetters.length === 1);
    await never("an attempt in the pause", () => rig.sent.length > 2, 100);
  });

  it("a success is one also where the attempt began before the tick that ends the pause", async () => {
    await using rig = await openDeliveryRig();
    let status = 500;
    rig.answer = () => status;
    const lane = rig.add(at("down"));
    await rig.publish(TOPIC, "a");
    await eventually("it to fail", () => lane.state === "backingOff");
    status = 204;
    const { length } = rig.sent;
    rig.advance(300_000);
    // Something else lets the lane look whether it may go on, in the same step.
    rig.delivery.advance(lane, 0);
    assert.equal(rig.sent.length, length + 1);
    await eventually("it to be at rest", () => lane.state === "idle");
    assert.equal(lane.health.failures, 0);
    assert.equal(lane.record(1), undefined);
  });

  it("pauses are as long as they were meant when the clock is set back", async () => {
    await using rig = await openDeliveryRig();
    let status = 500;
    rig.answer = () => status;
    const lane = rig.add(at("down"));
    await rig.publish(TOPIC, "a");
    await rig.received("/down", 2);
    rig.advance(-3_600_000);
    status = 204;
    await eventually("it to be tried again", () => lane.state === "idle", { deadlineMs: 3_000 });
  });
});
