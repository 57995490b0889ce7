// A deregister, which takes its owner many batches (A3.9).
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { HubEvent } from "../../../core/state/events.ts";
import type { SubscriptionRecord } from "../../../core/state/records.ts";
import { topicIdOf } from "../../../core/state/ids.ts";
import { LogError, type ShardRecord } from "../../../core/log/log.ts";
import {
  attempts,
  compacted,
  type CoreRig,
  openCoreRig,
  operationId,
  TOPIC,
  valueOf,
  withDirectory,
} from "../../support/rigs/core-rig.ts";
import { eventually } from "../../support/eventually.ts";
import { intentOf, positionIn, resultOf } from "../../support/rigs/shard-events.ts";

const CALLBACK = "http://127.0.0.1:9/callback";

describe("A3.9 deregister", () => {
  const COUNT = 2_500;
  const callbacks = Array.from({ length: COUNT }, (_, n) => `http://127.0.0.1:9/subscriber/${n}`);

  async function subscribeAll(rig: CoreRig): Promise<void> {
    const time = Date.now();
    await rig.append({ type: "register", id: operationId(), time, topic: TOPIC, end: 0 });
    await Promise.all(callbacks.flatMap((callback) => {
      const intent = intentOf(callback);
      return [rig.append(intent), rig.append(resultOf(intent.id, callback))];
    }));
    // One that only waits, and one of another topic.
    await rig.append(intentOf("http://127.0.0.1:9/waiting"));
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
      // This event is folded after the whole deregister, however many slices that takes.
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
        const intent = intentOf(callbacks[0]!);
        await rig.append(intent);
        await rig.append(resultOf(intent.id, callbacks[0]!));
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
      // The first slice's notices are still owed. The subscriber that subscribed again gets none: its notice was taken back.
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

async function phases(directory: string): Promise<Record<string, number>> {
  const { openLibsqlLog } = await import("../../../core/log/libsql/libsql-log.ts");
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
