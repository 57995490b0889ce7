// The scheduler over a real log: what a subscriber is promised (ARCHITECTURE §4, §6), by a transport that answers as told.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createTarget } from "../../../core/delivery/target.ts";
import { ADDRESSES, laneOf } from "../../support/lanes.ts";
import { SecretError } from "../../../core/keys/secrets.ts";
import { createSigners } from "../../../core/keys/signers.ts";
import { append, openDeliveryRig, type Sent } from "../../support/delivery-rig.ts";
import { eventually, never, pause } from "../../support/eventually.ts";

const TOPIC = "topic-one";
const at = (name: string) => ({ id: name, callback: `http://127.0.0.1:8080/${name}`, topicId: TOPIC });
const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, index) => String(from + index));

/** A seeded source of numbers in [0, 1), so that a failure can be repeated. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

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
    // Told up to an offset that memory does not reach back to, it is not known to have nothing.
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
      assert.ok(lane.queued <= 1_024, `${lane.queued} in its queue`);
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

  it("many more callbacks that hang at once than may be in flight are felt for a second, not until they time out", async () => {
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
    await eventually("it to ask for a pause", () => busy.failures > 0);
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

describe("failing, parking, giving up", () => {
  it("§4 fails, parks, is probed, recovers, and goes on in order without a new publish", async () => {
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
    await eventually("it to fail", () => lane.failures > 0);
    rig.advance(900_000);
    await eventually("it to be parked", () => lane.state === "parked");
    const before = rig.sent.length;
    rig.delivery.renewed(lane);
    await eventually("a probe", () => rig.sent.length === before + 1);
    status = 204;
    rig.delivery.renewed(lane);
    await eventually("it to be at rest", () => lane.state === "idle");
    assert.equal(rig.sent.length, before + 2);
  });

  it("after it recovered, a lane's pauses are short again", async () => {
    await using rig = await openDeliveryRig();
    let status = 500;
    rig.answer = ({ body }) => body === "slow" ? "hang" : status;
    const lane = rig.add({ ...at("down"), concurrency: 2 });
    await rig.publish(TOPIC, "slow");
    await rig.publish(TOPIC, "a");
    await eventually("it to fail", () => lane.failures > 0);
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
    assert.equal(lane.failures, 0);
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

describe("ends", () => {
  it("§7 after a 410 nothing is sent any more, and the owner hears of it once", async () => {
    await using rig = await openDeliveryRig();
    rig.answer = ({ body }) => body === "1" ? 410 : 204;
    const lane = rig.add(at("gone"));
    for (const body of numbers(5)) await rig.publish(TOPIC, body);
    await eventually("the owner to hear", () => rig.gone.length > 0);
    await rig.publish(TOPIC, "5");
    await rig.followed();
    rig.delivery.remove(lane, "end");
    await pause(40);
    assert.deepEqual(rig.bodies("/gone"), ["0", "1"]);
    assert.deepEqual(rig.gone, [lane]);
    assert.equal(rig.delivery.heldBytes, 0);
    assert.equal(rig.delivery.counts.gone, 1);
  });

  it("§5.3.1 after the lease nothing starts, the owner hears of it once, and the position is kept", async () => {
    await using rig = await openDeliveryRig();
    const lane = rig.add({ ...at("leased"), expiresAt: rig.now() + 60_000 });
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
    it(`WIRE §2 a lease that is over with an attempt under way (${outcome}), and a renewal: nothing twice, nothing lost`, async () => {
      await using rig = await openDeliveryRig();
      rig.answer = () => "hang";
      const lane = rig.add({ ...at("leased"), concurrency: 2 });
      for (const body of numbers(4)) await rig.publish(TOPIC, body);
      await rig.received("/leased", 2);
      rig.delivery.remove(lane, "leaseOver");
      await rig.publish(TOPIC, "4");
      await rig.followed();
      rig.sent[1]!.post.answered(outcome, undefined);
      assert.equal(lane.record(5)?.position, 0);
      lane.apply("renewed");
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
    for (const { lane } of lanes) rig.delivery.remove(lane, "end");
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
    await eventually("it to fail", () => lost.failures > 0);
    assert.equal(lost.shard, shard);
    let released = false;
    const release = rig.delivery.hold(shard, 10_000).then(() => released = true);
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
    const { topic, callback } = lane.target;
    lane.target = createTarget({ addresses: ADDRESSES, subscriptionId: lane.id, topic, callback, secret: "new" });
    status = 204;
    const before = rig.sent.length;
    rig.delivery.renewed(lane);
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
