// What a core goes on with after it was stopped or killed: positions and watermarks over restarts (A4.3). Every kill here
// cuts the writes at once; what the files then hold is all that the next start has.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type CursorRecord, OWNER_KEY, SHARD_KEY, type ShardProgress } from "../../../core/state/records.ts";
import { subscriptionIdOf } from "../../../core/state/ids.ts";
import { LogError } from "../../../core/log/log.ts";
import {
  attempts,
  compacted,
  type CoreRig,
  createClock,
  openCoreRig,
  operationId,
  TOPIC,
  withDirectory,
} from "../../support/rigs/core-rig.ts";
import { eventually, never } from "../../support/eventually.ts";
import { createScriptedTransport } from "../../support/rigs/scripted-transport.ts";

const CALLBACK = "http://127.0.0.1:9/callback";
const ID = subscriptionIdOf(TOPIC, CALLBACK);

const position = async (rig: CoreRig) => (await compacted<CursorRecord>(rig.log, "cursors")).get(ID);
const watermark = async (rig: CoreRig) =>
  (await compacted<ShardProgress>(rig.log, "cursors")).get(SHARD_KEY)?.watermarks?.[0];
/** Resolves when the checkpoint says that everything was delivered. */
const settled = async (rig: CoreRig) => {
  const end = await rig.log.end("messages", 0);
  await eventually("a checkpoint", async () => await watermark(rig) === end && await position(rig) === undefined);
};
const publish = async (rig: CoreRig, ...bodies: readonly string[]) => {
  for (const body of bodies) await rig.publish(TOPIC, body);
};

describe("A4.3 lanes over a restart", () => {
  it("A4.3 quiet: no position record, only the watermark; it goes on with the next message", async () => {
    await withDirectory(async (directory) => {
      {
        await using rig = await openCoreRig({ directory });
        await rig.intend({ callback: CALLBACK, verified: true });
        await publish(rig, "1", "2", "3");
        await attempts(rig, 3);
        await settled(rig);
        const kept = [...(await compacted(rig.log, "cursors")).keys()];
        assert.deepEqual(kept.filter((key) => key !== OWNER_KEY), [SHARD_KEY]);
      }
      await using rig = await openCoreRig({ directory });
      await publish(rig, "4");
      await attempts(rig, 1);
      await settled(rig);
      assert.deepEqual(rig.transport.to("/callback"), ["4"]);
    });
  });

  it("A4.3 behind: what was not answered is sent again, in order, and nothing else", async () => {
    await withDirectory(async (directory) => {
      {
        await using rig = await openCoreRig({ directory });
        rig.transport.answer = ({ text }) => text === "2" ? "hold" : 204;
        await rig.intend({ callback: CALLBACK, verified: true });
        await publish(rig, "1", "2", "3");
        await attempts(rig, 2);
        await eventually("its position", async () => (await position(rig))?.position === 1);
      }
      await using rig = await openCoreRig({ directory });
      await publish(rig, "4");
      await attempts(rig, 3);
      await settled(rig);
      assert.deepEqual(rig.transport.to("/callback"), ["2", "3", "4"]);
    });
  });

  it("A4.3 with concurrency: what is done beyond the prefix is not sent again", async () => {
    await withDirectory(async (directory) => {
      {
        await using rig = await openCoreRig({ directory });
        rig.transport.answer = ({ text }) => text === "1" || text === "3" ? "hold" : 204;
        await rig.intend({ callback: CALLBACK, verified: true, concurrency: 4 });
        await publish(rig, "0", "1", "2", "3", "4", "5");
        await attempts(rig, 6);
        await eventually("its position", async () => (await position(rig))?.beyond?.length === 3);
        const { position: prefix, beyond } = (await position(rig))!;
        assert.deepEqual({ prefix, beyond }, { prefix: 1, beyond: [2, 4, 5] });
      }
      await using rig = await openCoreRig({ directory });
      await attempts(rig, 2);
      await settled(rig);
      assert.deepEqual(rig.transport.to("/callback").toSorted(), ["1", "3"]);
    });
  });

  it("A4.3 parked: it stays parked, keeps what it waits for, and goes on in order when a probe succeeds", async () => {
    await withDirectory(async (directory) => {
      {
        await using rig = await openCoreRig({ directory, parkAfterMs: 30 });
        rig.transport.answer = () => ({ failed: "connection refused" });
        await rig.intend({ callback: CALLBACK, verified: true });
        await publish(rig, "1", "2");
        await eventually("it is parked", async () => (await position(rig))?.health?.parked);
        await publish(rig, "3");
      }
      const transport = createScriptedTransport(() => 503);
      await using rig = await openCoreRig({ directory, transport, parkAfterMs: 30 });
      const lane = rig.engine.ownership.shards[0]!.book.lane(ID)!;
      assert.equal(lane.state, "parked");
      assert.equal(lane.health.lastError, "connection refused");
      await attempts(rig, 1);
      transport.answer = () => 204;
      await settled(rig);
      const sent = transport.to("/callback");
      assert.deepEqual(sent.slice(sent.lastIndexOf("1")), ["1", "2", "3"]);
      assert.notEqual(lane.state, "parked");
    });
  });

  it("A4.3 a failure's attempts are remembered: given up after as many as without the restart", async () => {
    await withDirectory(async (directory) => {
      {
        await using rig = await openCoreRig({ directory, deadLetterAttempts: 5 });
        rig.transport.answer = () => rig.transport.posts.length < 4 ? 422 : "hold";
        await rig.intend({ callback: CALLBACK, verified: true });
        await publish(rig, "bad", "good");
        await attempts(rig, 4);
        await eventually("three refusals", async () => (await position(rig))?.health?.refusals === 3);
      }
      const transport = createScriptedTransport(({ text }) => text === "bad" ? 422 : 204);
      await using rig = await openCoreRig({ directory, transport, deadLetterAttempts: 5 });
      await settled(rig);
      assert.deepEqual(transport.to("/callback"), ["bad", "bad", "good"]);
    });
  });

  it("A4.3 answers of 500 are remembered: a dead letter after as many as without the restart", async () => {
    await withDirectory(async (directory) => {
      {
        await using rig = await openCoreRig({ directory, deadLetter500Attempts: 5 });
        rig.transport.answer = () => rig.transport.posts.length < 4 ? 500 : "hold";
        await rig.intend({ callback: CALLBACK, verified: true });
        await publish(rig, "bad", "good");
        await attempts(rig, 4);
        await eventually("three", async () => (await position(rig))?.health?.answered500 === 3);
      }
      const transport = createScriptedTransport(({ text }) => text === "bad" ? 500 : 204);
      await using rig = await openCoreRig({ directory, transport, deadLetter500Attempts: 5 });
      await settled(rig);
      assert.deepEqual(transport.to("/callback"), ["bad", "bad", "good"]);
    });
  });

  it("A4.3 expired: its position outlives restarts, and a renewal goes on from the last delivered message", async () => {
    await withDirectory(async (directory) => {
      const clock = createClock();
      {
        await using rig = await openCoreRig({ directory, clock });
        await rig.intend({ callback: CALLBACK, verified: true, leaseMs: 60_000 });
        await publish(rig, "1");
        await settled(rig);
        clock.advance(61_000);
        rig.sweep();
        await eventually("expiry", async () => (await rig.subscription(CALLBACK))?.phase === "expired");
        assert.equal((await position(rig))?.position, 1);
        await publish(rig, "2");
      }
      {
        await using rig = await openCoreRig({ directory, clock });
        await publish(rig, "3");
        // The watermark passes messages without an active lane as soon as the tail has passed them.
        await rig.engine.delivery.tail.passed(0, 3, 10_000);
        clock.advance(60_000);
        rig.sweep();
        await eventually("the watermark", async () => await watermark(rig) === 3);
        assert.deepEqual(rig.transport.posts, []);
      }
      await using rig = await openCoreRig({ directory, clock });
      await rig.intend({ callback: CALLBACK, verified: true });
      await publish(rig, "4");
      await settled(rig);
      assert.deepEqual(rig.transport.to("/callback"), ["2", "3", "4"]);
    });
  });

  it("A4.3 a lease that runs out while the hub is down: nothing is sent, and a renewal misses nothing", async () => {
    await withDirectory(async (directory) => {
      const clock = createClock();
      {
        await using rig = await openCoreRig({ directory, clock });
        rig.transport.answer = ({ text }) => text === "2" ? "hold" : 204;
        await rig.intend({ callback: CALLBACK, verified: true, leaseMs: 60_000 });
        await publish(rig, "1", "2", "3");
        await attempts(rig, 2);
        await eventually("its position", async () => (await position(rig))?.position === 1);
      }
      clock.advance(61_000);
      {
        await using rig = await openCoreRig({ directory, clock });
        rig.sweep();
        await eventually("expiry", async () => (await rig.subscription(CALLBACK))?.phase === "expired");
        assert.deepEqual(rig.transport.posts, []);
      }
      await using rig = await openCoreRig({ directory, clock });
      await rig.intend({ callback: CALLBACK, verified: true });
      await settled(rig);
      assert.deepEqual(rig.transport.to("/callback"), ["2", "3"]);
    });
  });

  it("A4.3 an attempt that is answered after the lease moves the position that was kept", async () => {
    await withDirectory(async (directory) => {
      const clock = createClock();
      {
        await using rig = await openCoreRig({ directory, clock });
        rig.transport.answer = () => "hold";
        await rig.intend({ callback: CALLBACK, verified: true, leaseMs: 60_000 });
        await publish(rig, "1", "2");
        const [sent] = await attempts(rig, 1);
        clock.advance(61_000);
        rig.sweep();
        await eventually("expiry", async () => (await rig.subscription(CALLBACK))?.phase === "expired");
        sent!.post.answered(204, undefined);
        await eventually("the position", async () => (await position(rig))?.position === 1);
      }
      await using rig = await openCoreRig({ directory, clock });
      await rig.intend({ callback: CALLBACK, verified: true });
      await settled(rig);
      assert.deepEqual(rig.transport.to("/callback"), ["2"]);
    });
  });

  it("A4.3 a renewal that the last owner did not fold repeats nothing of what a quiet lane has had", async () => {
    await withDirectory(async (directory) => {
      {
        await using rig = await openCoreRig({ directory });
        await rig.intend({ callback: CALLBACK, verified: true, secret: "old" });
        await publish(rig, "1", "2", "3");
        await attempts(rig, 3);
        await settled(rig);
        rig.beforeCommit = () => Promise.reject(new LogError("closed", "killed"));
        await appendSubscribe(rig, "new");
      }
      await using rig = await openCoreRig({ directory });
      await publish(rig, "4");
      await settled(rig);
      assert.deepEqual(rig.transport.to("/callback"), ["4"]);
      assert.equal((await rig.subscription(CALLBACK))?.secret, "new");
    });
  });

  it("§6.4 nothing from between an unsubscribe and a resubscribe is sent, also when both are folded at a start", async () => {
    await withDirectory(async (directory) => {
      {
        await using rig = await openCoreRig({ directory });
        await rig.intend({ callback: CALLBACK, verified: true });
        await publish(rig, "before");
        await settled(rig);
        rig.beforeCommit = () => Promise.reject(new LogError("closed", "killed"));
        await appendUnsubscribe(rig);
        await publish(rig, "between");
        await appendSubscribe(rig, "again");
        await publish(rig, "after");
      }
      await using rig = await openCoreRig({ directory });
      await settled(rig);
      assert.deepEqual(rig.transport.to("/callback"), ["after"]);
    });
  });

  it("A4.3 hub.start: a new subscription that asks for the past gets it once, over a restart", async () => {
    await withDirectory(async (directory) => {
      {
        await using rig = await openCoreRig({ directory });
        await publish(rig, "1", "2", "3");
        rig.transport.answer = ({ text }) => text === "2" ? "hold" : 204;
        await rig.intend({ callback: CALLBACK, verified: true, start: 0 });
        await attempts(rig, 2);
        await eventually("its position", async () => (await position(rig))?.position === 1);
      }
      await using rig = await openCoreRig({ directory });
      await settled(rig);
      assert.deepEqual(rig.transport.to("/callback"), ["2", "3"]);
    });
  });

  it("A4.3 a subscription whose lane had not begun begins where its record says", async () => {
    await withDirectory(async (directory) => {
      {
        await using rig = await openCoreRig({ directory });
        rig.transport.answer = () => "hold";
        await rig.intend({ callback: CALLBACK, verified: true });
        await publish(rig, "1");
        await attempts(rig, 1);
        // The batch that created it was the last that was written.
        rig.beforeCommit = () => Promise.reject(new LogError("closed", "killed"));
      }
      await using rig = await openCoreRig({ directory });
      await settled(rig);
      assert.deepEqual(rig.transport.to("/callback"), ["1"]);
    });
  });

  it("A4.3 an idle shard writes how far it has offered every 30 s, so that a restart reads little", async () => {
    await withDirectory(async (directory) => {
      const clock = createClock();
      await using rig = await openCoreRig({ directory, clock });
      for (let n = 0; n < 20; n++) await rig.publish("nobody subscribed", String(n));
      clock.advance(31_000);
      rig.sweep();
      await eventually("the watermark", async () => await watermark(rig) === 20);
    });
  });

  it("A4.3 a clock that is set back by an hour puts no checkpoint off", async () => {
    await withDirectory(async (directory) => {
      const clock = createClock();
      await using rig = await openCoreRig({ directory, clock });
      await rig.intend({ callback: CALLBACK, verified: true });
      await publish(rig, "1");
      await settled(rig);
      clock.advance(-3_600_000);
      await publish(rig, "2");
      await settled(rig);
    });
  });

  it("§6.2 a graceful stop: what is answered within its deadline is not sent again", async () => {
    await withDirectory(async (directory) => {
      {
        await using rig = await openCoreRig({ directory, checkpointMs: 60_000 });
        rig.transport.answer = () => "hold";
        await rig.intend({ callback: CALLBACK, verified: true });
        await publish(rig, "1", "2");
        const [sent] = await attempts(rig, 1);
        const stopped = rig.stop();
        await never("a new attempt while it stops", () => rig.transport.posts.length > 1, 50);
        sent!.post.answered(204, undefined);
        await stopped;
      }
      await using rig = await openCoreRig({ directory });
      await settled(rig);
      assert.deepEqual(rig.transport.to("/callback"), ["2"]);
    });
  });
});

describe("ARCHITECTURE §6 killed again and again while it delivers", () => {
  it("§6.1–3 nothing is lost, first deliveries are in log order, and only known ids come again", async () => {
    await withDirectory(async (directory) => {
      const CALLBACKS = ["/one", "/two", "/many"];
      const transport = createScriptedTransport();
      // Each POST is answered a little later, sometimes by a failure.
      transport.answer = ({ post }) => {
        const fails = Math.random() < 0.2;
        setTimeout(() => fails ? post.answered(503, undefined) : post.answered(204, undefined), Math.random() * 4);
        return "hold";
      };
      const published: string[] = [];
      for (let round = 0; round < 8; round++) {
        await using rig = await openCoreRig({ directory, transport, checkpointMs: 5 });
        if (round === 0) {
          for (const path of CALLBACKS) {
            const concurrency = path === "/many" ? 8 : 1;
            await rig.intend({ callback: `http://127.0.0.1:9${path}`, verified: true, concurrency });
          }
        }
        for (let n = 0; n < 30; n++) {
          published.push(`${round}-${n}`);
          await rig.publish(TOPIC, published.at(-1)!);
        }
        // A renewal now and then: under a new secret it loses and repeats nothing.
        await rig.intend({
          callback: `http://127.0.0.1:9${CALLBACKS[round % 3]}`,
          verified: true,
          secret: `${round}`,
          concurrency: round % 3 === 2 ? 8 : 1,
        });
        if (round < 7) continue;
        await eventually(
          "everything",
          () => CALLBACKS.every((path) => new Set(transport.to(path)).size === published.length),
          { seen: () => CALLBACKS.map((path) => new Set(transport.to(path)).size).join(", ") },
        );
      }
      for (const path of CALLBACKS) {
        const firsts = [...new Set(transport.to(path))];
        if (path === "/many") firsts.sort((a, b) => published.indexOf(a) - published.indexOf(b));
        assert.deepEqual(firsts, published, path);
        const ids = new Map<string, string>();
        for (const { text, id, target } of transport.posts) {
          if (target !== path) continue;
          assert.equal(ids.get(text) ?? id, id, `${text} has one id`);
          ids.set(text, id);
        }
      }
    });
  });

  it("A3.1 a kill between any two batches: the next start is never ahead of, or behind, what it folded", async () => {
    await withDirectory(async (directory) => {
      // A new callback in each life; the kill comes at the first, second, third … batch of that life.
      for (let life = 0; life < 6; life++) {
        await using rig = await openCoreRig({ directory });
        for (let earlier = 0; earlier < life; earlier++) {
          const record = await rig.subscription(`${CALLBACK}/${earlier}`);
          assert.equal(record?.phase, "active", `${earlier}, accepted in an earlier life`);
          assert.equal(record.pending.length, 0);
        }
        let left = life;
        rig.beforeCommit = () => left-- > 0 ? Promise.resolve() : Promise.reject(new LogError("closed", "killed"));
        await appendSubscribe(rig, "secret", `${CALLBACK}/${life}`);
        let folded = false;
        void rig.folded().then(() => folded = true, () => {});
        await eventually("the kill, or that all was folded before it", () => folded || rig.failures.length > 0);
      }
      await using rig = await openCoreRig({ directory });
      await publish(rig, "to all");
      await attempts(rig, 6);
      await never("a second one", () => rig.transport.posts.length > 6, 50);
    });
  });
});

async function appendSubscribe(rig: CoreRig, secret: string, callback = CALLBACK): Promise<void> {
  const id = operationId();
  const time = Date.now();
  const end = await rig.log.end("messages", 0);
  const head = { time, topic: TOPIC, callback };
  await rig.append({ type: "intent", id, ...head, mode: "subscribe", end, leaseMs: 3_600_000, secret });
  await rig.append({ type: "result", id: operationId(), ...head, intent: id, verified: true, challengedAt: time });
}

async function appendUnsubscribe(rig: CoreRig): Promise<void> {
  const id = operationId();
  const time = Date.now();
  const end = await rig.log.end("messages", 0);
  const head = { time, topic: TOPIC, callback: CALLBACK };
  await rig.append({ type: "intent", id, ...head, mode: "unsubscribe", end });
  await rig.append({ type: "result", id: operationId(), ...head, intent: id, verified: true, challengedAt: time, end });
}
