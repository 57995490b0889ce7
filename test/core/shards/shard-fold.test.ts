// Leases that end, and what lanes find out themselves (A3.5, A3.7).
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SubscriptionRecord } from "../../../core/state/records.ts";
import { subscriptionIdOf, topicIdOf } from "../../../core/state/ids.ts";
import type { ShardRecord } from "../../../core/log/log.ts";
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
} from "../../support/rigs/core-rig.ts";
import { eventually, never } from "../../support/eventually.ts";
import { intentOf, positionsIn, resultOf } from "../../support/rigs/shard-events.ts";

const CALLBACK = "http://127.0.0.1:9/callback";

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

  const finders = {
    "the sweep": (rig: CoreRig) => rig.sweep(),
    "a message for all": (rig: CoreRig) => rig.publish(TOPIC, "late"),
  };
  for (const [finder, find] of Object.entries(finders)) {
    it(`A3.7 1,500 leases that ${finder} finds over end in slices`, async () => {
      await withDirectory(async (directory) => {
        const clock = createClock();
        await using rig = await openCoreRig({ directory, clock });
        const callbacks = Array.from({ length: 1_500 }, (_, n) => `http://127.0.0.1:9/lease/${n}`);
        await Promise.all(callbacks.flatMap((callback) => {
          const intent = intentOf(callback, { leaseMs: 60_000 });
          return [rig.append(intent), rig.append(resultOf(intent.id, callback))];
        }));
        await rig.folded();
        clock.advance(600_000);
        await find(rig);
        const expired = (batch: readonly ShardRecord[]) =>
          batch.filter((record) =>
            record.stream === "subscriptions" && valueOf<SubscriptionRecord>(record)?.phase === "expired"
          ).length;
        const total = () => rig.commits.reduce((sum, batch) => sum + expired(batch), 0);
        await eventually("all leases to end", () => total() === callbacks.length);
        assert.ok(rig.commits.every((batch) => expired(batch) <= 1_000), rig.commits.map(expired).join());
      });
    });
  }

  it("A3.5 ended and expired ones are kept for the retention, then forgotten", async () => {
    await withDirectory(async (directory) => {
      const clock = createClock();
      await using rig = await openCoreRig({ directory, clock, retentionMs: 600_000 });
      const [over, bye, never_, stays] = ["over", "bye", "never", "stays"].map((path) => `${CALLBACK}/${path}`);
      await rig.append({ type: "register", id: operationId(), time: clock(), topic: "ends", end: 0 });
      await rig.append({ type: "deregister", id: operationId(), time: clock(), topic: "ends" });
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
