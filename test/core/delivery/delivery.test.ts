// How lanes, their shard and the scheduler come to an end, over a real log and a transport that answers as told.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SecretError } from "../../../core/keys/secrets.ts";
import { createSigners } from "../../../core/keys/signers.ts";
import { at, numbers, openDeliveryRig, type Sent, TOPIC } from "../../support/rigs/delivery-rig.ts";
import { eventually, never, pause } from "../../support/eventually.ts";
import { targetOf, termsOf } from "../../support/rigs/lanes.ts";

describe("ends", () => {
  it("§7 after a 410 nothing more is sent, and the owner hears of it once", async () => {
    await using rig = await openDeliveryRig();
    rig.answer = ({ body }) => body === "1" ? 410 : 204;
    const lane = rig.add(at("gone"));
    for (const body of numbers(5)) await rig.publish(TOPIC, body);
    await eventually("the owner to hear", () => rig.gone.length > 0);
    await rig.publish(TOPIC, "5");
    await rig.followed();
    rig.delivery.end(lane);
    await pause(40);
    assert.deepEqual(rig.bodies("/gone"), ["0", "1"]);
    assert.deepEqual(rig.gone, [lane]);
    assert.equal(rig.delivery.heldBytes, 0);
    assert.equal(rig.delivery.counts.gone, 1);
  });

  it("§5.3.1 after the lease nothing starts, the owner hears of it once, and the position is kept", async () => {
    await using rig = await openDeliveryRig();
    const lane = rig.add({ ...at("leased"), expiresAt: rig.clock() + 60_000 });
    await rig.publish(TOPIC, "0");
    await rig.received("/leased", 1);
    await eventually("0 to be done", () => !lane.busy);
    rig.advance(60_001);
    for (const body of numbers(5, 1)) await rig.publish(TOPIC, body);
    await rig.followed();
    await pause(40);
    assert.deepEqual(rig.bodies("/leased"), ["0"]);
    assert.deepEqual(rig.overLease, [lane]);
    assert.equal(lane.state, "expired");
    assert.equal(lane.record(6)?.position, 1);
    assert.equal(rig.delivery.heldBytes, 0);
  });

  for (const outcome of [204, 500]) {
    it(`WIRE §2 a lease that is over with an attempt in flight (${outcome}), and a renewal: nothing twice, nothing lost`, async () => {
      await using rig = await openDeliveryRig();
      rig.answer = () => "hang";
      const lane = rig.add({ ...at("leased"), concurrency: 2 });
      for (const body of numbers(4)) await rig.publish(TOPIC, body);
      await rig.received("/leased", 2);
      rig.delivery.expire(lane);
      await rig.publish(TOPIC, "4");
      await rig.followed();
      rig.sent[1]!.post.answered(outcome, undefined);
      assert.equal(lane.record(5)?.position, 0);
      lane.renew(termsOf(lane, { concurrency: 2 }));
      rig.answer = () => 204;
      rig.delivery.add(lane);
      await eventually("the rest to be sent", () => rig.bodies("/leased").includes("4"));
      rig.sent[0]!.post.answered(204, undefined);
      await eventually("all to be done", () => lane.position(5) === 5);
      const expected = outcome === 204 ? ["0", "1", "2", "3", "4"] : ["0", "1", "1", "2", "3", "4"];
      assert.deepEqual(rig.bodies("/leased").toSorted(), expected);
      await eventually("nothing to be held", () => rig.delivery.heldBytes === 0);
    });
  }

  it("A4.3 outcomes of attempts begun before an end move nothing", async () => {
    await using rig = await openDeliveryRig({ settings: { deadLetterAttempts: 1 } });
    rig.answer = () => "hang";
    const lanes = [204, 500, 400, 410].map((status) => ({ status, lane: rig.add(at(`ended${status}`)) }));
    await rig.publish(TOPIC, "a");
    await eventually("four attempts", () => rig.sent.length === 4);
    for (const { lane } of lanes) rig.delivery.end(lane);
    for (const { status } of lanes) {
      rig.sent.find(({ to }) => to === `/ended${status}`)!.post.answered(status, undefined);
    }
    await pause(40);
    assert.deepEqual([rig.sent.length, rig.gone.length, rig.deadLetters.length], [4, 0, 0]);
    assert.equal(rig.delivery.inFlight, 0);
    assert.equal(rig.delivery.heldBytes, 0);
  });

  it("A3.3 a release waits for what is in flight, also beside an attempt whose secret cannot be opened", async () => {
    const open = (sealed: string) => {
      if (sealed === "lost") throw new SecretError("unknown_key", "no such key");
      return sealed;
    };
    await using rig = await openDeliveryRig({ signers: createSigners({ secrets: { open }, random: Math.random }) });
    rig.answer = () => "hang";
    const { shard } = rig.add(at("hangs"));
    await rig.publish(TOPIC, "a");
    await rig.received("/hangs", 1);
    const lost = rig.add({ ...at("lost"), secret: "lost" });
    await eventually("it to fail", () => lost.health.failures > 0);
    assert.equal(lost.shard, shard);
    let released = false;
    const release = rig.delivery.drain(shard, 10_000).then(() => released = true);
    await never("a release before the answer", () => released, 100);
    rig.sent[0]!.post.answered(204, undefined);
    await release;
    assert.deepEqual(rig.bodies("/lost"), []);
  });

  it("§6.5 after a renewal every attempt is signed with the new secret", async () => {
    await using rig = await openDeliveryRig();
    let status = 500;
    rig.answer = () => status;
    const lane = rig.add({ ...at("signed"), secret: "old" });
    await rig.publish(TOPIC, "a");
    await rig.received("/signed", 1);
    const signature = ({ post }: Sent) => post.headers[post.headers.indexOf("x-hub-signature") + 1];
    const target = targetOf({ ...lane.target.recipient, secret: "new" }, lane.id);
    status = 204;
    const before = rig.sent.length;
    rig.delivery.renew(lane, termsOf(lane, { target }));
    await eventually("it to be delivered", () => lane.state === "idle");
    assert.equal(rig.sent.length, before + 1);
    assert.notEqual(signature(rig.sent.at(-1)!), signature(rig.sent[0]!));
  });

  it("a stop starts nothing, and waits for what is in flight until its deadline", async () => {
    await using rig = await openDeliveryRig();
    rig.answer = () => "hang";
    const lane = rig.add(at("stopped"));
    for (const body of numbers(3)) await rig.publish(TOPIC, body);
    await rig.received("/stopped", 1);
    const stopping = rig.delivery.stop(60_000);
    await pause(50);
    rig.sent[0]!.post.answered(204, undefined);
    await stopping;
    assert.equal(lane.inFlight, 0);
    assert.deepEqual(rig.bodies("/stopped"), ["0"]);
    assert.equal(lane.position(rig.delivery.tail.next(0)), 1);
  });

  it("a stop does not wait beyond its deadline", async () => {
    await using rig = await openDeliveryRig();
    rig.answer = () => "hang";
    const lane = rig.add(at("stopped"));
    await rig.publish(TOPIC, "a");
    await rig.received("/stopped", 1);
    const began = performance.now();
    await rig.delivery.stop(50);
    assert.ok(performance.now() - began < 2_000);
    assert.equal(lane.position(1), 0);
  });
});
