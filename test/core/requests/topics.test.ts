import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { operationId } from "../../support/rigs/core-rig.ts";
import { eventually } from "../../support/eventually.ts";
import { events, onSharedCore, pair, stateOf, withCore } from "../../support/rigs/shared-core.ts";
import { resultOf } from "../../support/rigs/test-core.ts";

describe("TOPIC_REGISTRATION", { timeout: 60_000 }, () => {
  onSharedCore({ TIDINGS_TOPIC_REGISTRATION: "required" }, (core) => {
    it("required: content and pings to an unknown topic are not found, and nothing is written", async () => {
      const { topic } = pair();
      const before = await events(core());
      assert.equal((await core().publish(topic, "x")).status, 404);
      const { status, refusal } = await core().operate({ kind: "ping", topics: [topic] });
      assert.deepEqual([status, refusal.code], [404, "not_found"]);
      assert.equal(await events(core()), before);
    });

    it("§5.2 required: a subscribe to an unknown topic is denied, and not verified", async () => {
      const { topic, callback } = pair();
      const { answer } = await core().operate({ kind: "intent", mode: "subscribe", topic, callback });
      assert.equal("verify" in answer && answer.verify, false);
      await eventually(
        "the notice",
        () => core().calls.find(({ url }) => url.startsWith(`${callback}?hub.mode=denied`)),
      );
      assert.equal(await stateOf(core(), topic, callback), "not_found");
    });

    it("§5.2 required: an unsubscribe never depends on the topic", async () => {
      const { topic, callback } = pair();
      const { answer } = await core().operate({ kind: "intent", mode: "unsubscribe", topic, callback });
      assert.equal("verify" in answer && answer.verify, true);
    });

    it("A3.11 required: what was registered a moment ago is known", async () => {
      for (let n = 0; n < 20; n++) {
        const { topic, callback } = pair();
        assert.equal((await core().operate({ kind: "register", topic })).status, 200);
        assert.equal((await core().publish(topic, "x")).status, 200);
        const { answer } = await core().operate({ kind: "intent", mode: "subscribe", topic, callback });
        assert.equal("verify" in answer && answer.verify, true);
      }
    });
  });

  it("automatic: content and a verified subscribe make a topic; an unverified one does not", async () => {
    await withCore({}, async (core) => {
      const [published, subscribed, failed] = [pair(), pair(), pair()];
      const known = async (topic: string) => (await core.operate({ kind: "deregister", topic })).status === 200;
      await core.publish(published.topic, "x");
      await core.subscribe(subscribed.topic, subscribed.callback);
      const id = operationId();
      await core.operate({ kind: "intent", id, mode: "subscribe", ...failed });
      await core.operate(resultOf(id, "subscribe", failed.topic, failed.callback, false));
      assert.deepEqual(
        [await known(published.topic), await known(subscribed.topic), await known(failed.topic)],
        [true, true, false],
      );
    });
  });
});
