import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { eventStream, OpenStreams } from "../../../core/missed/event-stream.ts";
import { createReadMemory } from "../../../core/missed/memory.ts";
import type { Claim } from "../../../shared/shares/standing.ts";
import { createTail } from "../../support/rigs/tail.ts";
import type { TestTail } from "../../support/rigs/tail.ts";

const LONG = 60_000;
const UNIT_BYTES = 64 * 1_024;
const of = (requester: string, host = ""): Claim => ({ requester, host, standing: "new" });

function open(tail: TestTail, { from = 0, heartbeatMs = LONG, bytes = 1e9 } = {}) {
  const stop = new AbortController();
  const memory = createReadMemory(bytes);
  const { topic, read } = tail;
  const stream = eventStream({
    topic,
    from,
    read,
    tail,
    memory,
    claim: of("reader"),
    signal: stop.signal,
    heartbeatMs,
  });
  const next = async () => {
    const { value } = await stream.next();
    return value === undefined ? undefined : Buffer.from(value).toString();
  };
  /** Bodies of the next part. */
  const bodies = async () => {
    const part = await next() ?? "";
    return [...part.matchAll(/^data: (.*)$/gm)].map(([, data]) => (JSON.parse(data!) as { body: string }).body);
  };
  return { stream, stop, memory, next, bodies };
}
const immediate = () => new Promise((resolve) => setImmediate(resolve));

describe("WIRE §5 a stream of events", () => {
  it("says when to come back, then sends the backlog, then new messages, each with its cursor", async () => {
    const tail = createTail({ chunk: 10 });
    tail.offer(1, "one", "two\nlines", 1);
    const { next, bodies, stop } = open(tail);
    assert.match(await next() ?? "", /^retry: \d+\n\n$/);
    const part = await next() ?? "";
    const [first, second, rest] = part.split("\n\n");
    assert.match(first!, /^id: [\w-]{30}\ndata: \{"id":"id-1","cursor":"[\w-]{30}",.*"body":"one"\}$/);
    assert.match(second!, /^id: [\w-]{30}\ndata: \{.*"body":"two\\nlines"\}$/);
    assert.equal(rest, "");
    const later = bodies();
    await immediate();
    tail.offer(5, "three");
    assert.deepEqual(await later, ["three"]);
    stop.abort();
  });

  it("begins at the position it was given", async () => {
    const tail = createTail();
    tail.offer("one", "two", "three");
    const { next, bodies, stop } = open(tail, { from: 2 });
    await next();
    assert.deepEqual(await bodies(), ["three"]);
    stop.abort();
  });

  it("misses no message that is published while it reads, and repeats none", async () => {
    const tail = createTail({ chunk: 2 });
    tail.offer("0", 1, "1");
    let count = 2;
    // A message is published in the middle of each of the first reads.
    tail.onRead = async () => {
      if (count < 8) tail.offer(1, String(count++));
      await immediate();
    };
    const { next, bodies, stop } = open(tail);
    await next();
    const seen: string[] = [];
    while (seen.length < 8) seen.push(...await bodies());
    assert.deepEqual(seen, ["0", "1", "2", "3", "4", "5", "6", "7"]);
    stop.abort();
  });

  it("does not read the part of the log in which the tail passed only other topics", async () => {
    const tail = createTail({ chunk: 10 });
    tail.offer("one");
    const { next, bodies, stop } = open(tail);
    await next();
    await bodies();
    const later = bodies();
    await immediate();
    tail.offer(10_000, "two");
    assert.deepEqual(await later, ["two"]);
    assert.deepEqual(tail.reads.map(({ from }) => from), [0, 10_001]);
    stop.abort();
  });

  it("reads from the first of several messages that come at once, also after a heartbeat", async () => {
    const tail = createTail({ chunk: 10 });
    tail.offer("one");
    const { next, bodies, stop } = open(tail, { heartbeatMs: 20 });
    await next();
    await bodies();
    const heartbeat = next();
    await immediate();
    tail.offer(1_000);
    assert.equal(await heartbeat, ":\n\n");
    const later = bodies();
    await immediate();
    tail.offer(1_000, "two", 1, "three");
    assert.deepEqual(await later, ["two", "three"]);
    const again = next();
    await immediate();
    tail.offer(1_000);
    assert.equal(await again, ":\n\n");
    tail.offer("four");
    assert.deepEqual(await bodies(), ["four"]);
    assert.deepEqual(tail.reads.map(({ from }) => from), [0, 2_001, 3_004]);
    stop.abort();
  });

  it("reads nothing while its reader takes nothing", async () => {
    const tail = createTail({ chunk: 1 });
    tail.offer("one", "two", "three");
    const { next, stop } = open(tail);
    await next();
    await next();
    await immediate();
    assert.equal(tail.reads.length, 1);
    stop.abort();
  });

  it("has heartbeats while nothing comes, and goes on after them from where it was", async () => {
    const tail = createTail({ chunk: 10 });
    const { next, bodies, stop } = open(tail, { heartbeatMs: 20 });
    await next();
    const begun = performance.now();
    assert.deepEqual([await next(), await next()], [":\n\n", ":\n\n"]);
    assert.ok(performance.now() - begun > 30);
    const heartbeat = next();
    // Messages of other topics do not hold up a heartbeat.
    const others = setInterval(() => tail.offer(1), 5);
    assert.equal(await heartbeat, ":\n\n");
    clearInterval(others);
    tail.offer("one");
    assert.deepEqual(await bodies(), ["one"]);
    stop.abort();
  });

  it("has heartbeats while it looks for messages in a log without an index", async () => {
    const tail = createTail({ chunk: 1 });
    tail.offer(1_000, "far");
    tail.onRead = immediate as () => Promise<void>;
    const { next, stop } = open(tail, { heartbeatMs: 1 });
    await next();
    assert.equal(await next(), ":\n\n");
    assert.ok(tail.reads.length < 1_000);
    stop.abort();
  });

  it("ends at once when it is aborted: while it waits, while it reads, while there is no room", async () => {
    for (const where of ["waiting", "reading", "crowded"] as const) {
      const tail = createTail();
      if (where !== "waiting") tail.offer("one");
      const { next, stop, memory } = open(tail, { bytes: 10 });
      if (where === "reading") tail.onRead = () => stop.abort();
      if (where === "crowded") await memory.reserve(of("other"), UNIT_BYTES, {});
      await next();
      const ended = next();
      await immediate();
      if (where !== "reading") stop.abort();
      assert.equal(await ended, undefined, where);
      assert.deepEqual([tail.watching, memory.reserved], [0, where === "crowded" ? UNIT_BYTES : 0], where);
    }
  });

  it("reserves room for a part until the reader takes it or leaves", async () => {
    const tail = createTail();
    tail.offer("one", "two");
    const { stream, next, memory } = open(tail);
    await next();
    await next();
    assert.equal(memory.reserved, UNIT_BYTES);
    await stream.return();
    assert.deepEqual([memory.reserved, tail.watching], [0, 0]);
  });
});

describe("§6.7 streams of events", () => {
  it("are bounded of one subscription, and make room when they end", () => {
    const streams = new OpenStreams(100, 2);
    const leave = [streams.enter("a", of("r", "a"), () => {}), streams.enter("a", of("r", "a"), () => {})];
    assert.throws(() => streams.enter("a", of("r", "a"), () => {}), {
      code: "too_many",
      message: /has 2 event streams already/,
    });
    leave[0]!();
    assert.equal(streams.open, 1);
    leave.push(streams.enter("a", of("r", "a"), () => {}));
    for (const end of leave.slice(1)) end();
    assert.equal(streams.open, 0);
  });

  it("of 125 subscriptions of one reader are at most half of all, and others have theirs", () => {
    const streams = new OpenStreams();
    let opened = 0;
    for (let n = 0; n < 125; n++) {
      for (let of1 = 0; of1 < 8; of1++) {
        try {
          streams.enter(`s${n}`, of("greedy", `s${n}`), () => {});
          opened++;
        } catch (error) {
          assert.equal((error as { code: string }).code, "overloaded");
        }
      }
    }
    assert.equal(opened, 500);
    for (let n = 0; n < 20; n++) streams.enter(`good${n}`, of(`good${n}`, `good${n}`), () => {});
  });

  it("are another's where many readers have them all: who has most loses its oldest", () => {
    const ended: string[] = [];
    const streams = new OpenStreams(100, 1_000);
    const enter = (reader: string, nth: number) =>
      streams.enter(reader, of(reader), () => ended.push(`${reader}${nth}`));
    for (
      const [reader, most] of [["a", 50], ["b", 25], ["c", 12], ["d", 6], ["e", 3], ["f", 2], ["g", 1], [
        "h",
        1,
      ]] as const
    ) {
      for (let nth = 0; nth < most; nth++) enter(reader, nth);
    }
    assert.deepEqual([streams.open, ended.length], [100, 0]);
    const leaves = [0, 1, 2].map((nth) => enter("good", nth));
    assert.deepEqual(ended, ["a0", "a1", "a2"]);
    assert.throws(() => enter("a", 99), { code: "overloaded" });
    assert.equal(streams.open, 100);
    for (const leave of [...leaves, ...leaves]) leave();
    assert.equal(streams.open, 97);
  });
});

const immediately = async <T>(promise: Promise<T>): Promise<T | "waits"> =>
  await Promise.race([promise, immediate().then(() => "waits" as const)]);

describe("§6.7 the memory of what is read", () => {
  it("is one reader's for half of it, and another's for the rest; who waits has it in turn", async () => {
    const memory = createReadMemory(64 * UNIT_BYTES);
    const pages = await Promise.all([1, 2, 3, 4].map((n) => memory.reserve(of("greedy", `s${n}`), 8 * UNIT_BYTES, {})));
    const fifth = memory.reserve(of("greedy", "s5"), 8 * UNIT_BYTES, {});
    assert.equal(await immediately(fifth), "waits");
    assert.notEqual(await immediately(memory.reserve(of("good", "s6"), 8 * UNIT_BYTES, {})), "waits");
    pages[0]!.resize(100);
    pages[1]!.release();
    pages[1]!.release();
    assert.notEqual(await immediately(fifth), "waits");
  });

  it("is given to what is larger than all of it when nobody else has any", async () => {
    const memory = createReadMemory(4 * UNIT_BYTES);
    const large = await memory.reserve(of("a"), 100 * UNIT_BYTES, {});
    large!.resize(100 * UNIT_BYTES);
    const small = memory.reserve(of("b"), 1, { waitMs: 1_000 });
    assert.equal(await immediately(small), "waits");
    large!.release();
    assert.notEqual(await immediately(small), "waits");
  });

  it("is not waited for longer than a reader says, or once it has left", async () => {
    const memory = createReadMemory(UNIT_BYTES);
    await memory.reserve(of("a"), 1, {});
    assert.equal(await memory.reserve(of("b"), 1, { waitMs: 10 }), undefined);
    const left = new AbortController();
    const waiting = memory.reserve(of("b"), 1, { signal: left.signal });
    left.abort();
    assert.equal(await waiting, undefined);
  });
});
