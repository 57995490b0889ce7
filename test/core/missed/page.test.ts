import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { decodeCursor } from "../../../core/messages/cursor-text.ts";
import { PAGE_BYTES, readPage } from "../../../core/missed/page.ts";
import type { MissedMessages } from "../../../shared/core-api.ts";
import { createTail } from "../../support/rigs/tail.ts";
import type { TestTail } from "../../support/rigs/tail.ts";

const monotonic = () => performance.now();

async function page(
  tail: TestTail,
  { from = 0, end = tail.next(0), limit = 100, clock = monotonic } = {},
): Promise<MissedMessages & { bytes: number; at: number }> {
  const { parts, bytes } = await readPage({ topic: tail.topic, from, end, limit }, {
    read: tail.read,
    now: clock,
  });
  const text = Buffer.concat(parts);
  assert.equal(text.length, bytes);
  const read = JSON.parse(text.toString()) as MissedMessages;
  return { ...read, bytes, at: decodeCursor(tail.topic.id, read.next).offset + 1 };
}
const bodies = ({ messages }: MissedMessages) => messages.map((message) => "body" in message && message.body);

describe("WIRE §5 a page", () => {
  it("has the topic's messages in order, and the cursor to go on from", async () => {
    const tail = createTail();
    tail.offer(2, "one", 3, "two", 4);
    const { messages, more, at } = await page(tail);
    assert.deepEqual(messages, [
      {
        id: "id-2",
        cursor: messages[0]?.cursor,
        publishedAt: "2027-01-15T08:00:00.002Z",
        contentType: "text/plain",
        body: "one",
      },
      {
        id: "id-6",
        cursor: messages[1]?.cursor,
        publishedAt: "2027-01-15T08:00:00.006Z",
        contentType: "text/plain",
        body: "two",
      },
    ]);
    // After the messages of other topics, so that the next request does not read them again.
    assert.deepEqual([more, at], [false, 11]);
  });

  it("is empty if there are no messages; its cursor then stands where it began or how far it read", async () => {
    const tail = createTail();
    assert.deepEqual([(await page(tail)).more, (await page(tail)).at], [false, 0]);
    tail.offer(5);
    assert.deepEqual([(await page(tail)).messages, (await page(tail)).at], [[], 5]);
    // A position after the requested end: deliveries went on meanwhile.
    assert.equal((await page(tail, { from: 5, end: 3 })).at, 5);
  });

  it("says that there are more messages exactly if it saw one more", async () => {
    const tail = createTail({ chunk: 100 });
    tail.offer("one", "two", 1);
    assert.deepEqual([(await page(tail, { limit: 2 })).more, (await page(tail, { limit: 1 })).more], [false, true]);
    assert.equal((await page(tail, { limit: 1 })).at, 1);
  });

  it("stops searching a log without an index when it is full", async () => {
    const tail = createTail({ chunk: 1 });
    tail.offer("one", 1_000, "two");
    const { more, at } = await page(tail, { limit: 1 });
    assert.deepEqual([more, at, tail.reads.length], [true, 1, 1]);
  });

  it("stops searching after a while, and the next request goes on from there", async () => {
    const tail = createTail({ chunk: 10 });
    tail.offer(1_000, "far");
    let time = 0;
    const clock = () => time += 1_000;
    const first = await page(tail, { clock });
    assert.deepEqual([first.messages, first.more], [[], true]);
    assert.ok(first.at > 0 && first.at < 1_000 && first.at % 10 === 0);
    assert.deepEqual(bodies(await page(tail, { from: first.at })), ["far"]);
  });

  it("is bounded in bytes on the wire, unless its first message is larger", async () => {
    const tail = createTail();
    // Six bytes each in JSON.
    const megabyte = "\u0001".repeat(1024 * 1024);
    tail.offer(megabyte, megabyte, "small");
    const first = await page(tail);
    assert.deepEqual([first.messages.length, first.more, first.at], [1, true, 1]);
    assert.ok(first.bytes < PAGE_BYTES);
    const huge = "\u0001".repeat(2 * 1024 * 1024);
    tail.offer(huge, "after");
    const second = await page(tail, { from: 3 });
    assert.deepEqual([second.messages.length, second.more, second.at], [1, true, 4]);
    assert.ok(second.bytes > PAGE_BYTES);
  });

  it("pages of any size, read while messages come, bring each message once and in order", async () => {
    const step = fc.oneof(
      fc.record({ offer: fc.array(fc.oneof(fc.integer({ min: 1, max: 4 }), fc.constant("m")), { maxLength: 6 }) }),
      fc.record({ limit: fc.integer({ min: 1, max: 5 }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), fc.integer({ min: 1, max: 5 }), async (steps, chunk) => {
        const tail = createTail({ chunk });
        const offered: string[] = [];
        const read: unknown[] = [];
        let from = 0;
        const take = async (limit: number) => {
          const found = await page(tail, { from, limit });
          assert.ok(found.messages.length <= limit);
          read.push(...bodies(found));
          from = found.at;
          return found.more;
        };
        for (const one of steps) {
          if ("limit" in one) await take(one.limit);
          else {
            for (const what of one.offer) {
              if (what === "m") offered.push(`m${offered.length}`);
              tail.offer(what === "m" ? offered.at(-1)! : Number(what));
            }
          }
        }
        while (await take(3));
        assert.deepEqual(read, offered);
      }),
    );
  });
});
