import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import type { VerificationReport } from "../../../edge/core/core-client.ts";
import { createVerifier } from "../../../edge/hub/verifier.ts";
import type { AcceptedIntent } from "../../../edge/hub/verification-queue.ts";
import type { Verifier, VerifierOptions } from "../../../edge/hub/verifier.ts";
import type { Bounds } from "../../../shared/shares/accounts.ts";
import type { Labels, Metrics } from "../../../shared/metrics.ts";
import { pause } from "../../../shared/pause.ts";
import { createChallenge } from "../../../shared/random.ts";
import { NOT_ASKED } from "../../../shared/outbound/verification.ts";
import { createOutbound } from "../../../shared/runtime/outbound.ts";
import { answer, cut, echo, hang, script } from "../../support/servers/answers.ts";
import { openCallbackServer } from "../../support/servers/callback-server.ts";
import type { Callback } from "../../support/servers/callback-server.ts";
import { LOOPBACK_GUARD } from "../../support/rigs/edge.ts";
import { eventually, never } from "../../support/eventually.ts";
import { parameterOf } from "../../support/form.ts";

const outbound = createOutbound({ guard: LOOPBACK_GUARD, userAgent: "t" });
after(() => outbound.close());

/** A verifier whose reports are kept; the pauses between its tries are short. */
function verifying(options: Partial<VerifierOptions> = {}): {
  verifier: Verifier;
  reports: VerificationReport[];
  outcomes: string[];
  reported: (count: number) => Promise<VerificationReport[]>;
} {
  const reports: VerificationReport[] = [];
  const outcomes: string[] = [];
  const inc = (labels: Labels = {}, by = 1) => outcomes.push(...Array<string>(by).fill(labels["outcome"] ?? ""));
  const metrics: Metrics = {
    counter: () => ({ inc }),
    totals: () => {},
    gauge: () => ({ set: () => {} }),
    histogram: () => ({ observe: () => {} }),
    render: async () => ({ contentType: "", text: "" }),
  };
  const verifier = createVerifier({
    core: { report: async (report) => void reports.push(report) },
    outbound,
    metrics,
    now: () => performance.now(),
    clock: () => Date.now(),
    challenge: createChallenge,
    pause: (ms, signal) => pause(ms / 100, signal),
    ...options,
  });
  const reported = async (count: number) => {
    await eventually(`${count} results`, () => reports.length >= count, { seen: () => JSON.stringify(reports) });
    return reports;
  };
  return { verifier, reports, outcomes, reported };
}

let operations = 0;
const intent = (callback: Callback, more: Partial<AcceptedIntent> = {}): AcceptedIntent => ({
  id: `op_${operations += 1}`,
  offset: operations,
  acceptedAt: performance.now(),
  requester: "one",
  isOwn: false,
  mode: "subscribe",
  topic: "t",
  callback: callback.url,
  leaseMs: 60_000,
  ...more,
});
/** Reserves a seat for an intent and has it verified; false if there was no seat. */
function enqueue(verifier: Verifier, taken: AcceptedIntent): boolean {
  const seat = verifier.reserve(taken);
  if ("retryAfterS" in seat) return false;
  seat.verify(taken);
  return true;
}
/** So many places of each standing, and so many of one requester at a host. */
const placesOf = (count: number, atHost = count): Bounds => {
  const each = (most: number) => ({ proven: most, slow: 0, new: most, failing: most });
  return { most: 3 * count, of: each(count), perHost: each(2 * atHost - 1), timesFree: 100 };
};
/** So many challenges have come, whether they are answered or not. */
const asked = (callback: Callback, count: number) =>
  eventually(`${count} challenges`, () => callback.challenges.length >= count);
const topicsOf = (callback: Callback) => callback.challenges.map(({ query }) => parameterOf(query, "hub.topic"));
/** Lets the callback take its time to say no; returns how many challenges it had at once, at the most. */
function mostAtOnce(callback: Callback): () => number {
  let inFlight = 0;
  let most = 0;
  callback.onChallenge = async (_request, response) => {
    most = Math.max(most, inFlight += 1);
    await pause(30);
    inFlight -= 1;
    response.writeHead(404).end();
  };
  return () => most;
}

describe("WIRE §2 the edge's verifier", () => {
  it("asks the callback once and reports a yes with its time", async () => {
    await using server = await openCallbackServer();
    const callback = server.callback({ query: "k=1" });
    const { verifier, reported, outcomes } = verifying();
    const before = performance.now();
    const taken = intent(callback, { verifyToken: "v" });
    enqueue(verifier, taken);
    const [report] = await reported(1);
    const { challengedAt, ...result } = report!;
    assert.deepEqual(result, {
      kind: "result",
      intent: taken.id,
      mode: "subscribe",
      topic: "t",
      callback: callback.url,
      verified: true,
    });
    assert.ok(challengedAt >= before && challengedAt <= performance.now());
    assert.equal(callback.challenges.length, 1);
    const query = callback.challenges[0]!.query;
    assert.match(
      query,
      /^k=1&hub\.mode=subscribe&hub\.topic=t&hub\.challenge=[\w-]{43}&hub\.lease_seconds=60&hub\.verify_token=v$/,
    );
    assert.deepEqual(outcomes, ["verified"]);
  });

  it("reports a no with its reason, and asks again only where no complete answer or a 5xx came", async () => {
    await using server = await openCallbackServer();
    const { verifier, reported } = verifying();
    const [wrong, failing, late] = [server.callback(), server.callback(), server.callback()];
    wrong.onChallenge = answer(200, "nonsense");
    failing.onChallenge = script(answer(500), cut(), answer(503));
    late.onChallenge = script(cut(), echo());
    for (const callback of [wrong, failing, late]) enqueue(verifier, intent(callback));
    const byCallback = new Map((await reported(3)).map((report) => [report.callback, report]));
    assert.equal(byCallback.get(wrong.url)?.verified, false);
    assert.match(byCallback.get(wrong.url)?.reason ?? "", /not the challenge/);
    assert.match(byCallback.get(failing.url)?.reason ?? "", /503/);
    assert.equal(byCallback.get(late.url)?.verified, true);
    const counts = [wrong, failing, late].map(({ challenges }) => challenges.length);
    assert.deepEqual(counts, [1, 3, 2]);
    const challenges = failing.challenges.map(({ query }) => parameterOf(query, "hub.challenge"));
    assert.equal(new Set(challenges).size, 3);
  });

  it("has one GET in flight for a pair, and goes on in log order, whatever the order of the answers was", async () => {
    await using server = await openCallbackServer();
    const callback = server.callback();
    const { verifier, reported } = verifying();
    const most = mostAtOnce(callback);
    for (const [offset, verifyToken] of [[1, "a"], [4, "d"], [2, "b"], [3, "c"]] as const) {
      enqueue(verifier, intent(callback, { offset, verifyToken }));
    }
    await reported(4);
    assert.equal(most(), 1);
    const order = callback.challenges.map(({ query }) => parameterOf(query, "hub.verify_token"));
    assert.deepEqual(order, ["a", "b", "c", "d"]);
  });

  it("knows a pair by its identity, however it is spelled (§5.1.1)", async () => {
    await using server = await openCallbackServer();
    const callback = server.callback();
    const { verifier, reported } = verifying();
    const most = mostAtOnce(callback);
    for (const name of ["~me", "%7Eme", "%7eme"]) {
      enqueue(verifier, intent(callback, { topic: `http://topics.example/${name}` }));
    }
    await reported(3);
    assert.equal(most(), 1);
    assert.deepEqual(topicsOf(callback), ["~me", "%7Eme", "%7eme"].map((name) => `http://topics.example/${name}`));
  });

  it("A3.6 does not ask for what a later yes has settled", async () => {
    await using server = await openCallbackServer();
    const callback = server.callback();
    const { verifier, reported, outcomes } = verifying();
    let answered = () => {};
    callback.onChallenge = async (request, response) => {
      await new Promise<void>((resolve) => answered = resolve);
      await echo()(request, response);
    };
    enqueue(verifier, intent(callback, { offset: 9 }));
    await eventually("the challenge", () => callback.challenges.length === 1);
    // The core's answers overtook each other: this one stands before it in the log.
    enqueue(verifier, intent(callback, { offset: 8 }));
    answered();
    await reported(1);
    await eventually("the older one to be dropped", () => outcomes.includes("superseded"));
    assert.equal(callback.challenges.length, 1);
  });

  it("verifies other pairs while one hangs, also of the same origin", async () => {
    await using server = await openCallbackServer();
    const { verifier, reported } = verifying();
    const [hanging, good] = [server.callback(), server.callback()];
    hanging.onChallenge = hang();
    enqueue(verifier, intent(hanging));
    enqueue(verifier, intent(good));
    enqueue(verifier, intent(hanging, { topic: "other" }));
    assert.equal((await reported(1))[0]?.callback, good.url);
    await verifier.close(0);
  });

  for (const [places, most] of [[3, 3], [10, 4]] as const) {
    it(`bounds what is in flight, ${places} in all and 2 per host, and lets hosts take turns`, async () => {
      await takesTurns(places, most);
    });
  }

  async function takesTurns(places: number, most: number): Promise<void> {
    await using one = await openCallbackServer();
    await using two = await openCallbackServer(0, "127.0.0.2");
    const { verifier, reported } = verifying({ bounds: placesOf(places, 2) });
    const flights = new Map<string, { now: number; most: number }>();
    const enter = (key: string, by: number) => {
      const flight = flights.get(key) ?? { now: 0, most: 0 };
      flight.now += by;
      flight.most = Math.max(flight.most, flight.now);
      flights.set(key, flight);
    };
    const open = (server: typeof one) =>
      Array.from({ length: 8 }, () => {
        const callback = server.callback();
        callback.onChallenge = async (request, response) => {
          for (const key of ["all", server.origin]) enter(key, 1);
          await pause(20);
          for (const key of ["all", server.origin]) enter(key, -1);
          await echo()(request, response);
        };
        return callback;
      });
    const callbacks = [...open(one), ...open(two)];
    for (const callback of callbacks) enqueue(verifier, intent(callback));
    const reports = await reported(16);
    assert.equal(flights.get("all")?.most, most);
    assert.equal(flights.get(one.origin)?.most, 2);
    assert.equal(flights.get(two.origin)?.most, 2);
    // The second host does not wait longer because the intents of the first one came before.
    const early = reports.slice(0, 8).filter(({ callback }) => callback.startsWith(two.origin));
    assert.ok(early.length >= 2, `${early.length} of the second host among the first 8`);
  }

  it("WIRE §2 what could not be asked in time has failed, and its status can say so", async () => {
    await using server = await openCallbackServer();
    const { verifier, outcomes, reported } = verifying({ bounds: placesOf(1) });
    const [hanging, late, next] = [server.callback(), server.callback(), server.callback()];
    hanging.onChallenge = hang();
    enqueue(verifier, intent(hanging));
    await asked(hanging, 1);
    // 45 s are nearly over, or over.
    enqueue(verifier, intent(late, { acceptedAt: performance.now() - 44_900 }));
    enqueue(verifier, intent(next, { acceptedAt: performance.now() - 46_000 }));
    const [report] = await reported(1);
    const { callback, verified, outcome, reason } = report!;
    assert.deepEqual([callback, verified, outcome, reason], [late.url, false, "failed", NOT_ASKED]);
    assert.deepEqual(new Set(outcomes), new Set(["late", "left"]), "the second one is the core's already");
    assert.deepEqual([late.challenges.length, next.challenges.length], [0, 0]);
    await verifier.close(0);
  });

  it("has a seat for each intent before it is accepted, and none for more than can be asked in time", async () => {
    await using server = await openCallbackServer();
    let time = 0;
    const { verifier, reported } = verifying({ now: () => time, seats: 3_000 });
    const slow = server.callback();
    slow.onChallenge = async (request, response) => {
      time += 60_000;
      await echo()(request, response);
    };
    enqueue(verifier, intent(slow, { acceptedAt: 0 }));
    const held = Array.from({ length: 400 }, () => verifier.reserve(intent(slow)));
    assert.ok(held.every((seat) => "verify" in seat), "nothing is known of its pace yet");
    await reported(1);
    const refused = verifier.reserve(intent(slow));
    assert.ok("retryAfterS" in refused && refused.retryAfterS > 0, "each takes seconds");
    const stranger = verifier.reserve({ ...intent(slow), requester: "another" });
    assert.ok("verify" in stranger, "another requester has seats of its own");
    for (const seat of held) if ("release" in seat) seat.release();
    assert.ok("verify" in verifier.reserve(intent(slow)));
  });

  it("does not let a requester, however much it asks of hanging hosts, hold up another one", async () => {
    await using server = await openCallbackServer();
    const { verifier, reported } = verifying();
    const hosts = await Promise.all(Array.from({ length: 3 }, (_, n) => openCallbackServer(0, `127.0.0.${n + 2}`)));
    for (const host of hosts) {
      const hanging = host.callback();
      hanging.onChallenge = hang();
      for (let n = 0; n < 500; n++) enqueue(verifier, intent(hanging, { topic: `${n}`, requester: "stranger" }));
    }
    const good = server.callback();
    const begun = performance.now();
    for (let n = 0; n < 20; n++) enqueue(verifier, intent(good, { topic: `${n}` }));
    await reported(20);
    assert.ok(performance.now() - begun < 5_000);
    await verifier.close(0);
    for (const host of hosts) await host.close();
  });

  it("does not let a stranger's intents for a pair hold up its owner's", async () => {
    await using server = await openCallbackServer();
    const callback = server.callback();
    const { verifier, reports, outcomes } = verifying({ bounds: placesOf(2) });
    const hanging = server.callback();
    hanging.onChallenge = hang();
    for (let n = 0; n < 2; n++) enqueue(verifier, intent(hanging, { topic: `${n}`, requester: "stranger" }));
    await asked(hanging, 2);
    for (let n = 0; n < 4; n++) enqueue(verifier, intent(callback, { requester: "stranger" }));
    enqueue(verifier, intent(callback, { isOwn: true }));
    await eventually("the owner's yes", () => reports.length === 1);
    assert.ok(reports[0]!.verified);
    await eventually("those before it to be settled", () => outcomes.includes("superseded"));
    await verifier.close(0);
  });

  it("forgets an intent whose place a newer one has taken", async () => {
    await using server = await openCallbackServer();
    const callback = server.callback();
    const { verifier, reported, outcomes } = verifying();
    let answered = () => {};
    callback.onChallenge = async (request, response) => {
      await new Promise<void>((resolve) => answered = resolve);
      await answer(404)(request, response);
    };
    const [first, second, third] = [intent(callback), intent(callback), intent(callback)];
    for (const each of [first, second, third]) enqueue(verifier, each);
    await asked(callback, 1);
    verifier.forget(second, second.id);
    answered();
    await asked(callback, 2);
    answered();
    assert.deepEqual((await reported(2)).map((report) => report.intent), [first.id, third.id]);
    assert.deepEqual(outcomes, ["superseded", "refused", "refused"]);
  });

  it("WIRE §2 holds no place for a callback that asks for a pause, and has still one GET in flight for its pair", async () => {
    await using busy = await openCallbackServer();
    await using other = await openCallbackServer();
    const goOn = Promise.withResolvers<void>();
    const { verifier, reported } = verifying({
      bounds: placesOf(2, 1),
      pause: (ms) => ms === 9_000 ? goOn.promise : pause(ms / 100),
    });
    const later = () => {
      const callback = busy.callback();
      callback.onChallenge = script(answer(429, "", { "retry-after": "9" }), echo());
      return callback;
    };
    const pausing = [later(), later(), later()];
    for (const callback of pausing) enqueue(verifier, intent(callback));
    enqueue(verifier, intent(pausing[0]!, { verifyToken: "second" }));
    await eventually("all to pause", () => pausing.every(({ challenges }) => challenges[0]?.endedAt));
    // Both places and the host's own are free.
    const good = [busy.callback(), other.callback(), other.callback()];
    for (const callback of good) enqueue(verifier, intent(callback));
    const confirmed = (await reported(3)).map(({ callback }) => callback);
    assert.deepEqual(new Set(confirmed), new Set(good.map(({ url }) => url)));
    assert.deepEqual(pausing.map(({ challenges }) => challenges.length), [1, 1, 1]);
    goOn.resolve();
    const reports = await reported(7);
    assert.ok(reports.every(({ verified }) => verified));
    assert.deepEqual(pausing.map(({ challenges }) => challenges.length), [3, 2, 2]);
    assert.match(pausing[0]!.challenges[2]!.query, /second/);
    await verifier.close(0);
  });

  it("cuts the pauses between tries when it is closed, and leaves what waits to the core", async () => {
    await using server = await openCallbackServer();
    let pausing = 0;
    const { verifier, outcomes } = verifying({
      bounds: placesOf(1),
      pause: (ms, signal) => {
        pausing += 1;
        return pause(ms, signal);
      },
    });
    const callbacks = Array.from({ length: 3 }, () => {
      const callback = server.callback();
      callback.onChallenge = answer(503, "", { "retry-after": "30" });
      return callback;
    });
    for (const callback of callbacks.slice(0, 2)) enqueue(verifier, intent(callback));
    await eventually("two pauses", () => pausing === 2);
    const hanging = server.callback();
    hanging.onChallenge = hang();
    enqueue(verifier, intent(hanging));
    await asked(hanging, 1);
    enqueue(verifier, intent(callbacks[2]!));
    const begun = performance.now();
    await verifier.close(100);
    assert.ok(performance.now() - begun < 5_000);
    await eventually("all to be left", () => outcomes.length === 4);
    assert.deepEqual(outcomes, ["left", "left", "left", "left"]);
    assert.deepEqual(callbacks.map(({ challenges }) => challenges.length), [1, 1, 0]);
  });

  it("A3.6 leaves to the core a callback that asks for more time than an edge has", async () => {
    await using server = await openCallbackServer();
    const callback = server.callback();
    callback.onChallenge = answer(429, "", { "retry-after": "90" });
    const pauses: number[] = [];
    const { verifier, reports, outcomes } = verifying({ pause: async (ms) => void pauses.push(ms) });
    enqueue(verifier, intent(callback, { acceptedAt: performance.now() - 15_000 }));
    await eventually("what came of it", () => outcomes.length > 0);
    assert.deepEqual([outcomes, reports], [["left"], []]);
    // The edge's time ends 60 s after the 202; its last try has 5 s.
    assert.ok(pauses[0]! > 38_000 && pauses[0]! <= 40_000, `${pauses[0]} ms`);
  });

  it("A3.6 leaves all to the core where addresses cannot be pinned", async () => {
    await using server = await openCallbackServer();
    const callback = server.callback();
    const unpinned = { ...outbound, supports: { pinning: false } };
    const { verifier, reports, outcomes } = verifying({ outbound: unpinned });
    enqueue(verifier, intent(callback));
    await never("a challenge or a result", () => callback.challenges.length + reports.length, 100);
    assert.deepEqual(outcomes, ["left"]);
  });

  it("goes on after a report that the core did not take", async () => {
    await using server = await openCallbackServer();
    const callback = server.callback();
    const { verifier } = verifying({ core: { report: () => Promise.reject(new Error("away")) } });
    enqueue(verifier, intent(callback, { topic: "a" }));
    await callback.challenged(1);
    enqueue(verifier, intent(callback, { topic: "a" }));
    enqueue(verifier, intent(callback, { topic: "b" }));
    await callback.challenged(3);
    assert.deepEqual(topicsOf(callback).filter((topic) => topic === "a").length, 2);
  });

  it("when closed lets what is in flight end, starts nothing more, and cuts at the deadline without a report", async () => {
    await using server = await openCallbackServer();
    const { verifier, reports } = verifying({ bounds: placesOf(2) });
    const [slow, hanging, waiting] = [server.callback(), server.callback(), server.callback()];
    slow.onChallenge = async (request, response) => {
      await pause(100);
      await echo()(request, response);
    };
    hanging.onChallenge = hang();
    for (const callback of [slow, hanging, waiting]) enqueue(verifier, intent(callback));
    await eventually("two in flight", () => slow.challenges.length + hanging.challenges.length === 2);
    const begun = performance.now();
    await verifier.close(400);
    assert.ok(performance.now() - begun < 2_000);
    enqueue(verifier, intent(waiting));
    await eventually("the cut", () => hanging.challenges[0]?.endedAt !== undefined, { deadlineMs: 2_000 });
    await never("another challenge", () => waiting.challenges.length, 100);
    assert.deepEqual(reports.map(({ callback }) => callback), [slow.url]);
  });
});
