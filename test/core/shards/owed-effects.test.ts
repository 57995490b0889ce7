// What a shard's owner does outside of the log, after the commit that calls for it (A3.10).
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { HubEvent } from "../../../core/state/events.ts";
import { topicIdOf } from "../../../core/state/ids.ts";
import { attempts, createClock, openCoreRig, operationId, TOPIC, withDirectory } from "../../support/rigs/core-rig.ts";
import { eventually, never } from "../../support/eventually.ts";
import { intentOf, resultOf } from "../../support/rigs/shard-events.ts";

const CALLBACK = "http://127.0.0.1:9/callback";

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
      const intent = intentOf(CALLBACK, { start: 0 });
      // Together, so that the batch that is held calls for all of them.
      await Promise.all([
        rig.append(intent),
        rig.append({ ...resultOf(intent.id, CALLBACK), time: intent.time }),
        rig.append(intentOf(`${CALLBACK}2`, { denied: "no" })),
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
        await rig.append(intentOf(CALLBACK, { denied: "not registered" }));
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
        await rig.append(intentOf(CALLBACK, { denied }));
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
        // Another event of the pair does not start a second verification.
        await rig.intend({ callback: CALLBACK, mode: "unsubscribe", verified: false });
        clock.advance(3_000);
        rig.sweep();
        await never("a second one", () => rig.effects.verifications.length > 1, 100);
      }
      await using rig = await openCoreRig({ directory, clock });
      const { intent, found } = await eventually("the takeover again", () => rig.effects.verifications[0]);
      const end = await rig.log.end("events", 0);
      found({ ...resultOf(intent.id, CALLBACK), challengedAt: clock() });
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

function pingOf(): HubEvent {
  return { type: "ping", id: operationId(), time: Date.now(), topic: TOPIC };
}
