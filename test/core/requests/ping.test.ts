import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { eventually, never } from "../../support/eventually.ts";
import { events, onSharedCore, pair, stateOf } from "../../support/rigs/shared-core.ts";

describe("pings", { timeout: 60_000 }, () => {
  onSharedCore({}, (core) => {
    it("WIRE §1 without any subscription: accepted, nothing fetched, nothing written", async () => {
      const { topic } = pair();
      await core().operate({ kind: "register", topic });
      const before = await events(core());
      assert.deepEqual((await core().operate({ kind: "ping", topics: [topic, pair().topic] })).answer, {
        kind: "done",
      });
      assert.equal(await events(core()), before);
      assert.deepEqual(core().calls.filter(({ url }) => url === topic), []);
    });

    it("WIRE §1 with a subscription that is active, expired or pending: fetched; with an ended one: not fetched", async () => {
      const [active, waiting, over] = [pair(), pair(), pair()];
      await core().subscribe(active.topic, active.callback);
      await core().operate({ kind: "intent", mode: "subscribe", ...waiting });
      await core().subscribe(over.topic, over.callback);
      await core().unsubscribe(over.topic, over.callback);
      assert.equal(await stateOf(core(), over.topic, over.callback), "unsubscribed");
      const topics = [active, waiting, over].map(({ topic }) => topic);
      assert.equal((await core().operate({ kind: "ping", topics })).status, 200);
      const fetched = () => topics.map((topic) => core().calls.some(({ url }) => url === topic));
      await eventually("two fetches", () => fetched().filter(Boolean).length === 2);
      assert.deepEqual(fetched(), [true, true, false]);
    });

    it("WIRE §3 the fetched document is delivered once, with its own type", async () => {
      const { topic, callback } = pair();
      const path = new URL(callback).pathname;
      core().onCall = ({ url }) => ({
        kind: "answer",
        status: 200,
        headers: { "content-type": "application/atom+xml" },
        body: Buffer.from("<feed/>"),
        url,
      });
      await core().subscribe(topic, callback);
      for (let n = 0; n < 3; n++) {
        await core().operate({ kind: "ping", topics: [topic] });
        await eventually("a fetch", () => core().calls.filter(({ url }) => url === topic).length > n);
      }
      await eventually("delivery", () => core().transport.to(path).length === 1);
      const [sent] = core().transport.posts.filter(({ target }) => target === path);
      assert.equal(sent!.header("content-type"), "application/atom+xml");
      await never("unchanged bytes", () => core().transport.to(path).length > 1, 60);
    });
  });
});
