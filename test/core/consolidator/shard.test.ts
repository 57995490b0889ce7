import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decodeEvent, type HubEvent } from "../../../core/consolidator/events.ts";
import { foldSubscription } from "../../../core/consolidator/fold-subscription.ts";
import { foldTopic } from "../../../core/consolidator/fold-topic.ts";
import {
  OWNER_KEY,
  SHARD_KEY,
  type ShardRecordState,
  type SubscriptionRecord,
  type TopicRecord,
} from "../../../core/consolidator/records.ts";
import { subscriptionIdOf, topicIdOf } from "../../../core/ids.ts";
import { LogError, type LogRecord, type ShardRecord } from "../../../core/log/log.ts";
import {
  attempts,
  compacted,
  type CoreRig,
  createClock,
  openCoreRig,
  operationId,
  TOPIC,
  valueOf,
  withDirectory,
} from "../../support/core-rig.ts";
import { eventually, never } from "../../support/eventually.ts";

const CALLBACK = "http://127.0.0.1:9/callback";

describe("what a shard's owner writes", () => {
  it("A3.1 each batch holds the state that its position says, and the position in all three streams", async () => {
    await withDirectory(async (directory) => {
      await using rig = await openCoreRig({ directory });
      const events = randomEvents(400);
      // In pieces, so that many batches see many cuts.
      for (let from = 0; from < events.length; from += 23) {
        await Promise.all(events.slice(from, from + 23).map((event) => rig.append(event)));
      }
      await rig.folded();
      const log = await everyEvent(rig);
      const topics = new Map<string, TopicRecord>();
      const subscriptions = new Map<string, SubscriptionRecord>();
      assert.ok(rig.commits.length > 5, `${rig.commits.length} batches`);
      for (const batch of rig.commits) {
        for (const record of batch) {
          if (record.key.startsWith("~")) continue;
          if (record.stream === "topics") topics.set(record.key, valueOf<TopicRecord>(record)!);
          if (record.stream === "subscriptions") subscriptions.set(record.key, valueOf<SubscriptionRecord>(record)!);
        }
        const positions = (["topics", "subscriptions", "cursors"] as const).map((stream) => positionIn(batch, stream));
        assert.equal(new Set(positions).size, 1, `positions ${positions.join(", ")}`);
        const expected = foldAll(log.filter(({ offset }) => offset < positions[0]!));
        assert.deepEqual(topics, expected.topics);
        assert.deepEqual(subscriptions, expected.subscriptions);
      }
    });
  });

  it("A3.1 nothing changed, nothing written", async () => {
    await withDirectory(async (directory) => {
      await using rig = await openCoreRig({ directory });
      await rig.intend({ callback: CALLBACK, verified: true });
      const id = subscriptionIdOf(TOPIC, CALLBACK);
      await eventually("the lane is quiet", async () => !(await compacted(rig.log, "cursors")).has(id));
      const before = rig.commits.length;
      await never("a batch without a change", () => rig.commits.length > before, 1_300);
    });
  });

  it("A2.5 a batch for which there is no room is written when there is, and nothing is lost", async () => {
    await withDirectory(async (directory) => {
      await using rig = await openCoreRig({ directory });
      let refused = 0;
      rig.beforeCommit = () => refused++ === 0 ? Promise.reject(new LogError("full", "no room")) : Promise.resolve();
      await rig.intend({ callback: CALLBACK, verified: true, secret: "s" });
      assert.ok(refused >= 2);
      assert.equal((await rig.subscription(CALLBACK))?.phase, "active");
      assert.deepEqual(rig.failures, []);
      await rig.publish(TOPIC, "after");
      await attempts(rig, 1);
    });
  });

  it("A3.1 after any other failure the owner writes no more, and says so", async () => {
    await withDirectory(async (directory) => {
      await using rig = await openCoreRig({ directory });
      const before = rig.commits.length;
      rig.beforeCommit = () => Promise.reject(new LogError("fenced", "another owner has the shard"));
      await rig.append({ type: "register", id: operationId(), time: Date.now(), topic: TOPIC, end: 0 });
      const [failure] = await eventually("the failure", () => rig.failures.length > 0 && rig.failures);
      assert.equal((failure as LogError).code, "fenced");
      rig.beforeCommit = () => Promise.resolve();
      await rig.append({ type: "register", id: operationId(), time: Date.now(), topic: "other", end: 0 });
      await never("a batch after the failure", () => rig.commits.length > before, 100);
    });
  });

  it("§6.6 an event that cannot be applied is set aside, counted, and stops nothing", async () => {
    await withDirectory(async (directory) => {
      const garbage = ["", "{", "7", "null", '{"type":"ping"}', JSON.stringify({ ...intentOf("no url"), id: "x" })];
      {
        await using rig = await openCoreRig({ directory });
        for (const text of garbage) await rig.log.append("events", { key: "k", value: Buffer.from(text) });
        await rig.log.append("events", { key: "k", value: null });
        await rig.intend({ callback: CALLBACK, verified: true });
        assert.equal(rig.consolidator.shards[0]!.setAside, garbage.length + 1);
        assert.equal((await rig.subscription(CALLBACK))?.phase, "active");
        assert.deepEqual(rig.failures, []);
      }
      await using again = await openCoreRig({ directory });
      assert.equal(again.consolidator.shards[0]!.setAside, 0, "they are behind the position");
      await again.publish(TOPIC, "one");
      await attempts(again, 1);
    });
  });

  it("A3.1 records that come again, from before the position, change nothing and move nothing back", async () => {
    await withDirectory(async (directory) => {
      const clock = createClock();
      await using rig = await openCoreRig({ directory, clock });
      const failed = `${CALLBACK}/failed`;
      await rig.intend({ callback: failed, verified: false });
      await rig.intend({ callback: CALLBACK, verified: true, secret: "first" });
      await rig.intend({ callback: CALLBACK, verified: true, secret: "second" });
      await rig.intend({ mode: "unsubscribe", callback: CALLBACK, verified: true });
      const shard = rig.consolidator.shards[0]!;
      const { records, next } = await rig.log.read("events", 0, 0, { maxBytes: 1e6 });
      const before = await rig.subscription(CALLBACK);
      clock.advance(130_000);
      rig.sweep();
      await eventually("what never was is forgotten", async () => await rig.subscription(failed) === undefined);
      await shard.receive(records.slice(0, 5), next);
      await rig.append({ type: "register", id: operationId(), time: Date.now(), topic: TOPIC, end: 0 });
      await rig.folded();
      assert.deepEqual(await rig.subscription(CALLBACK), before);
      assert.equal(await rig.subscription(failed), undefined);
      const positions = rig.commits.map((batch) => positionIn(batch, "topics"));
      assert.deepEqual(positions, positions.toSorted((a, b) => a - b));
    });
  });
});

describe("A3.10 effects", () => {
  it("A3.10 run after the commit that calls for them", async () => {
    await withDirectory(async (directory) => {
      await using rig = await openCoreRig({ directory });
      await rig.publish(TOPIC, "before");
      const held = Promise.withResolvers<void>();
      let asked = 0;
      rig.beforeCommit = () => {
        asked++;
        return held.promise;
      };
      const id = operationId();
      const time = Date.now();
      // Together, so that the batch that is held calls for all of them.
      await Promise.all([
        rig.append({ ...intentOf(CALLBACK), id, time, start: 0 }),
        rig.append({ ...resultOf(id, CALLBACK), time }),
        rig.append({ ...intentOf(`${CALLBACK}2`), id: operationId(), denied: "no" }),
      ]);
      await eventually("a commit", () => asked > 0);
      await never("an effect", () => rig.effects.notices.length + rig.transport.posts.length, 100);
      held.resolve();
      await attempts(rig, 1);
      await eventually("the notice", () => rig.effects.notices.length === 1);
    });
  });

  it("A3.10 a notice that is owed survives a restart until it was sent", async () => {
    await withDirectory(async (directory) => {
      {
        await using rig = await openCoreRig({ directory });
        await rig.append({ ...intentOf(CALLBACK), id: operationId(), denied: "not registered" });
        await rig.folded();
        await eventually("the notice", () => rig.effects.notices.length === 1);
      }
      {
        await using rig = await openCoreRig({ directory });
        const [owed] = await eventually(
          "the notice again",
          () => rig.effects.notices.length > 0 && rig.effects.notices,
        );
        assert.deepEqual(owed!.notice, { topic: TOPIC, callback: CALLBACK, reason: "not registered" });
        owed!.sent();
        await eventually("it is written down", async () => (await rig.subscription(CALLBACK))?.notice === undefined);
        assert.equal(rig.effects.notices.length, 1, "once at a time");
      }
      await using rig = await openCoreRig({ directory });
      await never("a third notice", () => rig.effects.notices.length, 100);
    });
  });

  it("A3.10 of two notices that follow each other both are sent", async () => {
    await withDirectory(async (directory) => {
      await using rig = await openCoreRig({ directory });
      for (const denied of ["first", "second"]) {
        await rig.append({ ...intentOf(CALLBACK), id: operationId(), denied });
        await rig.folded();
      }
      assert.deepEqual(rig.effects.notices.map(({ notice }) => notice.reason), ["first"]);
      rig.effects.notices[0]!.sent();
      await eventually("the second", () => rig.effects.notices[1]?.notice.reason === "second");
      rig.effects.notices[1]!.sent();
      await eventually("nothing is owed", async () => (await rig.subscription(CALLBACK))?.notice === undefined);
    });
  });

  it("WIRE §3 a fetch that is owed survives a restart; pings that wait for it are one", async () => {
    await withDirectory(async (directory) => {
      {
        await using rig = await openCoreRig({ directory });
        await rig.append({ type: "register", id: operationId(), time: Date.now(), topic: TOPIC, end: 0 });
        for (let n = 0; n < 3; n++) await rig.append(pingOf());
        await rig.folded();
        await eventually("the fetch", () => rig.effects.fetches.length === 1);
        await rig.append(pingOf());
        await eventually("a hint that there is another ping", () => rig.effects.hurried.length > 0);
        assert.equal(rig.effects.fetches.length, 1);
      }
      await using rig = await openCoreRig({ directory });
      const { topic, fetched } = await eventually("the fetch again", () => rig.effects.fetches[0]);
      assert.equal(topic.fetchOwed?.ping, 4);
      // Another ping comes while it is under way: it is owed after this one.
      const ping = await rig.append(pingOf());
      await rig.folded();
      fetched(4, { sha256: "ab" });
      const next = await eventually("the newer one", () => rig.effects.fetches[1]);
      assert.deepEqual(next.topic.fetched, { sha256: "ab" });
      assert.equal(next.topic.fetchOwed?.ping, ping);
      next.fetched(ping, undefined);
      await eventually("nothing is owed", async () => {
        const record = await rig.replica.topic(topicIdOf(TOPIC));
        return record?.fetchOwed === undefined && record?.fetched?.sha256 === "ab";
      });
    });
  });
});

describe("A3.6 verification by the owner", () => {
  it("A3.6 what has no result 60 s after the 202 is verified by the owner, once, and again after a restart", async () => {
    await withDirectory(async (directory) => {
      const clock = createClock();
      {
        await using rig = await openCoreRig({ directory, clock });
        await rig.intend({ callback: CALLBACK, secret: "s" });
        clock.advance(58_000);
        rig.sweep();
        await never("a takeover before its time", () => rig.effects.verifications.length, 100);
        clock.advance(3_000);
        rig.sweep();
        await eventually("the takeover", () => rig.effects.verifications.length === 1);
        // Whatever else happens to the pair meanwhile.
        await rig.intend({ callback: CALLBACK, mode: "unsubscribe", verified: false });
        clock.advance(3_000);
        rig.sweep();
        await never("a second one", () => rig.effects.verifications.length > 1, 100);
      }
      await using rig = await openCoreRig({ directory, clock });
      const { intent, found } = await eventually("the takeover again", () => rig.effects.verifications[0]);
      const end = await rig.log.end("events", 0);
      found({ ...resultOf(intent.id, CALLBACK), challengedAt: clock.now() });
      await eventually("the subscription", async () => (await rig.subscription(CALLBACK))?.phase === "active");
      await rig.publish(TOPIC, "one");
      const [sent] = await attempts(rig, 1);
      assert.ok(sent!.header("x-hub-signature"), "under the intent's secret");
      assert.equal(await rig.log.end("events", 0), end, "A3.5: not by way of events");
    });
  });

  it("A3.6 an edge's result that comes first closes the intent; the owner's then counts nothing", async () => {
    await withDirectory(async (directory) => {
      const clock = createClock();
      await using rig = await openCoreRig({ directory, clock });
      const id = await rig.intend({ callback: CALLBACK });
      clock.advance(61_000);
      rig.sweep();
      const { found } = await eventually("the takeover", () => rig.effects.verifications[0]);
      await rig.append({ ...resultOf(id, CALLBACK), verified: false });
      await rig.folded();
      found(resultOf(id, CALLBACK));
      await rig.intend({ callback: `${CALLBACK}2`, verified: true });
      assert.equal((await rig.subscription(CALLBACK))?.phase, "pending");
    });
  });

  it("A3.6 several that wait are verified one after the other, in log order", async () => {
    await withDirectory(async (directory) => {
      const clock = createClock();
      await using rig = await openCoreRig({ directory, clock });
      for (const secret of ["one", "two", "three"]) await rig.intend({ callback: CALLBACK, secret });
      clock.advance(61_000);
      rig.sweep();
      for (const [index, secret] of ["one", "two", "three"].entries()) {
        const { intent, found } = await eventually(`takeover ${index}`, () => rig.effects.verifications[index]);
        assert.equal(intent.secret, secret);
        assert.equal(rig.effects.verifications.length, index + 1);
        found({ ...resultOf(intent.id, CALLBACK), id: operationId(), verified: secret === "three" });
      }
      await eventually("the last counts", async () => (await rig.subscription(CALLBACK))?.secret === "three");
    });
  });
});

describe("A3.7 leases", () => {
  it("A3.7 the owner's clock ends a lease within two seconds, and nothing is sent after", async () => {
    await withDirectory(async (directory) => {
      const clock = createClock();
      await using rig = await openCoreRig({ directory, clock });
      await rig.intend({ callback: CALLBACK, leaseMs: 60_000, verified: true });
      clock.advance(61_000);
      await eventually("expiry", async () => (await rig.subscription(CALLBACK))?.phase === "expired", {
        deadlineMs: 2_500,
      });
      await rig.publish(TOPIC, "late");
      await never("a delivery after the lease", () => rig.transport.posts.length, 100);
    });
  });

  it("A3.7 a renewal moves the end of the lease", async () => {
    await withDirectory(async (directory) => {
      const clock = createClock();
      await using rig = await openCoreRig({ directory, clock });
      await rig.intend({ callback: CALLBACK, leaseMs: 60_000, verified: true });
      await rig.intend({ callback: CALLBACK, leaseMs: 600_000, verified: true });
      clock.advance(61_000);
      rig.sweep();
      await never("expiry", async () => (await rig.subscription(CALLBACK))?.phase === "expired", 100);
      clock.advance(540_000);
      rig.sweep();
      await eventually("expiry", async () => (await rig.subscription(CALLBACK))?.phase === "expired");
    });
  });

  it("A3.7 1,500 leases that are over at once end in slices", async () => {
    await withDirectory(async (directory) => {
      const clock = createClock();
      await using rig = await openCoreRig({ directory, clock });
      const callbacks = Array.from({ length: 1_500 }, (_, n) => `http://127.0.0.1:9/lease/${n}`);
      await Promise.all(callbacks.flatMap((callback) => {
        const id = operationId();
        const intent = { type: "intent", id, time: clock.now(), mode: "subscribe", topic: TOPIC, callback } as const;
        const challengedAt = clock.now();
        const result = { type: "result", id: operationId(), time: clock.now(), topic: TOPIC, callback } as const;
        return [
          rig.append({ ...intent, end: 0, leaseMs: 60_000 }),
          rig.append({ ...result, intent: id, verified: true, challengedAt }),
        ];
      }));
      await rig.folded();
      clock.advance(600_000);
      rig.sweep();
      const expired = (batch: readonly ShardRecord[]) =>
        batch.filter((record) =>
          record.stream === "subscriptions" && valueOf<SubscriptionRecord>(record)?.phase === "expired"
        ).length;
      const total = () => rig.commits.reduce((sum, batch) => sum + expired(batch), 0);
      await eventually("all leases to end", () => total() === callbacks.length);
      assert.ok(rig.commits.every((batch) => expired(batch) <= 1_000), rig.commits.map(expired).join());
    });
  });

  it("A3.5 ended and expired ones are kept for the retention, then forgotten", async () => {
    await withDirectory(async (directory) => {
      const clock = createClock();
      await using rig = await openCoreRig({ directory, clock, retentionMs: 600_000 });
      const [over, bye, never_, stays] = ["over", "bye", "never", "stays"].map((path) => `${CALLBACK}/${path}`);
      await rig.append({ type: "register", id: operationId(), time: clock.now(), topic: "ends", end: 0 });
      await rig.append({ type: "deregister", id: operationId(), time: clock.now(), topic: "ends" });
      await rig.intend({ callback: over!, leaseMs: 60_000, verified: true });
      await rig.intend({ callback: bye!, verified: true });
      await rig.intend({ callback: bye!, mode: "unsubscribe", verified: true });
      await rig.intend({ callback: never_!, verified: false });
      await rig.intend({ callback: stays!, leaseMs: 86_400_000, verified: true });
      clock.advance(130_000);
      rig.sweep();
      await eventually("what never was is forgotten", async () => await rig.subscription(never_!) === undefined);
      assert.equal((await rig.subscription(over!))?.phase, "expired");
      assert.equal((await rig.subscription(bye!))?.phase, "unsubscribed");
      assert.notEqual(await rig.replica.topic(topicIdOf("ends")), undefined);
      clock.advance(600_000);
      rig.sweep();
      await eventually(
        "all is forgotten",
        async () =>
          await rig.subscription(over!) === undefined && await rig.subscription(bye!) === undefined &&
          await rig.replica.topic(topicIdOf("ends")) === undefined,
      );
      const cursors = await compacted(rig.log, "cursors");
      assert.ok(!cursors.has(subscriptionIdOf(TOPIC, over!)), "with the position that was kept for it");
      assert.equal((await rig.subscription(stays!))?.phase, "active");
    });
  });
});

describe("A3.9 deregister", () => {
  const COUNT = 2_500;
  const callbacks = Array.from({ length: COUNT }, (_, n) => `http://127.0.0.1:9/subscriber/${n}`);

  async function subscribeAll(rig: CoreRig): Promise<void> {
    const time = Date.now();
    await rig.append({ type: "register", id: operationId(), time, topic: TOPIC, end: 0 });
    await Promise.all(callbacks.flatMap((callback) => {
      const id = operationId();
      return [rig.append({ ...intentOf(callback), id }), rig.append(resultOf(id, callback))];
    }));
    // One that only waits, and one of another topic.
    await rig.append({ ...intentOf("http://127.0.0.1:9/waiting"), id: operationId() });
    await rig.intend({ callback: CALLBACK, topic: "other", verified: true });
  }

  function endedIn(batch: readonly ShardRecord[]): number {
    return batch.filter((record) =>
      record.stream === "subscriptions" && !record.key.startsWith("~") &&
      valueOf<SubscriptionRecord>(record)?.phase === "deregistered"
    ).length;
  }

  it("A3.9 2,500 subscriptions end in slices, and the position passes the record with the last", async () => {
    await withDirectory(async (directory) => {
      await using rig = await openCoreRig({ directory });
      await subscribeAll(rig);
      const at = await rig.append({ type: "deregister", id: operationId(), time: Date.now(), topic: TOPIC });
      // Folded after it, whatever it takes.
      await rig.append({ type: "register", id: operationId(), time: Date.now(), topic: TOPIC, end: 0 });
      await rig.folded();
      const slices = rig.commits.filter((batch) => endedIn(batch) > 0);
      assert.deepEqual(slices.map(endedIn), [1_000, 1_000, 500]);
      assert.deepEqual(slices.map((batch) => positionIn(batch, "subscriptions") > at), [false, false, true]);
      for (const callback of callbacks) assert.equal((await rig.subscription(callback))?.phase, "deregistered");
      assert.deepEqual((await rig.subscription("http://127.0.0.1:9/waiting"))?.pending, []);
      assert.equal((await rig.subscription(CALLBACK, "other"))?.phase, "active");
      assert.equal((await rig.replica.topic(topicIdOf(TOPIC)))?.endedAt, undefined, "registered anew");
      await eventually("all notices", () => rig.effects.notices.length === COUNT);
    });
  });

  it("A3.9 a crash in the middle: the next start ends the rest, each once, then goes on", async () => {
    await withDirectory(async (directory) => {
      {
        await using rig = await openCoreRig({ directory });
        await subscribeAll(rig);
        const stuck = Promise.withResolvers<void>();
        let slices = 0;
        rig.beforeCommit = (batch) => {
          if (endedIn(batch) === 0 || ++slices < 2) return Promise.resolve();
          stuck.resolve();
          return Promise.reject(new LogError("closed", "killed"));
        };
        await rig.append({ type: "deregister", id: operationId(), time: Date.now(), topic: TOPIC });
        const id = operationId();
        await rig.append({ ...intentOf(callbacks[0]!), id });
        await rig.append(resultOf(id, callbacks[0]!));
        await stuck.promise;
      }
      const state = await phases(directory);
      assert.equal(state["deregistered"], 1_000, "one slice was written");
      await using rig = await openCoreRig({ directory });
      await rig.folded();
      const ended = rig.commits.reduce((sum, batch) => sum + endedIn(batch), 0);
      assert.equal(ended, COUNT - 1_000);
      assert.equal((await rig.subscription(callbacks[0]!))?.phase, "active", "subscribed after the deregister");
      for (const callback of callbacks.slice(1)) {
        assert.equal((await rig.subscription(callback))?.phase, "deregistered");
      }
      const told = new Set(rig.effects.notices.map(({ notice }) => notice.callback));
      assert.equal(told.size, rig.effects.notices.length, "each is told once");
      // The first slice's notices are owed still; that of the one that subscribed anew was taken back.
      assert.equal(told.size, COUNT - 1);
      await rig.publish(TOPIC, "for the new one");
      await attempts(rig, 1);
      assert.deepEqual(rig.transport.posts.map(({ target }) => target), ["/subscriber/0"]);
    });
  });

  it("A3.8 a copy of a deregister, many others later, ends nothing that began since", async () => {
    await withDirectory(async (directory) => {
      await using rig = await openCoreRig({ directory });
      const first: HubEvent = { type: "deregister", id: operationId(), time: Date.now(), topic: TOPIC };
      await rig.append({ type: "register", id: operationId(), time: Date.now(), topic: TOPIC, end: 0 });
      await rig.append(first);
      for (let n = 0; n < 40; n++) {
        await rig.append({ type: "deregister", id: operationId(), time: Date.now(), topic: `other ${n}` });
      }
      await rig.append({ type: "register", id: operationId(), time: Date.now(), topic: TOPIC, end: 0 });
      await rig.intend({ callback: CALLBACK, verified: true });
      await rig.append(first);
      await rig.folded();
      assert.equal((await rig.subscription(CALLBACK))?.phase, "active");
      assert.equal((await rig.replica.topic(topicIdOf(TOPIC)))?.endedAt, undefined);
    });
  });
});

describe("A3.5 what the owner finds out itself", () => {
  it("A3.5 a 410 ends the subscription at once, without an event; what waits to be verified still waits", async () => {
    await withDirectory(async (directory) => {
      await using rig = await openCoreRig({ directory });
      rig.transport.answer = () => 410;
      await rig.intend({ callback: CALLBACK, verified: true });
      const waiting = await rig.intend({ callback: CALLBACK, secret: "again" });
      const end = await rig.log.end("events", 0);
      await rig.publish(TOPIC, "one");
      await eventually("gone", async () => (await rig.subscription(CALLBACK))?.phase === "gone");
      await rig.publish(TOPIC, "two");
      await never("another attempt", () => rig.transport.posts.length > 1, 100);
      assert.equal(await rig.log.end("events", 0), end);
      // Its subscriber said yes to a challenge that went out meanwhile: that yes is not lost.
      rig.transport.answer = () => 204;
      await rig.append(resultOf(waiting, CALLBACK));
      await rig.folded();
      assert.equal((await rig.subscription(CALLBACK))?.phase, "active");
      await rig.publish(TOPIC, "three");
      await eventually("delivery", () => rig.transport.to("/callback").includes("three"));
    });
  });

  it("A3.5 a renewal verified after the 410 begins behind what was delivered before it (chaos, seed 965)", async () => {
    await withDirectory(async (directory) => {
      await using rig = await openCoreRig({ directory });
      rig.transport.answer = ({ text }) => text === "two" ? 410 : 204;
      await rig.intend({ callback: CALLBACK, verified: true });
      // Asked for before any of them was published.
      const waiting = await rig.intend({ callback: CALLBACK, secret: "again" });
      for (const text of ["one", "two", "three"]) await rig.publish(TOPIC, text);
      await eventually("gone", async () => (await rig.subscription(CALLBACK))?.phase === "gone");
      await rig.append(resultOf(waiting, CALLBACK));
      await eventually("delivery", () => rig.transport.to("/callback").includes("three"));
      assert.deepEqual(rig.transport.to("/callback"), ["one", "two", "three"], "nothing twice, nothing left out");
    });
  });

  it("A3.5 a message that was given up and the position past it are written together", async () => {
    await withDirectory(async (directory) => {
      await using rig = await openCoreRig({ directory, deadLetterAttempts: 2, checkpointMs: 60_000 });
      rig.transport.answer = ({ text }) => text === "bad" ? 422 : 204;
      await rig.intend({ callback: CALLBACK, verified: true });
      const bad = await rig.publish(TOPIC, "bad");
      const id = subscriptionIdOf(TOPIC, CALLBACK);
      const batch = await eventually(
        "the dead letter",
        () => rig.commits.find((records) => records.some(({ stream }) => stream === "dead-letters")),
      );
      const watermark = positionsIn(batch).watermarks![0]!;
      const cursor = batch.find(({ stream, key }) => stream === "cursors" && key === id);
      const position = cursor === undefined || cursor.value === null
        ? watermark
        : valueOf<{ position: number }>(cursor)!.position;
      assert.ok(position > bad, `position ${position}, the dead letter's is ${bad}`);
      await rig.crash();
      await using again = await openCoreRig({ directory, deadLetterAttempts: 2 });
      await again.publish(TOPIC, "good");
      await attempts(again, 1);
      assert.deepEqual(again.transport.to("/callback"), ["good"]);
    });
  });
});

function intentOf(callback: string) {
  return {
    type: "intent" as const,
    time: Date.now(),
    mode: "subscribe" as const,
    topic: TOPIC,
    callback,
    end: 0,
    leaseMs: 86_400_000,
  };
}

function resultOf(intent: string, callback: string) {
  return {
    type: "result" as const,
    id: operationId(),
    time: Date.now(),
    intent,
    topic: TOPIC,
    callback,
    verified: true,
    challengedAt: Date.now(),
  };
}

function pingOf(): HubEvent {
  return { type: "ping", id: operationId(), time: Date.now(), topic: TOPIC };
}

/** Registers, pings, intents and results of a few pairs and topics, by a fixed seed. */
function randomEvents(count: number): HubEvent[] {
  let seed = 20_261_121;
  const random = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor(seed / 65_536) % below;
  };
  const intents: { id: string; topic: string; callback: string }[] = [];
  return Array.from({ length: count }, (): HubEvent => {
    const topic = `topic ${random(4)}`;
    const callback = `${CALLBACK}/${random(6)}`;
    const kind = random(10);
    const head = { id: operationId(), time: Date.now() };
    if (kind === 0) return { type: "register", ...head, topic, end: random(9) };
    if (kind === 1) return { type: "ping", ...head, topic };
    const intent = intents[intents.length - 1 - random(6)];
    if (kind < 6 || intent === undefined) {
      intents.push({ id: head.id, topic, callback });
      const mode = kind === 2 ? "unsubscribe" : "subscribe";
      return { ...intentOf(callback), ...head, topic, mode, end: random(9), secret: `secret ${random(99)}` };
    }
    return { ...resultOf(intent.id, intent.callback), ...head, topic: intent.topic, verified: random(4) > 0, end: 9 };
  });
}

async function everyEvent(rig: CoreRig): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  const end = await rig.log.end("events", 0);
  for (let from = 0; from < end;) {
    const chunk = await rig.log.read("events", 0, from, { maxBytes: 1e6 });
    records.push(...chunk.records);
    from = chunk.next;
  }
  return records;
}

function foldAll(records: readonly LogRecord[]) {
  const topics = new Map<string, TopicRecord>();
  const subscriptions = new Map<string, SubscriptionRecord>();
  for (const { value, offset } of records) {
    const event = decodeEvent(value);
    if (event.type === "intent" || event.type === "result") {
      const id = subscriptionIdOf(event.topic, event.callback);
      const after = foldSubscription(subscriptions.get(id), event, offset);
      if (after !== undefined) subscriptions.set(id, after);
    } else if (event.type === "register" || event.type === "ping") {
      const id = topicIdOf(event.topic);
      const after = foldTopic(topics.get(id), event, offset);
      if (after !== undefined) topics.set(id, after);
    }
  }
  // As they are read back.
  return { topics: plain(topics), subscriptions: plain(subscriptions) };
}

function plain<T>(map: Map<string, T>): Map<string, T> {
  return new Map([...map].map(([key, value]) => [key, JSON.parse(JSON.stringify(value)) as T]));
}

function positionsIn(batch: readonly ShardRecord[]): ShardRecordState {
  return valueOf<ShardRecordState>(batch.find(({ stream, key }) => stream === "cursors" && key === SHARD_KEY)!)!;
}

function positionIn(batch: readonly ShardRecord[], stream: "topics" | "subscriptions" | "cursors"): number {
  assert.ok(!batch.some(({ key }) => key === OWNER_KEY), "marks are the adapter's");
  const record = batch.find((one) => one.stream === stream && one.key === SHARD_KEY);
  assert.ok(record !== undefined, `${stream} has no position`);
  return valueOf<ShardRecordState>(record)!.events;
}

/** How many subscriptions the files in a directory hold, by phase. */
async function phases(directory: string): Promise<Record<string, number>> {
  const { openLibsqlLog } = await import("../../../core/log/libsql/libsql.ts");
  const log = await openLibsqlLog({ directory, retentionMs: 1e9, maxMessageBytes: 1e6, onFatal: assert.fail });
  try {
    const counts: Record<string, number> = {};
    for (const [key, { phase }] of await compacted<SubscriptionRecord>(log, "subscriptions")) {
      if (!key.startsWith("~")) counts[phase] = (counts[phase] ?? 0) + 1;
    }
    return counts;
  } finally {
    await log.close();
  }
}
