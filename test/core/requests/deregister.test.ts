import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout } from "node:timers/promises";
import type { Log } from "../../../core/log/log.ts";
import { parameterOf } from "../../support/form.ts";
import { operationId } from "../../support/rigs/core-rig.ts";
import { eventually } from "../../support/eventually.ts";
import { onSharedCore, pair, stateOf, withCore } from "../../support/rigs/shared-core.ts";
import { resultOf } from "../../support/rigs/test-core.ts";

/** A log whose shard commits take a while: events are in the log long before their fold shows. */
function slow(log: Log): Log {
  return {
    ...log,
    async openWriter(shard) {
      const writer = await log.openWriter(shard);
      return {
        close: () => writer.close(),
        async commit(records) {
          await setTimeout(50);
          await writer.commit(records);
        },
      };
    },
  };
}

describe("topics", { timeout: 60_000 }, () => {
  onSharedCore({}, (core) => {
    it("a register is done, and done again; the second changes nothing that a subscriber sees", async () => {
      const { topic, callback } = pair();
      assert.deepEqual((await core().operate({ kind: "register", topic })).answer, { kind: "done" });
      await core().publish(topic, "kept");
      assert.equal((await core().operate({ kind: "register", topic })).status, 200);
      await core().subscribe(topic, callback, { start: "earliest" });
      await eventually("what was published", () => core().transport.to(new URL(callback).pathname)[0] === "kept");
    });

    it("a deregister of an unknown topic is not found; of a known one it is done, once", async () => {
      const { topic } = pair();
      const unknown = await core().operate({ kind: "deregister", topic });
      assert.equal(unknown.status, 404);
      assert.equal(unknown.refusal.code, "not_found");
      assert.ok(unknown.refusal.message.includes(topic));
      await core().operate({ kind: "register", topic });
      assert.equal((await core().operate({ kind: "deregister", topic })).status, 200);
      assert.equal((await core().operate({ kind: "deregister", topic })).status, 404);
    });

    it("A3.11 after the answer to a deregister the topic has ended, even if the fold comes later", async () => {
      await withCore({ wrap: slow }, async (core) => {
        const { topic, callback } = pair();
        await core.publish(topic, "first life");
        assert.equal((await core.operate({ kind: "deregister", topic })).status, 200);
        assert.equal((await core.operate({ kind: "deregister", topic })).status, 404);
        await core.publish(topic, "second life");
        await core.subscribe(topic, callback, { start: "earliest" });
        const { pathname } = new URL(callback);
        await eventually("what was published", () => core.transport.to(pathname).length > 0);
        assert.deepEqual(core.transport.to(pathname), ["second life"]);
      });
    });

    it("A3.8 a deregister that is sent again after its fold gets the first answer, and ends nothing new", async () => {
      const { topic, callback } = pair();
      await core().operate({ kind: "register", topic });
      const id = operationId();
      const madeAt = core().clock();
      assert.equal((await core().operate({ kind: "deregister", topic, id, madeAt })).status, 200);
      await eventually("its fold", async () => (await core().operate({ kind: "deregister", topic })).status === 404);
      assert.equal((await core().operate({ kind: "deregister", topic, id, madeAt })).status, 200);
      await core().subscribe(topic, callback);
      assert.equal((await core().operate({ kind: "deregister", topic, id, madeAt })).status, 200);
      assert.equal(await stateOf(core(), topic, callback), "active");
    });

    it("A3.9 a deregister ends the topic's subscriptions with a notice, and drops its pending intents", async () => {
      const { topic, callback } = pair();
      await core().operate({ kind: "register", topic });
      await core().subscribe(topic, callback);
      const waiting = operationId();
      const other = `${callback}/waiting`;
      await core().operate({ kind: "intent", id: waiting, mode: "subscribe", topic, callback: other });
      await core().operate({ kind: "deregister", topic });
      await core().operate(resultOf(waiting, "subscribe", topic, other, true));
      assert.equal(await stateOf(core(), topic, callback), "deregistered");
      assert.equal(await stateOf(core(), topic, other), "not_found");
      const { url } = await eventually("the notice", () => core().calls.find(({ url }) => url.startsWith(callback)));
      const query = url.slice(url.indexOf("?") + 1);
      assert.equal(parameterOf(query, "hub.mode"), "denied");
      assert.equal(parameterOf(query, "hub.topic"), topic);
      assert.match(parameterOf(query, "hub.reason")!, /deregistered/);
    });
  });
});
