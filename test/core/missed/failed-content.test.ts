import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readFailedContent } from "../../../core/missed/failed-content.ts";
import type { FailedContents } from "../../../shared/core-api.ts";
import { subscriptionOf } from "../../support/rigs/subscription-events.ts";
import { createTail, type TestTail } from "../../support/rigs/tail.ts";

/** The bodies of a page without dead letters, read by a clock that goes on so many ms with each read. */
async function bodies(
  tail: TestTail,
  { skip = 0, limit = 10, readMs = 0, beyond = [] as readonly number[], raw = [] as string[] } = {},
) {
  let time = 0;
  tail.onRead = () => void (time += readMs);
  const unused = () => assert.fail("no record is read by itself");
  const { parts, bytes } = await readFailedContent(
    {
      log: { start: unused, end: unused, positionAt: unused, read: unused },
      replica: { topic: unused, letterMessages: async () => ({ skipped: 0, offsets: [] }) },
      topics: { identify: unused } as never,
      admit: unused,
      standingOf: unused,
      read: tail.read,
      clock: unused,
    },
    {
      subscription: { id: "s", topic: tail.topic, record: { ...subscriptionOf({ life: 1 }), phase: "active" } },
      standing: { position: 0, beyond, parked: true, lastError: "", failed: undefined, gaps: undefined },
      from: 0,
      end: tail.next(0),
      skip,
      limit,
    },
    () => time,
  );
  const text = Buffer.concat(parts);
  assert.equal(text.length, bytes);
  raw.push(text.toString());
  return (JSON.parse(text.toString()) as FailedContents).failedcontents.map(({ message }) => message);
}

describe("WIRE §5 a page of failed content", () => {
  it("has the undelivered messages in order, but for those that are done beyond the position", async () => {
    const tail = createTail();
    tail.offer(2, "one", 3, "two", 4, "three");
    assert.deepEqual(await bodies(tail), ["one", "two", "three"]);
    assert.deepEqual(await bodies(tail, { beyond: [6] }), ["one", "three"]);
    assert.deepEqual(await bodies(tail, { skip: 1, limit: 1 }), ["two"]);
    assert.deepEqual(await bodies(tail, { skip: 3 }), []);
  });

  it("is JSON in ASCII: all else is escaped, half a character too", async () => {
    const tail = createTail();
    const text = 'a"\\/\b\n\u0000\u007f\u0080\u00e9\uffff\u{1f600}';
    tail.offer(text);
    const raw: string[] = [];
    assert.deepEqual(await bodies(tail, { raw }), [text]);
    assert.match(raw[0]!, /^[\x20-\x7e]+$/);
    assert.ok(raw[0]!.includes(String.raw`\n\u0000\u007f\u0080\u00e9\uffff\ud83d\ude00`), raw[0]);
  });

  it("ends after 5 s with the rows that it has, though the next one is far: none of them is lost", async () => {
    const tail = createTail();
    tail.offer("one", 300, "two");
    assert.deepEqual(await bodies(tail, { readMs: 1_000 }), ["one"]);
    assert.ok(tail.reads.length < 10, `${tail.reads.length} reads`);
    assert.deepEqual(await bodies(tail, { skip: 1, readMs: 10 }), ["two"]);
  });

  it("is refused after 5 s without a row, since an empty page would say that there is none", async () => {
    const tail = createTail();
    tail.offer(300, "one");
    await assert.rejects(bodies(tail, { readMs: 1_000 }), { code: "overloaded" });
  });
});
