import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, it } from "node:test";
import { decodeCursor, encodeCursor } from "../../../core/messages/cursor-text.ts";
import { signedText } from "../../../core/requests/subscriber-signature.ts";
import { encodeEvent } from "../../../core/state/events.ts";
import { subscriptionIdOf, topicIdOf } from "../../../core/state/ids.ts";
import {
  type Caller,
  CALLER_HEADER,
  CORE_PATHS,
  type CoreRefusal,
  type SubscriptionStatus,
} from "../../../shared/core-api.ts";
import { operationId, withDirectory } from "../../support/rigs/core-rig.ts";
import { sealedFor } from "../../support/keys.ts";
import { eventually } from "../../support/eventually.ts";
import { encodeForm } from "../../support/form.ts";
import { openTestCore, resultOf, type TestCore, type TestCoreOptions } from "../../support/rigs/test-core.ts";

const TOPIC = "https://example.com/feed";
const NOTHING = new Uint8Array();
const CALLBACK = "http://127.0.0.1:9/callback";

async function withCore(
  settings: Record<string, string>,
  run: (core: TestCore, again: () => Promise<TestCore>) => Promise<void>,
): Promise<void> {
  await withDirectory(async (directory) => {
    const onCall: TestCore["onCall"] = ({ url }) => ({ kind: "answer", status: 204, headers: {}, body: NOTHING, url });
    const options: TestCoreOptions = { directory, settings, onCall };
    let core = await openTestCore(options);
    const { clock, transport } = core;
    try {
      await run(core, async () => {
        await core.stop();
        return core = await openTestCore({ ...options, clock, transport });
      });
      assert.deepEqual(core.failures, []);
    } finally {
      await core.stop();
    }
  });
}

/** Waits until the status is there and passes the test. */
async function until(
  core: TestCore,
  what: string,
  wanted: (status: SubscriptionStatus) => boolean,
): Promise<SubscriptionStatus> {
  let last: unknown;
  return await eventually(what, async () => {
    const status = await core.status(TOPIC, CALLBACK);
    last = status;
    return typeof status !== "string" && wanted(status) && status;
  }, { seen: () => JSON.stringify(last) });
}

const cursorAt = (offset: number) => encodeCursor(topicIdOf(TOPIC), { partition: 0, offset });

describe("WIRE §5 the status of a subscription", { timeout: 60_000 }, () => {
  it("a pair that was never known, or never verified, is not found", async () => {
    await withCore({}, async (core) => {
      assert.equal(await core.status(TOPIC, CALLBACK), "not_found");
      await core.operate({ kind: "intent", mode: "subscribe", topic: TOPIC, callback: CALLBACK });
      assert.equal(await core.status(TOPIC, CALLBACK), "not_found");
    });
  });

  it("unverified: why the last subscribe failed, to those who made it, for a day and over a restart, and to no other route", async () => {
    await withCore({}, async (first, again) => {
      const client = { issuer: "https://issuer.example", userId: "one" };
      const asked = { topic: TOPIC, callback: CALLBACK, id: operationId(), client } as const;
      const secret = await sealedFor(TOPIC, CALLBACK, "its secret");
      await first.operate({ kind: "intent", mode: "subscribe", ...asked, secret });
      const no = {
        ...resultOf(asked.id, "subscribe", TOPIC, CALLBACK, false),
        outcome: "refused",
        reason: "status 404",
      } as const;
      await first.operate(no);
      const time = first.clock();
      const signed = (key: string, timestamp = String(Math.floor(first.clock() / 1_000))) => {
        const parts = { method: "GET", path: "/subscriptions", query: "x", timestamp, bodySha256: "0".repeat(64) };
        const hmac = createHmac("sha256", key).update(signedText(parts)).digest("base64");
        return { kind: "signature", ...parts, signature: `v1=${hmac}` } as const;
      };
      const ask = async (core: TestCore, caller: Caller, path: string = CORE_PATHS.subscriptions) => {
        const headers = { [CALLER_HEADER]: encodeURIComponent(JSON.stringify(caller)) };
        const { status, text } = await core.call(`${path}?${encodeForm({ topic: TOPIC, callback: CALLBACK })}`, {
          headers,
        });
        return { status, body: JSON.parse(text) as SubscriptionStatus & CoreRefusal };
      };
      // What others ask for the same pair, and fail at, says nothing to this client, and takes nothing from it.
      for (const userId of ["three", "four"]) {
        const other = { ...asked, id: operationId(), client: { issuer: client.issuer, userId } };
        await first.operate({ kind: "intent", mode: "subscribe", ...other });
        await first.operate({ ...no, id: operationId(), intent: other.id, outcome: "failed", reason: "a stranger's" });
      }
      const mayAsk: Caller[] = [
        { kind: "client", ...client },
        signed("its secret"),
      ];
      for (const begin of [() => first, again]) {
        const core = await begin();
        for (const caller of mayAsk) {
          const { status, body } = await ask(core, caller);
          assert.equal(status, 200, caller.kind);
          const { at, ...why } = body.lastVerification!;
          assert.deepEqual(why, { outcome: "refused", reason: "status 404" });
          assert.ok(Math.abs(Date.parse(at) - time) < 5_000, at);
          assert.equal(body.state, "unverified");
          // All other routes know no such pair.
          const other = await ask(core, caller, CORE_PATHS.messages);
          assert.equal(other.body.code, caller.kind === "signature" ? "unauthorized" : "not_found");
        }
        for (const caller of [{ kind: "anyone" }, { kind: "operator", issuer: "x", userId: "y" }] as const) {
          assert.equal((await ask(core, caller)).body.lastVerification?.reason, "a stranger's", "the newest of all");
        }
        const stranger = await ask(core, { kind: "client", issuer: client.issuer, userId: "two" });
        assert.deepEqual([stranger.status, stranger.body.code], [404, "not_found"]);
        assert.deepEqual((await ask(core, signed("another"))).body.code, "unauthorized");
      }
      const core = await again();
      core.clock.advance(86_400_000);
      assert.equal(await core.status(TOPIC, CALLBACK), "not_found");
      core.sweep();
      await eventually("the pair is forgotten", () => {
        core.sweep();
        return Promise.resolve(core.core.engine.ownership.shards[0]!.subscriptions === 0);
      });
    });
  });

  it("a failed renewal stands beside the state of the subscription, until a later one is verified", async () => {
    await withCore({}, async (core) => {
      await core.subscribe(TOPIC, CALLBACK);
      const id = operationId();
      await core.operate({ kind: "intent", id, mode: "subscribe", topic: TOPIC, callback: CALLBACK, leaseMs: 60_000 });
      const no = {
        ...resultOf(id, "subscribe", TOPIC, CALLBACK, false),
        outcome: "failed",
        reason: "connection refused",
      } as const;
      await core.operate(no);
      const { state, lastVerification } = await until(
        core,
        "the failure is shown",
        (status) => status.lastVerification !== null,
      );
      assert.equal(state, "active");
      assert.partialDeepStrictEqual(lastVerification, { outcome: "failed", reason: "connection refused" });
      await core.subscribe(TOPIC, CALLBACK);
      await until(core, "the failure is over", (status) => status.lastVerification === null);
    });
  });

  it("active: what was delivered last, how much is left, and since when", async () => {
    await withCore({}, async (core) => {
      core.transport.answer = ({ text }) => text === "1" ? 204 : "hold";
      await core.publish("another topic", "0");
      await core.subscribe(TOPIC, CALLBACK, { leaseMs: 600_000 });
      const begun = await core.status(TOPIC, CALLBACK) as SubscriptionStatus;
      assert.deepEqual({ ...begun, leaseExpiresAt: "" }, {
        topic: TOPIC,
        callback: CALLBACK,
        state: "active",
        leaseExpiresAt: "",
        cursor: cursorAt(0),
        lag: 0,
        oldestUndeliveredAt: null,
        lastError: null,
        stuck: null,
        gaps: [],
        lastVerification: null,
      });
      const left = Date.parse(begun.leaseExpiresAt!) - core.clock();
      assert.ok(left > 590_000 && left <= 600_000, `${left} ms`);
      const { answer } = await core.publish(TOPIC, "1");
      await core.publish("another topic", "x");
      const before = core.clock();
      await core.publish(TOPIC, "2");
      await core.publish(TOPIC, "3");
      const status = await until(
        core,
        "the second in flight",
        ({ cursor }) => cursor !== answer.cursor && cursor !== begun.cursor,
      );
      assert.equal(status.lag, 2, "of this topic alone");
      const since = Date.parse(status.oldestUndeliveredAt!);
      assert.ok(since >= before - 1 && since <= core.clock());
      assert.ok(
        decodeCursor(topicIdOf(TOPIC), status.cursor!).offset >= decodeCursor(topicIdOf(TOPIC), answer.cursor).offset,
      );
    });
  });

  it("topic and callback are spelled as the subscriber wrote them, not as the question does", async () => {
    await withCore({}, async (core) => {
      await core.subscribe("https://example.com/%7Euser", "http://127.0.0.1:9/%63allback");
      const status = await core.status(
        "https://example.com/~user",
        "http://127.0.0.1:9/callback",
      ) as SubscriptionStatus;
      assert.equal(status.topic, "https://example.com/%7Euser");
      assert.equal(status.callback, "http://127.0.0.1:9/%63allback");
    });
  });

  it("failing and parked: the last error, and it stays so over a restart", async () => {
    await withCore({ TIDINGS_PARK_AFTER: "30ms", TIDINGS_PROBE_INTERVAL: "1h" }, async (core, again) => {
      core.transport.answer = () => 503;
      await core.subscribe(TOPIC, CALLBACK);
      await core.publish(TOPIC, "1");
      const parked = await until(core, "it is parked", ({ state }) => state === "parked");
      assert.equal(parked.lastError, "answered 503");
      assert.equal(parked.lag, 1);
      const after = await until(await again(), "it is parked", ({ state }) => state === "parked");
      assert.deepEqual(after, parked);
    });
  });

  it("a message that is answered 5xx for long is named, from the lane and after a restart from its checkpoint", async () => {
    const settings = { TIDINGS_DEAD_LETTER_ATTEMPTS: "1", TIDINGS_RETRY_MIN: "1ms", TIDINGS_RETRY_MAX: "1ms" };
    await withCore(settings, async (core, again) => {
      core.transport.answer = () => core.transport.posts.length <= 12 ? 503 : "hold";
      await core.subscribe(TOPIC, CALLBACK);
      const { answer } = await core.publish(TOPIC, "1");
      const status = await until(core, "it is named", ({ stuck }) => stuck?.attempts === 12);
      const { since, ...stuck } = status.stuck!;
      assert.deepEqual(stuck, { id: answer.id, cursor: answer.cursor, attempts: 12, answered5xx: 12 });
      assert.ok(Math.abs(Date.parse(since) - core.clock()) < 60_000);
      assert.match(
        status.lastError!,
        new RegExp(`^answered 503: .* message ${answer.id} with 5xx 12 times since ${since}`),
      );
      const restarted = await again();
      assert.deepEqual(await until(restarted, "it is named", ({ stuck }) => stuck !== null), status);
    });
  });

  it("expired: its position is kept and shown, over a restart too", async () => {
    await withCore({}, async (core, again) => {
      await core.subscribe(TOPIC, CALLBACK, { leaseMs: 60_000 });
      const { answer } = await core.publish(TOPIC, "1");
      await until(core, "delivery", ({ cursor }) => cursor === answer.cursor);
      core.clock.advance(61_000);
      core.sweep();
      await until(core, "expiry", ({ state }) => state === "expired");
      await core.publish(TOPIC, "2");
      const restarted = await again();
      const status = await until(restarted, "expiry", ({ state }) => state === "expired");
      assert.equal(status.cursor, answer.cursor);
      assert.equal(status.lag, 1);
      assert.ok(Date.parse(status.leaseExpiresAt!) < restarted.clock());
    });
  });

  const ENDINGS: readonly (readonly [state: string, end: (core: TestCore) => Promise<unknown>])[] = [
    ["unsubscribed", (core) => core.unsubscribe(TOPIC, CALLBACK)],
    ["gone", async (core) => {
      core.transport.answer = () => 410;
      await core.publish(TOPIC, "1");
    }],
    ["revoked", (core) =>
      core.log.append("events", {
        key: subscriptionIdOf(TOPIC, CALLBACK),
        value: encodeEvent({
          type: "revoke",
          id: operationId(),
          time: core.clock(),
          topic: TOPIC,
          callback: CALLBACK,
          reason: "by an operator",
        }),
      })],
    ["deregistered", (core) => core.operate({ kind: "deregister", topic: TOPIC })],
  ];
  for (const [state, end] of ENDINGS) {
    it(`${state}: a tombstone for the retention, then not found`, async () => {
      await withCore({ TIDINGS_RETENTION: "1h" }, async (core, again) => {
        await core.subscribe(TOPIC, CALLBACK);
        await end(core);
        const tombstone = {
          topic: TOPIC,
          callback: CALLBACK,
          state,
          leaseExpiresAt: null,
          cursor: null,
          lag: 0,
          oldestUndeliveredAt: null,
          lastError: null,
          stuck: null,
          gaps: [],
          lastVerification: null,
        };
        assert.deepEqual(await until(core, state, (status) => status.state === state), tombstone);
        const restarted = await again();
        assert.deepEqual(await restarted.status(TOPIC, CALLBACK), tombstone);
        restarted.clock.advance(3_700_000);
        restarted.sweep();
        await eventually("it is forgotten", async () => await restarted.status(TOPIC, CALLBACK) === "not_found");
      });
    });
  }

  it("A4.5 messages that retention removed before their delivery are shown as a gap", async () => {
    await withCore(
      { TIDINGS_RETENTION: "1h", TIDINGS_PARK_AFTER: "10ms", TIDINGS_PROBE_INTERVAL: "1h" },
      async (core, again) => {
        core.transport.answer = () => 503;
        await core.subscribe(TOPIC, CALLBACK, { leaseMs: 86_400_000 });
        for (const body of ["1", "2", "3"]) await core.publish(TOPIC, body);
        await until(core, "it is parked", ({ state }) => state === "parked");
        core.clock.advance(3_700_000);
        const restarted = await again();
        await eventually("retention", async () => await restarted.log.start("messages", 0) === 3, {
          deadlineMs: 30_000,
          everyMs: 100,
        });
        restarted.transport.answer = () => 204;
        await restarted.publish(TOPIC, "4");
        await restarted.subscribe(TOPIC, CALLBACK);
        const status = await until(restarted, "the gap", ({ gaps, lag }) => gaps.length > 0 && lag === 0);
        assert.deepEqual(status.gaps, [{ from: cursorAt(-1), to: cursorAt(2) }]);
        assert.equal(restarted.transport.to("/callback").at(-1), "4");
      },
    );
  });

  it("A3.11 what was accepted before the question is in the answer", async () => {
    await withCore({}, async (core) => {
      for (let n = 0; n < 30; n++) {
        const callback = `${CALLBACK}/${n}`;
        await core.subscribe(TOPIC, callback);
        assert.equal((await core.status(TOPIC, callback) as SubscriptionStatus).state, "active");
      }
    });
  });

  it("a question without topic or callback is 400", async () => {
    await withCore({}, async (core) => {
      const headers = { [CALLER_HEADER]: encodeURIComponent(JSON.stringify({ kind: "anyone" })) };
      for (const query of [{}, { topic: TOPIC }, { callback: CALLBACK }, { topic: "", callback: "" }]) {
        const reply = await core.call(`${CORE_PATHS.subscriptions}?${encodeForm(query)}`, { headers });
        assert.equal(reply.status, 400, JSON.stringify(query));
      }
    });
  });
});
