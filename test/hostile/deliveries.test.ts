// Strangers' callbacks that hang, fail, or are new, beside those of others (ARCHITECTURE §4 "Isolation", "Fair shares"). All of it over the
// scheduler, whose transport answers as told: a hang takes as long as the clock is not moved.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type DeliveryRig, numbers, openDeliveryRig, type Sent } from "../support/rigs/delivery-rig.ts";
import { eventually } from "../support/eventually.ts";
import { termsOf } from "../support/rigs/lanes.ts";

const ATTACKER = { issuer: "https://issuer.example", userId: "attacker" };
const VICTIM = { issuer: "https://issuer.example", userId: "victim" };

/** Deliveries to a path that the victim's callbacks have within this time, ms, whatever hangs. */
const SOON_MS = 3_000;

interface Lanes {
  readonly count: number;
  readonly topicId: string;
  readonly callback: (index: number) => string;
  readonly isNew?: boolean;
  readonly client?: typeof ATTACKER;
}

function addLanes(rig: DeliveryRig, { count, callback, ...more }: Lanes) {
  return Array.from({ length: count }, (_, index) => {
    const { topicId, isNew = false, client = ATTACKER } = more;
    return rig.add({ id: callback(index), callback: callback(index), topicId, isNew, client });
  });
}

const isHanging = ({ to }: Sent) => to.startsWith("/hang");

/** Ends the attempts that hang, as their deadline would, and forgets them. */
function timeOut(hanging: Sent[]): void {
  for (const { post } of hanging.splice(0)) post.failed("timed out");
}

async function openHostile(): Promise<{ rig: DeliveryRig; hanging: Sent[] } & AsyncDisposable> {
  const rig = await openDeliveryRig({ settings: { retry: { minMs: 1, maxMs: 10 } } });
  const hanging: Sent[] = [];
  rig.answer = (sent) => {
    if (!isHanging(sent)) return 204;
    hanging.push(sent);
    return "hang";
  };
  return { rig, hanging, [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose]() };
}

describe("strangers' callbacks", () => {
  it("5,200 new ones that hang at one host with 40 ports are not felt by others, nor are new ones of others", async () => {
    await using hostile = await openHostile();
    const { rig } = hostile;
    addLanes(rig, {
      count: 5_200,
      topicId: "theirs",
      callback: (index) => `http://attacker.example:${9_000 + index % 40}/hang${index}`,
      isNew: true,
    });
    addLanes(rig, { count: 20, topicId: "ours", callback: (n) => `http://victim.example/well${n}`, client: VICTIM });
    addLanes(rig, {
      count: 20,
      topicId: "ours",
      callback: (n) => `http://victim.example/new${n}`,
      isNew: true,
      client: VICTIM,
    });
    await rig.publish("theirs", "boom");
    await eventually("them to hang", () => rig.delivery.inFlight > 50);
    for (const body of numbers(5)) await rig.publish("ours", body);
    for (const kind of ["well", "new"]) {
      for (const n of numbers(20)) await rig.received(`/${kind}${n}`, 5, SOON_MS);
    }
    assert.ok(rig.delivery.inFlight < 1_024, `${rig.delivery.inFlight} in flight`);
  });

  it("ones that are renewed during each hang stay what they are, and cost others nothing", async () => {
    await using hostile = await openHostile();
    const { rig, hanging } = hostile;
    const lanes = addLanes(rig, {
      count: 3_000,
      topicId: "theirs",
      callback: (index) => `http://h${index}.example/hang${index}`,
      isNew: true,
    });
    addLanes(rig, { count: 5, topicId: "ours", callback: (n) => `http://victim.example/well${n}`, client: VICTIM });
    await rig.publish("theirs", "boom");
    for (const [round, body] of numbers(6).entries()) {
      await eventually("them to hang", () => hanging.length > 50);
      rig.advance(1_100);
      for (const lane of lanes) rig.delivery.renew(lane, termsOf(lane));
      for (const lane of lanes) if (lane.inFlight > 0) rig.delivery.rewind(lane, undefined);
      await rig.publish("ours", body);
      for (const n of numbers(5)) await rig.received(`/well${n}`, round + 1, SOON_MS);
      timeOut(hanging);
    }
    assert.ok(lanes.every(({ health: { standing } }) => standing === "new" || standing === "failing"));
  });

  it("callbacks of many requesters that were well and hang all at once leave room for others", async () => {
    await using hostile = await openHostile();
    const { rig, hanging } = hostile;
    for (let client = 0; client < 6; client++) {
      addLanes(rig, {
        count: 1_500,
        topicId: "theirs",
        callback: (index) => `http://h${index}.c${client}.example:${8_000 + index}/hang${index}`,
        client: { ...ATTACKER, userId: `attacker ${client}` },
      });
    }
    addLanes(rig, { count: 20, topicId: "ours", callback: (n) => `http://victim.example/well${n}`, client: VICTIM });
    await rig.publish("theirs", "boom");
    for (let second = 0; second < 5; second++) {
      await eventually("them to hang", () => hanging.length > 500);
      rig.advance(1_100);
      await rig.publish("ours", String(second));
      for (const n of numbers(20)) await rig.received(`/well${n}`, second + 1, SOON_MS);
    }
    assert.ok(rig.delivery.inFlight < 5_120, `${rig.delivery.inFlight} in flight`);
  });

  it("beside 600 that hang, one that answers late and one that failed once have all of their messages", async () => {
    await using hostile = await openHostile();
    const { rig, hanging } = hostile;
    addLanes(rig, {
      count: 600,
      topicId: "theirs",
      callback: (index) => `http://h${index}.example/hang${index}`,
    });
    await rig.publish("theirs", "boom");
    // They have failed twice, and hang again.
    for (let times = 0; times < 3; times++) {
      await eventually("them to hang", () => hanging.length >= 100);
      rig.advance(1_100);
      await rig.followed();
      if (times < 2) timeOut(hanging);
    }
    const late = rig.add({ id: "late", callback: "http://victim.example/late", topicId: "ours", client: VICTIM });
    rig.add({ id: "once", callback: "http://victim.example/once", topicId: "ours", client: VICTIM });
    let failures = 0;
    const answer = rig.answer;
    rig.answer = (sent) => {
      if (sent.to === "/once" && sent.body === "0" && failures++ === 0) return 503;
      if (sent.to === "/late") rig.advance(1_200);
      return answer(sent);
    };
    for (const body of numbers(50)) await rig.publish("ours", body);
    for (const to of ["/late", "/once"]) await rig.received(to, to === "/once" ? 51 : 50, SOON_MS);
    assert.equal(late.health.standing, "slow");
  });

  it("what strangers' lanes wait for is forgotten when they are over", async () => {
    await using hostile = await openHostile();
    const { rig } = hostile;
    const lanes = addLanes(rig, {
      count: 1_000,
      topicId: "theirs",
      callback: (index) => `http://attacker.example/hang${index}`,
      isNew: true,
    });
    await rig.publish("theirs", "boom");
    await eventually("most to wait", () => rig.delivery.waiting > 800);
    for (const lane of lanes) rig.delivery.end(lane);
    assert.equal(rig.delivery.waiting, 0);
  });

  it("large messages that hang do not take the memory of others' lanes", async () => {
    await using rig = await openDeliveryRig({ settings: { laneMemoryBytes: 256 * 1024 } });
    rig.answer = (sent) => isHanging(sent) ? "hang" : 204;
    for (let index = 0; index < 40; index++) {
      const callback = (lane: number) => `http://h${index}.example/hang${lane}`;
      addLanes(rig, { count: 1, topicId: `theirs${index}`, callback });
    }
    addLanes(rig, { count: 1, topicId: "ours", callback: () => "http://victim.example/well", client: VICTIM });
    for (const index of numbers(40)) await rig.publish(`theirs${index}`, "x".repeat(20 * 1024));
    await rig.followed();
    for (const body of numbers(20)) await rig.publish("ours", body.padEnd(10 * 1024, "."));
    await rig.received("/well", 20, SOON_MS);
    assert.ok(rig.delivery.heldBytes <= 256 * 1024, `${rig.delivery.heldBytes} bytes held`);
  });
});
