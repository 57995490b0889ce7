// A shard that moves between processes (A3.2 to A3.4), rule by rule; the whole on a real broker is test/scenario/cores.test.ts.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MOVE_TIMEOUTS } from "../../../core/shards/claim.ts";
import { Claims } from "../../../core/shards/claims.ts";
import { Ownership } from "../../../core/shards/ownership.ts";
import { SHARD_KEY, type ShardProgress } from "../../../core/state/records.ts";
import { subscriptionIdOf } from "../../../core/state/ids.ts";
import { type Log, LogError } from "../../../core/log/log.ts";
import { compacted, operationId, TOPIC, withDirectory } from "../../support/rigs/core-rig.ts";
import { eventually, never, pause } from "../../support/eventually.ts";
import { type GroupProcess, type GroupRig, openGroupRig } from "../../support/rigs/group-rig.ts";

const CALLBACK = "http://127.0.0.1:9/callback";
const ID = subscriptionIdOf(TOPIC, CALLBACK);

function inGroup(run: (rig: GroupRig) => Promise<void>): Promise<void> {
  return withDirectory(async (directory) => {
    await using rig = await openGroupRig(directory);
    await run(rig);
  });
}
const sent = (process: GroupProcess, count: number) =>
  eventually(`${count} attempts`, () => process.transport.posts.length >= count);
const bodies = (process: GroupProcess) => process.transport.to("/callback");
const stands = async (rig: GroupRig) => (await compacted<ShardProgress>(rig.log, "cursors")).get(SHARD_KEY);
/** Takes the shard with one subscription. */
async function withSubscription(rig: GroupRig, process: GroupProcess): Promise<void> {
  process.assign(0);
  await process.runs();
  await rig.intend(CALLBACK);
  await eventually("its lane", () => process.engine.ownership.shards[0]?.book.lane(ID));
}

describe("a shard that moves", { timeout: 60_000 }, () => {
  it("A3.3 a shard that is taken away is released: the last batch says where it stands; the taker goes on there", async () => {
    await inGroup(async (rig) => {
      const [a, b] = [await rig.open("a"), await rig.open("b")];
      await withSubscription(rig, a);
      await rig.publish("1");
      await sent(a, 1);
      a.assign();
      b.assign(0);
      await a.lacks();
      await b.runs();
      const released = a.commits.at(-1)!.find(({ stream, key }) => stream === "cursors" && key === SHARD_KEY);
      assert.equal((JSON.parse(Buffer.from(released!.value!).toString()) as ShardProgress).released, true);
      assert.equal((await stands(rig))?.released, undefined, "its new owner says that it has one");
      await rig.publish("2");
      await sent(b, 1);
      assert.deepEqual([bodies(a), bodies(b)], [["1"], ["2"]]);
    });
  });

  it("A3.3 nothing new starts, attempts have a moment to be answered, and what was answered is not sent again", async () => {
    await inGroup(async (rig) => {
      const [a, b] = [await rig.open("a"), await rig.open("b")];
      await withSubscription(rig, a);
      a.transport.answer = () => "hold";
      await rig.publish("1");
      await rig.publish("2");
      await sent(a, 1);
      a.assign();
      b.assign(0);
      await never("an attempt of the taker before the release", () => b.transport.posts.length > 0, 50);
      a.transport.posts[0]!.post.answered(204, undefined);
      await b.runs();
      await sent(b, 1);
      assert.deepEqual([bodies(a), bodies(b)], [["1"], ["2"]]);
    });
  });

  it("A3.3 an attempt that is not answered in time is repeated by the taker, and its outcome moves nothing here", async () => {
    await inGroup(async (rig) => {
      const [a, b] = [await rig.open("a"), await rig.open("b")];
      await withSubscription(rig, a);
      a.transport.answer = () => "hold";
      b.transport.answer = () => "hold";
      await rig.publish("1");
      await sent(a, 1);
      const commits = a.commits.length;
      a.assign();
      b.assign(0);
      await b.runs();
      await sent(b, 1);
      assert.deepEqual(bodies(b), ["1"]);
      const written = a.commits.length;
      assert.ok(written > commits);
      a.transport.posts[0]!.post.answered(410, undefined);
      await never("a commit of who has lost it", () => a.commits.length > written, 100);
      assert.equal((await b.replica.subscription(ID))?.phase, "active");
      b.transport.posts[0]!.post.answered(204, undefined);
    });
  });

  it("A3.3 lanes run on during a rebalance that leaves the shard where it is", async () => {
    await inGroup(async (rig) => {
      const a = await rig.open("a");
      await withSubscription(rig, a);
      const lane = a.engine.ownership.shards[0]!.book.lane(ID);
      a.transport.answer = () => "hold";
      await rig.publish("1");
      await sent(a, 1);
      a.assign(0);
      assert.equal(a.engine.ownership.shards[0]!.book.lane(ID), lane);
      a.transport.posts[0]!.post.answered(204, undefined);
      await rig.publish("2");
      await sent(a, 2);
      assert.equal(a.engine.consolidator.counts.taken, 1);
    });
  });

  it("A3.3 a leaver releases first, then leaves", async () => {
    await inGroup(async (rig) => {
      const a = await rig.open("a");
      await withSubscription(rig, a);
      let released = false;
      rig.beforeCommit = () => {
        released ||= a.left;
        return Promise.resolve();
      };
      await a.stop();
      assert.equal((await stands(rig))?.released, true);
      assert.equal(a.left, true);
      assert.equal(released, false, "a commit after it had left");
    });
  });

  it("§6.2 a leaver's last batch may be slow: nobody has its shards before it has left", async () => {
    await inGroup(async (rig) => {
      const a = await rig.open("a");
      await withSubscription(rig, a);
      rig.beforeCommit = () => pause(2_000);
      await rig.publish("1");
      await sent(a, 1);
      await a.stop();
      assert.equal((await stands(rig))?.released, true);
    });
  });

  it("§6.2 a leaver that has all shards gives its subscribers the whole deadline to answer", async () => {
    await inGroup(async (rig) => {
      const a = await rig.open("a");
      await withSubscription(rig, a);
      a.transport.answer = () => "hold";
      await rig.publish("1");
      await sent(a, 1);
      const stopped = a.stop();
      // A process whose shards others wait for would give up after 1 s.
      await never("a release", async () => (await stands(rig))?.released === true, 1_200);
      a.transport.posts[0]!.post.answered(204, undefined);
      await stopped;
      assert.equal((await stands(rig))?.released, true);
      const b = await rig.open("b");
      b.assign(0);
      await b.runs();
      await never("the same again", () => b.transport.posts.length > 0, 100);
    });
  });

  it("A3.2 nobody waits for an owner that has let go, and for one that has not as long as it may take", async () => {
    await inGroup(async (rig) => {
      const [a, b] = [await rig.open("a"), await rig.open("b")];
      await withSubscription(rig, a);
      // The old owner sleeps: it does not hear of the assignment, and writes nothing.
      b.assign(0);
      const { answersMs, batchMs } = MOVE_TIMEOUTS;
      await never(
        "the taker before the time is over",
        () => b.engine.consolidator.counts.taken > 0,
        answersMs + batchMs - 200,
      );
      await b.runs();
    });
  });

  it("A3.2 what was accepted while nobody had the shard is folded before anything is sent", async () => {
    await inGroup(async (rig) => {
      const [a, b] = [await rig.open("a"), await rig.open("b")];
      await withSubscription(rig, a);
      a.assign();
      await a.lacks();
      await rig.intend(CALLBACK, "unsubscribe");
      await rig.publish("after the end");
      b.assign(0);
      await b.runs();
      await never("a delivery after the end", () => b.transport.posts.length > 0, 200);
      assert.equal((await b.replica.subscription(ID))?.phase, "unsubscribed");
    });
  });

  it("A3.2 only a replica that has read all that the last owner wrote is loaded from", async () => {
    await inGroup(async (rig) => {
      const a = await rig.open("a");
      const deaf = Promise.withResolvers<void>();
      const b = await rig.open("b", { wrap: (log) => heldBack(log, deaf.promise) });
      await withSubscription(rig, a);
      await rig.publish("1");
      await sent(a, 1);
      a.assign();
      await a.lacks();
      b.assign(0);
      await never("a shard from an old replica", () => b.engine.consolidator.counts.taken > 0, 2_000);
      deaf.resolve();
      await b.runs();
      await rig.publish("2");
      await sent(b, 1);
      assert.deepEqual(bodies(b), ["2"]);
    });
  });

  it("A3.12 a process joins the group only when its replica is near the end", async () => {
    await inGroup(async (rig) => {
      const a = await rig.open("a");
      await withSubscription(rig, a);
      for (let n = 0; n < 1_500; n++) {
        void rig.append({ type: "register", id: operationId(), time: Date.now(), topic: `t${n}`, end: 0 });
      }
      const end = await eventually(
        "the events",
        async () => await rig.log.end("events", 0) >= 1_502 && rig.log.end("events", 0),
      );
      await a.engine.ownership.shards[0]!.foldedTo(end);
      const deaf = Promise.withResolvers<void>();
      let joined = false;
      const b = await rig.open("b", {
        ready: false,
        wrap: (log) => ({
          ...heldBack(log, deaf.promise),
          join: (member) => {
            joined = true;
            return log.join!(member);
          },
        }),
      });
      await never("a join with an old replica", () => joined, 300);
      deaf.resolve();
      await eventually("the join", () => joined);
      await eventually("its start", () => b.engine);
    });
  });

  it("a process that is asked to end while its replica reads does not wait for it, and never joins", async () => {
    await inGroup(async (rig) => {
      const a = await rig.open("a");
      await withSubscription(rig, a);
      for (let n = 0; n < 1_500; n++) {
        void rig.append({ type: "register", id: operationId(), time: Date.now(), topic: `t${n}`, end: 0 });
      }
      await eventually("the registers", async () => await rig.log.end("topics", 0) >= 1_500);
      const asked = new AbortController();
      const deaf = Promise.withResolvers<void>();
      let joined = false;
      const opening = rig.open("b", {
        signal: asked.signal,
        wrap: (log) => ({
          ...heldBack(log, deaf.promise),
          join: (member) => {
            joined = true;
            return log.join!(member);
          },
        }),
      });
      const ended = assert.rejects(opening, /asked to end/);
      asked.abort(new Error("asked to end"));
      await ended;
      deaf.resolve();
      assert.equal(joined, false);
    });
  });
});

describe("a process in doubt", { timeout: 60_000 }, () => {
  it("A3.4 no attempt starts unless the session was confirmed less than 8 s ago", async () => {
    await inGroup(async (rig) => {
      const a = await rig.open("a");
      await withSubscription(rig, a);
      a.sessionAgeMs = 8_000;
      await rig.publish("1");
      await never("an attempt in doubt", () => a.transport.posts.length > 0, 200);
      a.sessionAgeMs = 7_000;
      await sent(a, 1);
      const { post } = a.transport.posts[0]!;
      assert.equal(post.mayGo(), true);
      a.sessionAgeMs = 8_000;
      assert.equal(post.mayGo(), false, "an attempt that waited for its connection meanwhile");
    });
  });

  it("A3.4 nothing that follows a commit is done in doubt, and all of it when the doubt is over", async () => {
    await inGroup(async (rig) => {
      const a = await rig.open("a");
      await withSubscription(rig, a);
      a.sessionAgeMs = 8_000;
      const time = Date.now();
      await rig.append({ type: "register", id: operationId(), time, topic: TOPIC, end: 0 });
      await rig.append({ type: "ping", id: operationId(), time, topic: TOPIC });
      const end = await rig.append({
        type: "revoke",
        id: operationId(),
        time,
        topic: TOPIC,
        callback: CALLBACK,
        reason: "x",
      });
      await a.engine.ownership.shards[0]!.foldedTo(end + 1);
      await never("a notice or a fetch in doubt", () => a.effects.notices.length + a.effects.fetches.length > 0, 200);
      a.sessionAgeMs = 0;
      await eventually("both", () => a.effects.notices.length === 1 && a.effects.fetches.length === 1);
    });
  });

  it("A3.4 no shard is taken in doubt, and no writer opened again after an unclear commit", async () => {
    await inGroup(async (rig) => {
      let mayOpen = () => true;
      const a = await rig.open("a", {
        wrap: (log) => ({
          ...log,
          openWriter: (shard, asked = () => true) => log.openWriter(shard, mayOpen = asked),
        }),
      });
      a.sessionAgeMs = 8_000;
      a.assign(0);
      await never("a commit in doubt", () => a.commits.length > 0, 500);
      a.sessionAgeMs = 0;
      await a.runs();
      assert.equal(mayOpen(), true);
      a.sessionAgeMs = 8_000;
      assert.equal(mayOpen(), false);
      a.sessionAgeMs = 0;
      assert.deepEqual(a.failures, []);
    });
  });

  it("A3.4 a fenced owner drops the shard, asks the group, and takes it again if it is still its own", async () => {
    await inGroup(async (rig) => {
      const [a, b] = [await rig.open("a"), await rig.open("b")];
      await withSubscription(rig, a);
      const shard = a.engine.ownership.shards[0]!;
      b.assign(0);
      await b.runs();
      // The group has given the shard away, but the old owner has not heard of it.
      await rig.publish("1");
      await eventually("the fencing", () => a.engine.consolidator.counts.fenced >= 1);
      assert.ok(a.rejoins >= 1);
      assert.equal(shard.book.size, 0, "its lanes are gone");
      rig.beforeCommit = (name) => name === "a" ? Promise.reject(new Error("not yet")) : Promise.resolve();
      await rig.publish("2");
      await never("a delivery by lanes that are gone", () => bodies(a).includes("2"), 300);
      rig.beforeCommit = () => Promise.resolve();
      b.assign();
      await a.runs();
      assert.deepEqual([...a.failures, ...b.failures], [], "no shard that is lost ends a process");
    });
  });

  it("A3.1 any failure of the writer costs the shard, not the process: it is taken again from the log", async () => {
    await inGroup(async (rig) => {
      const a = await rig.open("a");
      await withSubscription(rig, a);
      let failing = true;
      rig.beforeCommit = () =>
        failing ? Promise.reject(new Error("the broker said something unheard of")) : Promise.resolve();
      await rig.publish("1");
      await eventually("it is lost", () => a.engine.ownership.shards[0]?.book.lane(ID) === undefined);
      failing = false;
      await eventually("it is here again", () => a.engine.consolidator.counts.taken === 2);
      await rig.publish("2");
      await eventually("the next", () => bodies(a).includes("2"));
      assert.deepEqual(a.failures, []);
    });
  });
});

describe("a log whose settings are wrong", { timeout: 60_000 }, () => {
  it("A2.1 what is found when a shard is taken ends the process: nobody tries for ever", async () => {
    await inGroup(async (rig) => {
      let tries = 0;
      const refusal = new LogError("misconfigured", "expected replicas to be at least 3, found 1");
      const openWriter = () => {
        tries++;
        return Promise.reject(refusal);
      };
      const a = await rig.open("a", { wrap: (log) => ({ ...log, openWriter }) });
      a.assign(0);
      await eventually("its end", () => a.failures.length > 0);
      assert.deepEqual(a.failures, [refusal]);
      await never("another try", () => tries > 1, 1_200);
    });
  });

  it("A2.1 also when the start no longer waits for that shard", async () => {
    const taking = Promise.withResolvers<undefined>();
    const fatal = Promise.withResolvers<Error>();
    const log: Pick<Log, "join" | "partitionOf" | "partitions" | "supports"> = {
      supports: { keyIndex: false, group: true },
      partitions: () => 1,
      partitionOf: () => 0,
      join: (member) => {
        queueMicrotask(() => member.assigned([0]));
        return { confirmedAt: () => 0, rejoin: () => {}, leave: () => Promise.resolve() };
      },
    };
    const claims = new Claims({
      log,
      ownership: new Ownership({ log, now: () => 0 }),
      take: () => taking.promise,
      unfollow: () => {},
      predecessor: undefined,
      joinedAs: () => {},
      random: Math.random,
      onFatal: fatal.resolve,
    });
    claims.begin();
    await claims.settled(0);
    const refusal = new LogError("misconfigured", "expected replicas to be at least 3, found 1");
    taking.reject(refusal);
    assert.equal(await fatal.promise, refusal);
  });
});

describe("what a new owner goes on with", { timeout: 60_000 }, () => {
  it("A3.1 blocks that nobody had the shard to write are written by who takes it", async () => {
    await inGroup(async (rig) => {
      const a = await rig.open("a");
      await Promise.all(Array.from({ length: 1_001 }, (_, n) => rig.publish(String(n))));
      await eventually("the tail at the end", () => a.engine.delivery.tail.next(0) === 1_001);
      assert.equal(await rig.log.end("blocks", 0), 0);
      a.assign(0);
      await a.runs();
      await eventually("the block", async () => await rig.log.end("blocks", 0) === 1);
    });
  });

  it("A4.1 lanes of a shard just taken that have nothing to get join the tail without a look at the log", async () => {
    await inGroup(async (rig) => {
      const a = await rig.open("a");
      a.assign(0);
      await a.runs();
      const callbacks = Array.from({ length: 300 }, (_, n) => `http://127.0.0.1:9/quiet/${n}`);
      await Promise.all(
        callbacks.map((callback, n) => rig.intend(callback, "subscribe", `https://example.com/${n}`)),
      );
      await rig.intend(CALLBACK);
      await a.engine.ownership.shards[0]!.foldedTo(await rig.log.end("events", 0));
      a.assign();
      await a.lacks();
      await rig.publish("missed meanwhile");
      // The tail of b, which opens now, begins at the end: the message stands between the watermark and the tail.
      const b = await rig.open("b");
      await eventually(
        "the tail at the end",
        async () => b.engine.delivery.tail.next(0) === await rig.log.end("messages", 0),
      );
      const before = b.reads;
      b.assign(0);
      await b.runs();
      await sent(b, 1);
      assert.deepEqual(bodies(b), ["missed meanwhile"]);
      const [shard] = b.engine.ownership.shards;
      assert.equal(shard!.book.size, 301);
      for (const lane of shard!.book.lanes()) assert.equal(lane.onTail, true);
      assert.ok(b.reads - before <= 1, `${b.reads - before} reads`);
      assert.ok((await compacted(rig.log, "cursors")).size < 10, "quiet lanes cost no record");
      await rig.publish("and now", "https://example.com/7");
      await eventually("a quiet one", () => b.transport.to("/quiet/7").length === 1);
    });
  });
});

/** A log whose replica hears nothing of the streams of state until a promise is kept. */
function heldBack(log: Log, until: Promise<void>): Log {
  return {
    ...log,
    follow: (from, handle) =>
      log.follow(from, async (batch) => {
        if (batch.stream === "cursors" || batch.stream === "topics") await until;
        await handle(batch);
      }),
  };
}
