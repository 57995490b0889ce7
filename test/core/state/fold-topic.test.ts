import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { TopicEvent } from "../../../core/state/events.ts";
import { foldFetched, foldTopic } from "../../../core/state/fold-topic.ts";
import { hasOperation, OPERATIONS_KEPT_MS, withOperation } from "../../../core/state/recent-operations.ts";
import { wasMadeByUse } from "../../../core/state/topic-use.ts";
import type { RecentOperations, TopicRecord } from "../../../core/state/records.ts";

const TOPIC = "https://example.com/feed";
const TIME = 1_700_000_000_000;

function register(id: string, end = 0): TopicEvent {
  return { type: "register", id, time: TIME, topic: TOPIC, end };
}
function deregister(id: string): TopicEvent {
  return { type: "deregister", id, time: TIME + 10, topic: TOPIC };
}
function ping(id: string, time = TIME + 20): TopicEvent {
  return { type: "ping", id, time, topic: TOPIC };
}

/** Folds events at offsets 0, 1, 2 … */
function fold(events: readonly TopicEvent[], record?: TopicRecord, from = 0): TopicRecord | undefined {
  return events.reduce((before, event, index) => foldTopic(before, event, from + index), record);
}

describe("the fold of a topic", () => {
  it("only a register makes one, where the log then ends", () => {
    assert.equal(fold([deregister("d")]), undefined);
    assert.equal(fold([ping("p")]), undefined);
    const record = fold([register("r", 7)])!;
    assert.equal(record.start, 7);
    assert.equal(record.endedAt, undefined);
  });

  it("a second register leaves its beginning where it is", () => {
    assert.equal(fold([register("r1", 7), register("r2", 9)])!.start, 7);
  });

  it("A3.5 one that no register made says when it was last needed, until a register makes it stay", () => {
    const use = (id: string, time: number): TopicEvent => ({ ...register(`${id}+topic`), time });
    const made = fold([use("op_1", TIME)])!;
    assert.equal(made.usedAt, TIME);
    assert.equal(fold([use("op_2", TIME + 5)], made, 1)!.usedAt, TIME + 5);
    assert.equal(fold([use("op_2", TIME - 5)], made, 1)!.usedAt, TIME, "time does not go back");
    assert.equal(fold([ping("p", TIME + 20)], made, 1)!.usedAt, TIME + 20);
    const owed = fold([ping("p", TIME + 20)], made, 1)!;
    assert.equal(foldFetched(owed, 1, undefined, TIME + 30).usedAt, TIME + 30);
    const registered = fold([register("op_3")], made, 1)!;
    assert.equal(registered.usedAt, undefined);
    assert.ok(!wasMadeByUse(registered));
    const later = fold([use("op_4", TIME + OPERATIONS_KEPT_MS * 2)], registered, 2)!;
    assert.ok(later.usedAt === undefined && !wasMadeByUse(later), "it stays");
    assert.equal(fold([deregister("d"), use("op_5", TIME + 60)], made, 1)!.usedAt, TIME + 60);
    assert.equal(fold([deregister("d")], made, 1)!.usedAt, undefined);
    // A record of a core that did not say so.
    const { usedAt: _, ...before } = made;
    assert.ok(wasMadeByUse(before));
    assert.equal(fold([use("op_6", TIME + 9)], before, 1)!.usedAt, TIME + 9);
  });

  it("WIRE §1 a deregister ends it, and a new register starts anew", () => {
    const over = fold([register("r1", 7), ping("p"), deregister("d")])!;
    assert.equal(over.endedAt, TIME + 10);
    assert.equal(over.fetchOwed, undefined, "nothing is fetched for what has ended");
    assert.equal(over.fetched, undefined);
    const anew = fold([register("r2", 30)], over, 3)!;
    assert.equal(anew.endedAt, undefined);
    assert.equal(anew.start, 30);
  });

  it("a topic that has ended ends once and is fetched no more", () => {
    const over = fold([register("r"), deregister("d1")])!;
    const { operations: _, version: __, ...after } = fold([deregister("d2"), ping("p")], over, 2)!;
    const { operations: ___, version: ____, ...before } = over;
    assert.deepEqual(after, before);
  });

  it("WIRE §3 pings that wait for one fetch are one, owed since the first", () => {
    const record = fold([register("r"), ping("p1", TIME + 100), ping("p2", TIME + 200)])!;
    assert.deepEqual(record.fetchOwed, { ping: 2, since: TIME + 100 });
  });

  it("keeps with the fetch that is owed who pinged, 8 of them, so that a restart knows whose it is", () => {
    const by = (requester: string) => ({ ...ping(`p${requester}`), requester });
    const record = fold([register("r"), by("one"), by("two"), by("one"), ping("nobody")])!;
    assert.deepEqual(record.fetchOwed?.requesters, ["address one", "address two"]);
    const many = fold([register("r"), ...Array.from({ length: 20 }, (_, n) => by(`${n}`))])!;
    assert.equal(many.fetchOwed?.requesters?.length, 8);
    assert.equal(foldFetched(many, 1, undefined, TIME).fetchOwed?.requesters?.length, 8, "while a newer one is owed");
  });

  it("WIRE §3 a fetch answers the pings up to its own; a newer one is owed still", () => {
    const record = fold([register("r"), ping("p1"), ping("p2")])!;
    const fetched = { sha256: "ab", etag: '"1"' };
    assert.deepEqual(foldFetched(record, 1, fetched, TIME + 900), {
      ...record,
      fetchOwed: { ping: 2, since: TIME + 900 },
      fetched,
    });
    const { fetchOwed: _, ...rest } = record;
    assert.deepEqual(foldFetched(record, 2, fetched, TIME + 900), { ...rest, fetched });
  });

  it("a fetch that was given up answers its ping and forgets nothing that was known", () => {
    const known = { ...fold([register("r"), ping("p1")])!, fetched: { sha256: "ab" } };
    const { fetchOwed: _, ...rest } = known;
    assert.deepEqual(foldFetched(known, 1, undefined, TIME), { ...rest, fetched: { sha256: "ab", slow: true } });
  });

  it("a fetch of the topic before it was registered anew says nothing about the new one", () => {
    const anew = fold([register("r1"), ping("p"), deregister("d"), register("r2")])!;
    assert.equal(foldFetched(anew, 1, { sha256: "ab" }, TIME), anew);
  });

  it("A3.8 replays and copies change nothing, and a fold goes on from any checkpoint", () => {
    const event = fc.tuple(fc.constantFrom("register", "deregister", "ping"), fc.nat(100)).map(([type, end]) => ({
      type,
      end,
    }));
    fc.assert(fc.property(fc.array(event, { maxLength: 30 }), fc.array(fc.nat()), fc.nat(), (kinds, noise, cut) => {
      // A copy is remembered by the topic's own record, so the sequence begins with one.
      const events = [{ type: "register", end: 0 }, ...kinds].map(({ type, end }, index) => {
        const head = { id: `op-${index}`, time: TIME + index, topic: TOPIC };
        return (type === "register" ? { type, ...head, end } : { type, ...head }) as TopicEvent;
      });
      const plain = events.reduce<TopicRecord | undefined>(
        (record, one, at) => foldTopic(record, one, at * 10),
        undefined,
      );
      const noisy = events.reduce<TopicRecord | undefined>((record, one, at) => {
        const after = foldTopic(record, one, at * 10);
        const earlier = Math.max(0, at - (noise[at] ?? 0) % 4);
        const replayed = foldTopic(after, events[earlier]!, earlier * 10);
        return foldTopic(replayed, events[earlier]!, at * 10 + 1);
      }, undefined);
      assert.deepEqual(noisy, plain);
      const at = cut % (events.length + 1);
      const text = JSON.stringify(fold(events.slice(0, at)));
      const checkpoint = text === undefined ? undefined : JSON.parse(text) as TopicRecord;
      assert.deepEqual(fold(events.slice(at), checkpoint, at), fold(events));
    }));
  });
});

describe("A3.8 the ids of recent operations", () => {
  it("at most 8 are kept, none older than two minutes", () => {
    let operations: RecentOperations = [];
    for (let n = 0; n < 20; n++) operations = withOperation(operations, `op-${n}`, TIME + n);
    assert.deepEqual(operations.map(([id]) => id), Array.from({ length: 8 }, (_, n) => `op-${n + 12}`));
    assert.ok(hasOperation(operations, "op-12"));
    assert.ok(!hasOperation(operations, "op-11"));
    const later = withOperation(operations, "late", TIME + 15 + OPERATIONS_KEPT_MS);
    assert.deepEqual(later.map(([id]) => id), ["op-16", "op-17", "op-18", "op-19", "late"]);
  });
});
