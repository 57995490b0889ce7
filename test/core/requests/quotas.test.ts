import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ClientIdentity } from "../../../shared/core-api.ts";
import { operationId, withDirectory } from "../../support/rigs/core-rig.ts";
import { eventually } from "../../support/eventually.ts";
import { withCore } from "../../support/rigs/shared-core.ts";
import { openTestCore, resultOf, type TestCore } from "../../support/rigs/test-core.ts";

const ALICE: ClientIdentity = { issuer: "https://a", userId: "alice" };
const BOB: ClientIdentity = { issuer: "https://a", userId: "bob" };
const LIMITS = { TIDINGS_SUBSCRIPTIONS_PER_CLIENT: "3", TIDINGS_TOPICS_PER_CLIENT: "3" };

const callbackOf = (n: number | string) => `http://127.0.0.1:9/${n}`;

/** What a client asks for; the status of the answer, and the intent's id. */
function as(core: TestCore, client: ClientIdentity | undefined) {
  const by = client === undefined ? {} : { client };
  const intend = async (mode: "subscribe" | "unsubscribe", topic: string, callback: string, verified?: boolean) => {
    const id = operationId();
    const lease = mode === "subscribe" ? { leaseMs: 3_600_000 } : {};
    const { status } = await core.operate({ kind: "intent", id, mode, topic, callback, ...lease, ...by });
    if (status === 200 && verified !== undefined) await core.operate(resultOf(id, mode, topic, callback, verified));
    return status;
  };
  return {
    ask: (topic: string, callback: string) => intend("subscribe", topic, callback),
    subscribe: (topic: string, callback: string) => intend("subscribe", topic, callback, true),
    fail: (topic: string, callback: string) => intend("subscribe", topic, callback, false),
    unsubscribe: (topic: string, callback: string) => intend("unsubscribe", topic, callback, true),
    register: async (topic: string) =>
      (await core.operate({ kind: "register", id: operationId(), topic, ...by })).status,
    ping: async (topic: string) =>
      (await core.operate({ kind: "ping", id: operationId(), topics: [topic], ...by })).status,
    publish: async (topic: string) => (await core.publish(topic, "x", by)).status,
  };
}

/** Waits for a status: room is there again only after the fold of what made it. */
const becomes = (status: number, ask: () => Promise<number>) =>
  eventually(`${status}`, async () => await ask() === status);

describe("subscriptions per client", { timeout: 60_000 }, () => {
  const only = { ...LIMITS, TIDINGS_TOPICS_PER_CLIENT: "0" };

  it("live and pending ones count; renewals, and those of other clients, do not", () =>
    withCore({ settings: only }, async (core) => {
      const [alice, bob, nobody] = [as(core, ALICE), as(core, BOB), as(core, undefined)];
      assert.equal(await alice.subscribe("t", callbackOf(1)), 200);
      assert.equal(await alice.subscribe("t", callbackOf(2)), 200);
      assert.equal(await alice.ask("t", callbackOf(3)), 200, "it waits for its result");
      const { status, refusal } = await core.operate({
        kind: "intent",
        id: operationId(),
        mode: "subscribe",
        topic: "t",
        callback: callbackOf(4),
        leaseMs: 60_000,
        client: ALICE,
      });
      assert.equal(status, 429);
      assert.equal(refusal.code, "too_many");
      assert.match(refusal.message, /has 3 subscriptions, as many as TIDINGS_SUBSCRIPTIONS_PER_CLIENT lets it have/);
      assert.equal(await core.status("t", callbackOf(4)), "not_found");
      for (const n of [1, 2, 3]) assert.equal(await alice.ask("t", callbackOf(n)), 200, "a renewal, or one that waits");
      assert.equal(await alice.unsubscribe("t", callbackOf(77)), 200, "an unsubscribe makes nothing");
      for (let n = 0; n < 3; n++) assert.equal(await bob.subscribe("t", callbackOf(`bob/${n}`)), 200);
      assert.equal(await bob.subscribe("t", callbackOf(1)), 429, "to take over another's is one more");
      for (let n = 0; n < 5; n++) assert.equal(await nobody.subscribe("t", callbackOf(`nobody/${n}`)), 200);
      const text = await core.metrics();
      assert.match(text, /^tidings_limited_total\{[^}]*limit="subscriptions"[^}]*\} 2$/m);
    }));

  it("ended and unverified ones make room again; an expired one is kept, and counts", () =>
    withCore({ settings: { ...only, TIDINGS_LEASE_MIN: "1" } }, async (core) => {
      const alice = as(core, ALICE);
      for (const n of [1, 2, 3]) assert.equal(await alice.subscribe("t", callbackOf(n)), 200);
      assert.equal(await alice.ask("t", callbackOf(4)), 429);
      core.clock.advance(3_700_000);
      core.sweep();
      await eventually("the leases to be over", async () => {
        const status = await core.status("t", callbackOf(1));
        return typeof status !== "string" && status.state === "expired";
      });
      assert.equal(await alice.ask("t", callbackOf(4)), 429);
      assert.equal(await alice.unsubscribe("t", callbackOf(1)), 200);
      await becomes(200, () => alice.fail("t", callbackOf(4)));
      await becomes(200, () => alice.subscribe("t", callbackOf(5)));
      await becomes(429, () => alice.ask("t", callbackOf(6)));
    }));

  it("of many at once exactly as many are accepted as there is room for, and a restart forgets nothing", () =>
    withDirectory(async (directory) => {
      let core = await openTestCore({ directory, settings: only });
      const many = Array.from({ length: 40 }, (_, n) => as(core, ALICE).subscribe("t", callbackOf(n)));
      const statuses = await Promise.all(many);
      assert.equal(statuses.filter((status) => status === 200).length, 3);
      assert.equal(statuses.filter((status) => status === 429).length, 37);
      const kept = statuses.indexOf(200);
      await core.stop();
      core = await openTestCore({ directory, settings: only });
      try {
        assert.equal(await as(core, ALICE).ask("t", callbackOf("more")), 429);
        assert.equal(await as(core, ALICE).subscribe("t", callbackOf(kept)), 200);
        assert.equal(await as(core, ALICE).unsubscribe("t", callbackOf(kept)), 200);
        await becomes(200, () => as(core, ALICE).subscribe("t", callbackOf("more")));
        assert.equal(await as(core, ALICE).ask("t", callbackOf("another")), 429);
      } finally {
        await core.stop();
      }
    }));
});

describe("topics per client", { timeout: 60_000 }, () => {
  const only = { ...LIMITS, TIDINGS_SUBSCRIPTIONS_PER_CLIENT: "0" };

  it("topics count that a register, content or a subscribe made; an existing topic does not count again", () =>
    withCore({ settings: only }, async (core) => {
      const [alice, bob, nobody] = [as(core, ALICE), as(core, BOB), as(core, undefined)];
      assert.equal(await alice.register("a"), 200);
      assert.equal(await alice.publish("b"), 200);
      assert.equal(await alice.subscribe("c", callbackOf(1)), 200);
      const refused = await core.operate({ kind: "register", id: operationId(), topic: "d", client: ALICE });
      assert.equal(refused.status, 429);
      assert.match(refused.refusal.message, /has 3 topics, as many as TIDINGS_TOPICS_PER_CLIENT lets it have/);
      assert.equal(await alice.publish("d"), 429);
      assert.equal(await alice.subscribe("d", callbackOf(2)), 429);
      assert.equal(await nobody.ask("d", callbackOf(3)), 200);
      assert.equal(await alice.ping("d"), 429, "a ping makes the topic that a subscription waits for");
      for (const topic of ["a", "b", "c"]) {
        assert.equal(await alice.register(topic), 200);
        assert.equal(await alice.publish(topic), 200);
        assert.equal(await alice.subscribe(topic, callbackOf(2)), 200);
      }
      assert.equal(await bob.register("d"), 200);
      assert.equal(await alice.publish("d"), 200, "it is there now, whosever it is");
      for (const topic of ["n1", "n2", "n3", "n4", "n5"]) assert.equal(await nobody.register(topic), 200);
      await core.operate({ kind: "deregister", id: operationId(), topic: "a" });
      await becomes(200, () => alice.register("e"));
      assert.equal(await alice.register("f"), 429);
    }));

  it("of many at once exactly as many are made as there is room for, also by subscribes; a restart forgets nothing", () =>
    withDirectory(async (directory) => {
      let core = await openTestCore({ directory, settings: only });
      const alice = as(core, ALICE);
      const statuses = await Promise.all(Array.from({ length: 40 }, (_, n) =>
        [
          () => alice.register(`r${n}`),
          () => alice.subscribe(`s${n}`, callbackOf(n)),
          () => alice.publish(`p${n}`),
        ][n % 3]!()));
      assert.equal(statuses.filter((status) => status === 200).length, 3, statuses.join());
      await core.stop();
      core = await openTestCore({ directory, settings: only });
      try {
        assert.equal(await as(core, ALICE).register("more"), 429);
        assert.equal(await as(core, BOB).register("more"), 200);
      } finally {
        await core.stop();
      }
    }));

  it("0 is any number", () =>
    withCore({ settings: { TIDINGS_SUBSCRIPTIONS_PER_CLIENT: "0", TIDINGS_TOPICS_PER_CLIENT: "0" } }, async (core) => {
      for (let n = 0; n < 10; n++) assert.equal(await as(core, ALICE).subscribe(`t${n}`, callbackOf(n)), 200);
    }));
});
