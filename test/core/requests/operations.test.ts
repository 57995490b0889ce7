import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout } from "node:timers/promises";
import { inspect } from "node:util";
import fc from "fast-check";
import type { Log } from "../../../core/log/log.ts";
import { CORE_PATHS, type CoreRefusal, type SubscriptionStatus } from "../../../shared/core-api.ts";
import { parameterOf } from "../../support/form.ts";
import { createClock, operationId, withDirectory } from "../../support/rigs/core-rig.ts";
import { eventually, never } from "../../support/eventually.ts";
import { call } from "../../support/servers/http.ts";
import { openTestCore, resultOf, type TestCore, type TestCoreOptions } from "../../support/rigs/test-core.ts";

let names = 0;
/** A topic and a callback that no other test has. */
const pair = () => {
  names++;
  return { topic: `https://example.com/topic/${names}`, callback: `http://127.0.0.1:9/callback/${names}` };
};

async function withCore(
  options: Omit<TestCoreOptions, "directory">,
  run: (core: TestCore) => Promise<void>,
): Promise<void> {
  await withDirectory(async (directory) => {
    await using core = await openTestCore({ directory, ...options });
    await run(core);
    assert.deepEqual(core.failures, []);
  });
}

/** How many events the log has. */
const events = (core: TestCore) => core.log.end("events", 0);

async function stateOf(core: TestCore, topic: string, callback: string): Promise<string> {
  const status = await core.status(topic, callback);
  return typeof status === "string" ? status : status.state;
}

/** A log whose shard commits wait a while, so that what was appended is long known before it is folded for all to see. */
function slow(log: Log): Log {
  return {
    ...log,
    async openWriter(shard) {
      const writer = await log.openWriter(shard);
      return {
        ...writer,
        async commit(records) {
          await setTimeout(50);
          await writer.commit(records);
        },
      };
    },
  };
}

/** These rows share one core; each has its own topics and callbacks. */
function rows(settings: Record<string, string>, declare: (core: () => TestCore) => void): void {
  let core: TestCore | undefined;
  const done = Promise.withResolvers<void>();
  let ended: Promise<void> | undefined;
  before(async () => {
    const open = Promise.withResolvers<void>();
    ended = withCore({ settings }, async (opened) => {
      core = opened;
      open.resolve();
      await done.promise;
    });
    await Promise.race([open.promise, ended]);
  });
  after(async () => {
    done.resolve();
    await ended;
  });
  declare(() => core!);
}

describe("topics", { timeout: 60_000 }, () => {
  rows({}, (core) => {
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

    it("A3.11 who was answered to a deregister meets a topic that has ended, though the fold comes later", async () => {
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

    it("A3.8 a deregister that is sent again after its fold is answered as the first was, and ends nothing new", async () => {
      const { topic, callback } = pair();
      await core().operate({ kind: "register", topic });
      const id = operationId();
      const madeAt = core().clock.now();
      assert.equal((await core().operate({ kind: "deregister", topic, id, madeAt })).status, 200);
      await eventually("its fold", async () => (await core().operate({ kind: "deregister", topic })).status === 404);
      assert.equal((await core().operate({ kind: "deregister", topic, id, madeAt })).status, 200);
      await core().subscribe(topic, callback);
      assert.equal((await core().operate({ kind: "deregister", topic, id, madeAt })).status, 200);
      assert.equal(await stateOf(core(), topic, callback), "active");
    });

    it("A3.9 a deregister ends the topic's subscriptions with a notice, and what waits", async () => {
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

describe("subscribing", { timeout: 60_000 }, () => {
  rows({}, (core) => {
    it("§5.3 an intent is durable and to be verified; nothing is delivered before a good result", async () => {
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

    it("WIRE §2 a subscription begins where the log ended before its intent: what came after the yes is not missed", async () => {
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
        madeAt: core().clock.now(),
        mode: "subscribe",
        topic,
        callback,
      } as const;
      const [first, second] = await Promise.all([core().operate(intent), core().operate(intent)]);
      assert.deepEqual([first.status, second.status], [200, 200]);
      await stateOf(core(), topic, callback);
      const third = await core().operate(intent);
      assert.deepEqual(third.answer, first.answer);
      // Three more fit beside it: it waits once.
      for (let n = 0; n < 3; n++) {
        assert.equal((await core().operate({ ...intent, id: operationId() })).status, 200);
      }
    });

    it("WIRE §2 a fifth that waits is 429, and there is room again when one is closed", async () => {
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

    it("an unsubscribe is verified like a subscribe, and one of an unknown pair changes nothing", async () => {
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
      const sent = core().clock.now();
      await core().operate({ ...resultOf(id, "subscribe", topic, callback, true), elapsedMs: 30_000 });
      const { leaseExpiresAt } = await core().status(topic, callback) as SubscriptionStatus;
      const left = Date.parse(leaseExpiresAt!) - sent;
      assert.ok(left >= 70_000 && left < 75_000, `${left} ms are left of 100 s after 30 s`);
    });

    it("a result of an intent that nobody made, or of another pair, changes nothing", async () => {
      const { topic, callback } = pair();
      const id = operationId();
      await core().operate({ kind: "intent", id, mode: "subscribe", topic, callback });
      for (const [intent, to] of [[operationId(), callback], [id, `${callback}/other`]] as const) {
        assert.equal((await core().operate(resultOf(intent, "subscribe", topic, to, true))).status, 200);
        assert.equal(await stateOf(core(), topic, to), "not_found");
      }
    });

    it("A3.6 what has no result after a minute is verified by the core, which reads the challenge back", async () => {
      await withCore({ clock: createClock() }, async (own) => {
        const { topic, callback } = pair();
        own.onCall = ({ url }) => ({
          kind: "answer",
          status: 200,
          headers: {},
          body: Buffer.from(parameterOf(url.slice(url.indexOf("?") + 1), "hub.challenge") ?? ""),
          url,
        });
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

describe("TOPIC_REGISTRATION", { timeout: 60_000 }, () => {
  rows({ TIDINGS_TOPIC_REGISTRATION: "required" }, (core) => {
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

describe("pings", { timeout: 60_000 }, () => {
  rows({}, (core) => {
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

    it("WIRE §1 with one that is active, expired or only waits: fetched; with one that ended: not", async () => {
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

    it("WIRE §3 what a ping's fetch brings is delivered, once, with its own type", async () => {
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

describe("§6.6 what comes in", { timeout: 60_000 }, () => {
  rows({}, (core) => {
    const good = () => ({ id: operationId(), madeAt: core().clock.now(), ...pair() });
    const intent = () => ({ kind: "intent", mode: "subscribe", ...good() });

    it("A3.8 an operation that was made over 90 s ago is stale", async () => {
      const { topic } = pair();
      const made = (agoMs: number) => ({ kind: "register", topic, madeAt: core().clock.now() - agoMs }) as const;
      assert.equal((await core().operate(made(85_000))).status, 200);
      const { status, refusal } = await core().operate(made(91_000));
      assert.deepEqual([status, refusal.code], [409, "stale_operation"]);
    });

    const WRONG: readonly (readonly [field: RegExp, change: object])[] = [
      [/kind/, { kind: "delete" }],
      [/kind/, { kind: undefined }],
      [/\bid\b/, { id: "" }],
      [/\bid\b/, { id: "a b" }],
      [/\bid\b/, { id: "x".repeat(65) }],
      [/madeAt/, { madeAt: "now" }],
      [/madeAt/, { madeAt: 1.5 }],
      [/mode/, { mode: "Subscribe" }],
      [/topic/, { topic: undefined }],
      [/topic/, { topic: "" }],
      [/topic/, { topic: 7 }],
      [/topic/, { topic: "x".repeat(16_385) }],
      [/topic/, { topic: "lone \ud800" }],
      [/callback/, { callback: undefined }],
      [/callback/, { callback: "/relative" }],
      [/callback/, { callback: "ftp://example.com/" }],
      [/callback/, { callback: "http://user:password@example.com/" }],
      [/callback/, { callback: "http://example.com/\ud800" }],
      [/leaseMs/, { leaseMs: 0 }],
      [/leaseMs/, { leaseMs: -1 }],
      [/leaseMs/, { leaseMs: 1e16 }],
      [/leaseMs/, { leaseMs: null }],
      [/secret/, { secret: "é".repeat(100) }],
      [/secret/, { secret: 5 }],
      [/concurrency/, { concurrency: 0 }],
      [/concurrency/, { concurrency: 65 }],
      [/verifyToken/, { verifyToken: "x".repeat(4_097) }],
      [/start/, { start: "x".repeat(257) }],
      [/elapsedMs/, { ...resultOf("i", "subscribe", "t", "http://a.example/", true), elapsedMs: -1 }],
      [/elapsedMs/, { ...resultOf("i", "subscribe", "t", "http://a.example/", true), elapsedMs: 1e300 }],
      [/verified/, { ...resultOf("i", "subscribe", "t", "http://a.example/", true), verified: "yes" }],
      [/intent/, { ...resultOf("i", "subscribe", "t", "http://a.example/", true), intent: "a b" }],
      [/topics/, { kind: "ping", topics: [] }],
      [/topics/, { kind: "ping", topics: "t" }],
      [/topics/, { kind: "ping", topics: ["\udfff"] }],
      [/topics/, { kind: "ping", topics: Array.from({ length: 1_001 }, () => "t") }],
    ];
    for (const [field, change] of WRONG) {
      it(`${inspect(change, { breakLength: Infinity }).slice(0, 60)} is 400 and named`, async () => {
        const before = await events(core());
        const reply = await core().raw(JSON.stringify({ ...intent(), ...change }));
        assert.equal(reply.status, 400, reply.text);
        const { code, message } = JSON.parse(reply.text) as { code: string; message: string };
        assert.equal(code, "invalid_request");
        assert.match(message, field);
        assert.equal(await events(core()), before, "nothing was written");
      });
    }

    it("a body that is no JSON, or of another shape, is 400", async () => {
      for (const body of ["", "{", "null", "[]", '"x"', "7", Buffer.from([0xff, 0xfe]), "{}"]) {
        assert.equal((await core().raw(body)).status, 400, String(body));
      }
    });

    it("a body over 4 MiB is 413", async () => {
      const reply = await core().raw(JSON.stringify({ ...intent(), padding: "x".repeat(4 * 1024 * 1024) }));
      assert.equal(reply.status, 413);
    });

    it("no JSON brings a 5xx, and what is accepted is folded", async () => {
      const value = fc.oneof(
        { withCrossShrink: true },
        fc.jsonValue(),
        fc.string({ unit: "binary" }),
        fc.constantFrom("subscribe", "http://127.0.0.1:9/fuzz", "earliest", 0, -1, 1e308, "\ud800"),
      );
      const keys = [
        "mode",
        "topic",
        "topics",
        "callback",
        "leaseMs",
        "secret",
        "verifyToken",
        "concurrency",
        "start",
        "intent",
        "verified",
        "elapsedMs",
        "reason",
        "id",
        "madeAt",
        "__proto__",
      ];
      const operation = fc.tuple(
        fc.constantFrom("register", "deregister", "intent", "result", "ping"),
        fc.array(fc.tuple(fc.constantFrom(...keys), value), { maxLength: 4 }),
      );
      await fc.assert(
        fc.asyncProperty(operation, async ([kind, changes]) => {
          const base = { ...intent(), kind, topics: [pair().topic], intent: "i", verified: true, elapsedMs: 0 };
          const reply = await core().raw(JSON.stringify({ ...base, ...Object.fromEntries(changes) }));
          assert.ok(reply.status < 500, `${reply.status} ${reply.text}`);
        }),
        { numRuns: 300 },
      );
      const { topic, callback } = pair();
      await core().subscribe(topic, callback);
      assert.equal(await stateOf(core(), topic, callback), "active");
      assert.deepEqual(core().core.engine.ownership.shards.map(({ setAside }) => setAside), [0]);
    });

    it("other paths are 404, to an edge that is known", async () => {
      for (const path of ["/", CORE_PATHS.operations]) assert.equal((await core().call(path)).status, 404, path);
    });

    it("ARCHITECTURE §5 without a session nothing is answered, whatever it is, and that is counted", async () => {
      const paths = [...Object.values(CORE_PATHS), "/", "/v1", "/console", "/metrics/x"];
      for (const path of paths) {
        for (const method of ["GET", "POST", "DELETE", "OPTIONS"]) {
          const reply = await call(`${core().url}${path}`, { method, body: method === "POST" ? "{}" : undefined! });
          assert.equal(reply.status, 401, `${method} ${path}`);
          assert.equal((JSON.parse(reply.text) as CoreRefusal).code, "no_session");
        }
      }
      const { text } = await call(`${core().url}/metrics`);
      const refused = /tidings_edge_refused_total\{[^}]*reason="no_session"[^}]*\} (\d+)/.exec(text)?.[1];
      assert.ok(Number(refused) >= paths.length * 4 - 1, text);
    });

    it("WIRE §8 health, readiness and metrics answer", async () => {
      assert.equal((await call(`${core().url}/healthz`)).status, 200);
      assert.equal((await call(`${core().url}/readyz`)).status, 200);
      const { text } = await call(`${core().url}/metrics`);
      for (
        const name of ["requests_total", "deliveries", "lanes", "lag_records", "subscriptions", "events_set_aside"]
      ) {
        assert.match(text, new RegExp(`^tidings_${name}`, "m"));
      }
      assert.match(text, /tidings_requests_total\{.*route="operations",status="400".*\} [1-9]/);
    });
  });

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
