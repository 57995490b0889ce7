import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { pair, stateOf, withCore } from "../../support/rigs/shared-core.ts";
import { type TestCoreOptions } from "../../support/rigs/test-core.ts";

describe("what was accepted before a request", { timeout: 60_000 }, () => {
  it("A3.11 a core that does not catch up says so: 503, never a wrong 404", async () => {
    let held: Promise<void> | undefined;
    const wrap: TestCoreOptions["wrap"] = (log) => ({
      ...log,
      follow: (from, handle) =>
        log.follow(from, async (batch) => {
          if (batch.stream === "subscriptions" || batch.stream === "topics") await held;
          await handle(batch);
        }),
    });
    await withCore({ wrap }, async (core) => {
      const { topic, callback } = pair();
      await core.subscribe(topic, callback);
      assert.equal(await stateOf(core, topic, callback), "active");
      const catchingUp = Promise.withResolvers<void>();
      held = catchingUp.promise;
      const other = `${callback}/other`;
      await core.operate({ kind: "intent", mode: "subscribe", topic, callback: other });
      const registered = pair().topic;
      assert.equal((await core.operate({ kind: "register", topic: registered })).status, 200);
      const [status, ping, deregister] = await Promise.all([
        core.status(topic, other),
        core.operate({ kind: "ping", topics: [pair().topic] }),
        core.operate({ kind: "deregister", topic: registered }),
      ]);
      assert.deepEqual([status, ping.status, ping.refusal.code], ["unavailable", 503, "unavailable"]);
      assert.deepEqual([deregister.status, deregister.refusal.code], [503, "unavailable"]);
      catchingUp.resolve();
      assert.equal(await stateOf(core, topic, other), "not_found");
    });
  });
});
