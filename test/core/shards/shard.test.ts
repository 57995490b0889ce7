// What a shard's owner writes, and when.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decodeEvent, type HubEvent } from "../../../core/state/events.ts";
import { foldSubscription } from "../../../core/state/fold-subscription.ts";
import { foldTopic } from "../../../core/state/fold-topic.ts";
import { type SubscriptionRecord, type TopicRecord } from "../../../core/state/records.ts";
import { subscriptionIdOf, topicIdOf } from "../../../core/state/ids.ts";
import { LogError, type LogRecord } from "../../../core/log/log.ts";
import {
  attempts,
  compacted,
  type CoreRig,
  createClock,
  openCoreRig,
  operationId,
  TOPIC,
  valueOf,
  withDirectory,
} from "../../support/rigs/core-rig.ts";
import { eventually, never } from "../../support/eventually.ts";
import { intentOf, positionIn, resultOf } from "../../support/rigs/shard-events.ts";

const CALLBACK = "http://127.0.0.1:9/callback";

describe("what a shard's owner writes", () => {
  it("A3.1 each batch holds the state that its position says, and the position in all three streams", async () => {
    await withDirectory(async (directory) => {
      await using rig = await openCoreRig({ directory });
      const events = randomEvents(400);
      // In pieces, so that many batches see many cuts.
      for (let from = 0; from < events.length; from += 23) {
        await Promise.all(events.slice(from, from + 23).map((event) => rig.append(event)));
      }
      await rig.folded();
      const log = await everyEvent(rig);
      const topics = new Map<string, TopicRecord>();
      const subscriptions = new Map<string, SubscriptionRecord>();
      assert.ok(rig.commits.length > 5, `${rig.commits.length} batches`);
      for (const batch of rig.commits) {
        for (const record of batch) {
          if (record.key.startsWith("~")) continue;
          if (record.stream === "topics") topics.set(record.key, valueOf<TopicRecord>(record)!);
          if (record.stream === "subscriptions") subscriptions.set(record.key, valueOf<SubscriptionRecord>(record)!);
        }
        const positions = (["topics", "subscriptions", "cursors"] as const).map((stream) => positionIn(batch, stream));
        assert.equal(new Set(positions).size, 1, `positions ${positions.join(", ")}`);
        const expected = foldAll(log.filter(({ offset }) => offset < positions[0]!));
        assert.deepEqual(topics, expected.topics);
        assert.deepEqual(subscriptions, expected.subscriptions);
      }
    });
  });

  it("A3.1 nothing changed, nothing written", async () => {
    await withDirectory(async (directory) => {
      await using rig = await openCoreRig({ directory });
      await rig.intend({ callback: CALLBACK, verified: true });
      const id = subscriptionIdOf(TOPIC, CALLBACK);
      await eventually("the lane is quiet", async () => !(await compacted(rig.log, "cursors")).has(id));
      const before = rig.commits.length;
      await never("a batch without a change", () => rig.commits.length > before, 1_300);
    });
  });

  it("A2.5 a batch for which there is no room is written when there is, and nothing is lost", async () => {
    await withDirectory(async (directory) => {
      await using rig = await openCoreRig({ directory });
      let refused = 0;
      rig.beforeCommit = () => refused++ === 0 ? Promise.reject(new LogError("full", "no room")) : Promise.resolve();
      await rig.intend({ callback: CALLBACK, verified: true, secret: "s" });
      assert.ok(refused >= 2);
      assert.equal((await rig.subscription(CALLBACK))?.phase, "active");
      assert.deepEqual(rig.failures, []);
      await rig.publish(TOPIC, "after");
      await attempts(rig, 1);
    });
  });

  it("A3.1 after any other failure the owner writes no more, and says so", async () => {
    await withDirectory(async (directory) => {
      await using rig = await openCoreRig({ directory });
      const before = rig.commits.length;
      rig.beforeCommit = () => Promise.reject(new LogError("fenced", "another owner has the shard"));
      await rig.append({ type: "register", id: operationId(), time: Date.now(), topic: TOPIC, end: 0 });
      const [failure] = await eventually("the failure", () => rig.failures.length > 0 && rig.failures);
      assert.equal((failure as LogError).code, "fenced");
      rig.beforeCommit = () => Promise.resolve();
      await rig.append({ type: "register", id: operationId(), time: Date.now(), topic: "other", end: 0 });
      await never("a batch after the failure", () => rig.commits.length > before, 100);
    });
  });

  it("§6.6 an event that cannot be applied is set aside, counted, and stops nothing", async () => {
    await withDirectory(async (directory) => {
      const garbage = ["", "{", "7", "null", '{"type":"ping"}', JSON.stringify(intentOf("no url"))];
      {
        await using rig = await openCoreRig({ directory });
        for (const text of garbage) await rig.log.append("events", { key: "k", value: Buffer.from(text) });
        await rig.log.append("events", { key: "k", value: null });
        await rig.intend({ callback: CALLBACK, verified: true });
        assert.equal(rig.engine.ownership.shards[0]!.setAside, garbage.length + 1);
        assert.equal((await rig.subscription(CALLBACK))?.phase, "active");
        assert.deepEqual(rig.failures, []);
      }
      await using again = await openCoreRig({ directory });
      assert.equal(again.engine.ownership.shards[0]!.setAside, 0, "they are behind the position");
      await again.publish(TOPIC, "one");
      await attempts(again, 1);
    });
  });

  it("A3.1 records that come again, from before the position, change nothing and move nothing back", async () => {
    await withDirectory(async (directory) => {
      const clock = createClock();
      await using rig = await openCoreRig({ directory, clock });
      const failed = `${CALLBACK}/failed`;
      await rig.intend({ callback: failed, verified: false });
      await rig.intend({ callback: CALLBACK, verified: true, secret: "first" });
      await rig.intend({ callback: CALLBACK, verified: true, secret: "second" });
      await rig.intend({ mode: "unsubscribe", callback: CALLBACK, verified: true });
      const shard = rig.engine.ownership.shards[0]!;
      const { records, next } = await rig.log.read("events", 0, 0, { maxBytes: 1e6 });
      const before = await rig.subscription(CALLBACK);
      clock.advance(130_000);
      rig.sweep();
      await eventually("what never was is forgotten", async () => await rig.subscription(failed) === undefined);
      await shard.receive(records.slice(0, 5), next);
      await rig.append({ type: "register", id: operationId(), time: Date.now(), topic: TOPIC, end: 0 });
      await rig.folded();
      assert.deepEqual(await rig.subscription(CALLBACK), before);
      assert.equal(await rig.subscription(failed), undefined);
      const positions = rig.commits.map((batch) => positionIn(batch, "topics"));
      assert.deepEqual(positions, positions.toSorted((a, b) => a - b));
    });
  });
});

function randomEvents(count: number): HubEvent[] {
  let seed = 20_261_121;
  const random = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor(seed / 65_536) % below;
  };
  const intents: { id: string; topic: string; callback: string }[] = [];
  return Array.from({ length: count }, (): HubEvent => {
    const topic = `topic ${random(4)}`;
    const callback = `${CALLBACK}/${random(6)}`;
    const kind = random(10);
    const head = { id: operationId(), time: Date.now() };
    if (kind === 0) return { type: "register", ...head, topic, end: random(9) };
    if (kind === 1) return { type: "ping", ...head, topic };
    const intent = intents[intents.length - 1 - random(6)];
    if (kind < 6 || intent === undefined) {
      intents.push({ id: head.id, topic, callback });
      const mode = kind === 2 ? "unsubscribe" : "subscribe";
      return { ...intentOf(callback), ...head, topic, mode, end: random(9), secret: `secret ${random(99)}` };
    }
    return { ...resultOf(intent.id, intent.callback), ...head, topic: intent.topic, verified: random(4) > 0, end: 9 };
  });
}

async function everyEvent(rig: CoreRig): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  const end = await rig.log.end("events", 0);
  for (let from = 0; from < end;) {
    const chunk = await rig.log.read("events", 0, from, { maxBytes: 1e6 });
    records.push(...chunk.records);
    from = chunk.next;
  }
  return records;
}

function foldAll(records: readonly LogRecord[]) {
  const topics = new Map<string, TopicRecord>();
  const subscriptions = new Map<string, SubscriptionRecord>();
  for (const { value, offset } of records) {
    const event = decodeEvent(value);
    if (event.type === "intent" || event.type === "result") {
      const id = subscriptionIdOf(event.topic, event.callback);
      const after = foldSubscription(subscriptions.get(id), event, offset);
      if (after !== undefined) subscriptions.set(id, after);
    } else if (event.type === "register" || event.type === "ping") {
      const id = topicIdOf(event.topic);
      const after = foldTopic(topics.get(id), event, offset);
      if (after !== undefined) topics.set(id, after);
    }
  }
  // As they are read back.
  return { topics: plain(topics), subscriptions: plain(subscriptions) };
}

function plain<T>(map: Map<string, T>): Map<string, T> {
  return new Map([...map].map(([key, value]) => [key, JSON.parse(JSON.stringify(value)) as T]));
}
