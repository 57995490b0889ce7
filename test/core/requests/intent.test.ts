import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decodeEvent, encodeEvent } from "../../../core/state/events.ts";
import { subscriptionIdOf } from "../../../core/state/ids.ts";
import { type SubscriptionStatus } from "../../../shared/core-api.ts";
import { SEALED_TOKEN } from "../../../shared/sealed-secret.ts";
import { sealedFor } from "../../support/keys.ts";
import { parameterOf } from "../../support/form.ts";
import { createClock, operationId } from "../../support/rigs/core-rig.ts";
import { eventually, never } from "../../support/eventually.ts";
import { events, onSharedCore, pair, stateOf, withCore } from "../../support/rigs/shared-core.ts";
import { resultOf } from "../../support/rigs/test-core.ts";

/** The answer of a callback that confirms what it is asked (§5.3). */
function confirming({ url }: { readonly url: string }) {
  return {
    kind: "answer" as const,
    status: 200,
    headers: {},
    body: Buffer.from(parameterOf(url.slice(url.indexOf("?") + 1), "hub.challenge") ?? ""),
    url,
  };
}

describe("subscribing", { timeout: 60_000 }, () => {
  onSharedCore({}, (core) => {
    it("§5.3 an intent is durable and waits for verification; nothing is delivered before a good result", async () => {
      const { topic, callback } = pair();
      const id = operationId();
      const { status, answer } = await core().operate({ kind: "intent", id, mode: "subscribe", topic, callback });
      assert.equal(status, 200);
      assert.deepEqual(answer, { kind: "intent", offset: await events(core()) - 1, verify: true });
      assert.equal(await stateOf(core(), topic, callback), "not_found");
      await core().publish(topic, "unseen");
      await core().operate(resultOf(id, "subscribe", topic, callback, false));
      assert.equal(await stateOf(core(), topic, callback), "not_found");
      assert.deepEqual(core().transport.to(new URL(callback).pathname), []);
    });

    it("WIRE §2 a subscription begins at the log's end before its intent: nothing published after the yes is missed", async () => {
      const { topic, callback } = pair();
      const id = operationId();
      await core().publish(topic, "before");
      await core().operate({ kind: "intent", id, mode: "subscribe", topic, callback, leaseMs: 60_000 });
      await core().publish(topic, "after the yes");
      await core().operate(resultOf(id, "subscribe", topic, callback, true));
      await core().publish(topic, "later");
      const path = new URL(callback).pathname;
      await eventually("both", () => core().transport.to(path).length === 2);
      assert.deepEqual(core().transport.to(path), ["after the yes", "later"]);
    });

    it("A3.8 an intent that is sent again is the same one: one offset, one pending, one lease", async () => {
      const { topic, callback } = pair();
      const intent = {
        kind: "intent",
        id: operationId(),
        madeAt: core().clock(),
        mode: "subscribe",
        topic,
        callback,
      } as const;
      const [first, second] = await Promise.all([core().operate(intent), core().operate(intent)]);
      assert.deepEqual([first.status, second.status], [200, 200]);
      await stateOf(core(), topic, callback);
      const third = await core().operate(intent);
      assert.deepEqual(third.answer, first.answer);
      // It counts once among the four: three more fit.
      for (let n = 0; n < 3; n++) {
        assert.equal((await core().operate({ ...intent, id: operationId() })).status, 200);
      }
    });

    it("WIRE §2 a fifth pending intent is 429, until one of the four is closed", async () => {
      const { topic, callback } = pair();
      const ids = Array.from({ length: 4 }, () => operationId());
      const ask = (id: string) => core().operate({ kind: "intent", id, mode: "subscribe", topic, callback });
      for (const id of ids) assert.equal((await ask(id)).status, 200);
      const { status, refusal } = await eventually("a refusal", async () => {
        const fifth = await ask(operationId());
        return fifth.status !== 200 && fifth;
      });
      assert.equal(status, 429);
      assert.equal(refusal.code, "too_many");
      const other = await core().operate({ kind: "intent", mode: "subscribe", topic, callback: `${callback}/other` });
      assert.equal(other.status, 200, "another callback is not held up");
      await core().operate(resultOf(ids[3]!, "subscribe", topic, callback, false));
      await eventually("room", async () => (await ask(operationId())).status === 200);
    });

    it("an unsubscribe is verified like a subscribe; that of an unknown pair changes nothing", async () => {
      const { topic, callback } = pair();
      await core().unsubscribe(topic, callback);
      assert.equal(await stateOf(core(), topic, callback), "not_found");
      await core().subscribe(topic, callback);
      assert.equal(await stateOf(core(), topic, callback), "active");
      await core().unsubscribe(topic, callback);
      assert.equal(await stateOf(core(), topic, callback), "unsubscribed");
      await core().publish(topic, "unseen");
      await never("a delivery", () => core().transport.to(new URL(callback).pathname).length, 60);
    });

    it("§5.1 a renewal replaces the secret, keeps the position, repeats nothing", async () => {
      const { topic, callback } = pair();
      const path = new URL(callback).pathname;
      await core().subscribe(topic, callback, { secret: "old" });
      await core().publish(topic, "1");
      await eventually("the first", () => core().transport.to(path).length === 1);
      await core().subscribe(topic, callback);
      assert.equal(await stateOf(core(), topic, callback), "active");
      await core().publish(topic, "2");
      await eventually("the second", () => core().transport.to(path).length === 2);
      const sent = core().transport.posts.filter(({ target }) => target === path);
      assert.deepEqual(sent.map((post) => post.header("x-hub-signature") === undefined), [false, true]);
    });

    it("A3.7 the lease counts from the challenge, not from the result", async () => {
      const { topic, callback } = pair();
      const id = operationId();
      await core().operate({ kind: "intent", id, mode: "subscribe", topic, callback, leaseMs: 100_000 });
      const sent = core().clock();
      await core().operate({ ...resultOf(id, "subscribe", topic, callback, true), elapsedMs: 30_000 });
      const { leaseExpiresAt } = await core().status(topic, callback) as SubscriptionStatus;
      const left = Date.parse(leaseExpiresAt!) - sent;
      assert.ok(left >= 70_000 && left < 75_000, `${left} ms are left of 100 s after 30 s`);
    });

    it("a result of an unknown intent, or of another pair, changes nothing", async () => {
      const { topic, callback } = pair();
      const id = operationId();
      await core().operate({ kind: "intent", id, mode: "subscribe", topic, callback });
      for (const [intent, to] of [[operationId(), callback], [id, `${callback}/other`]] as const) {
        assert.equal((await core().operate(resultOf(intent, "subscribe", topic, to, true))).status, 200);
        assert.equal(await stateOf(core(), topic, to), "not_found");
      }
    });

    it("A3.6 the core verifies at once what its edge cannot, also if the operation comes twice", async () => {
      await withCore({}, async (own) => {
        const { topic, callback } = pair();
        const held = Promise.withResolvers<void>();
        own.onCall = async (request) => {
          await held.promise;
          return confirming(request);
        };
        const id = operationId();
        const intent = {
          kind: "intent",
          id,
          mode: "subscribe",
          topic,
          callback,
          leaseMs: 600_000,
          unpinned: true,
        } as const;
        const { answer } = await own.operate(intent);
        assert.ok(answer.kind === "intent" && !answer.verify, "nothing is left for the edge to do");
        await eventually("the challenge", () => own.calls.length === 1);
        assert.deepEqual((await own.operate(intent)).answer, answer);
        held.resolve();
        await eventually("the subscription", async () => await stateOf(own, topic, callback) === "active");
        assert.equal(own.calls.length, 1, "once");
      });
    });

    it("ARCHITECTURE §5 a verify token is sealed in the log, also that of an older edge, and is opened when it is sent", async () => {
      await withCore({}, async (own) => {
        own.onCall = (request) => Promise.resolve(confirming(request));
        const token = "V3rify me & 9+1";
        const { topic, callback } = pair();
        const sealedToken = await sealedFor(topic, callback, token);
        const intent = { kind: "intent", mode: "subscribe", leaseMs: 600_000, unpinned: true } as const;
        await own.operate({ ...intent, id: operationId(), topic, callback, sealedToken });
        const older = pair();
        await own.operate({ ...intent, id: operationId(), ...older, verifyToken: token });
        for (const one of [{ topic, callback }, older]) {
          await eventually("the subscription", async () => await stateOf(own, one.topic, one.callback) === "active");
        }
        const asked = own.calls.map(({ url }) => parameterOf(url.slice(url.indexOf("?") + 1), "hub.verify_token"));
        assert.deepEqual(asked, [token, token]);
        const { records } = await own.log.read("events", 0, 0, { maxBytes: 1e6 });
        const intents = records.map(({ value }) => decodeEvent(value)).filter((event) => event.type === "intent");
        assert.equal(intents.length, 2);
        for (const event of intents) {
          assert.equal(event.verifyToken, undefined);
          assert.match(event.sealedToken ?? "", SEALED_TOKEN);
        }
        const other = pair();
        const refused = await own.operate({ ...intent, id: operationId(), ...other, sealedToken });
        assert.equal(refused.status, 400, "sealed for another subscription");
      });
    });

    it("ARCHITECTURE §5 a verify token in clear, of an event from before, is sent all the same", async () => {
      await withCore({}, async (own) => {
        own.onCall = (request) => Promise.resolve(confirming(request));
        const { topic, callback } = pair();
        const head = { type: "intent", id: operationId(), time: own.clock(), topic, callback } as const;
        const event = {
          ...head,
          mode: "subscribe",
          leaseMs: 60_000,
          end: 0,
          unpinned: true,
          verifyToken: "v",
        } as const;
        await own.log.append("events", { key: subscriptionIdOf(topic, callback), value: encodeEvent(event) });
        await eventually("the question", () => own.calls.length === 1);
        const { url } = own.calls[0]!;
        assert.equal(parameterOf(url.slice(url.indexOf("?") + 1), "hub.verify_token"), "v");
      });
    });

    it("A3.6 the core verifies an intent that has no result after a minute", async () => {
      await withCore({ clock: createClock() }, async (own) => {
        const { topic, callback } = pair();
        own.onCall = confirming;
        await own.operate({ kind: "intent", mode: "subscribe", topic, callback, leaseMs: 600_000 });
        await stateOf(own, topic, callback);
        own.clock.advance(61_000);
        own.sweep();
        await eventually("the subscription", async () => await stateOf(own, topic, callback) === "active");
        assert.equal(own.calls.length, 1);
        await own.publish(topic, "one");
        await eventually("delivery", () => own.transport.posts.length === 1);
      });
    });
  });
});
