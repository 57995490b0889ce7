// A stranger pings topics whose servers hang, as many as it likes: the fetches of others begin at once (WIRE §3).

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createTopicFetcher } from "../../core/effects/topic-fetcher.ts";
import { topicIdOf } from "../../core/state/ids.ts";
import type { TopicRecord } from "../../core/state/records.ts";
import type { Outbound } from "../../shared/outbound/outbound.ts";
import { eventually, never } from "../support/eventually.ts";

/** A fetcher of topics of which those of `hangs` never answer, and the others at once; `asked` are the topics that were asked for. */
function openFetcher() {
  const stop = new AbortController();
  const asked: string[] = [];
  const outbound: Outbound = {
    supports: { pinning: true },
    call: async ({ url, signal }) => {
      asked.push(url);
      if (!url.includes("hangs")) return { kind: "answer", status: 204, headers: {}, body: new Uint8Array(), url };
      await new Promise<void>((resolve) => signal?.addEventListener("abort", () => resolve()));
      return { kind: "failed", code: "aborted", reason: "stopping" };
    },
    close: () => Promise.resolve(),
  };
  const fetcher = createTopicFetcher({
    log: { append: () => assert.fail("nothing is published") },
    outbound,
    hubUrl: "http://hub.example/hub",
    maxBytes: 1_000,
    compact: (_topic, body) => body,
    traceparent: () => "",
    signal: stop.signal,
  });
  const recordOf = (topic: string, ...requesters: string[]): TopicRecord => ({
    topic,
    version: 1,
    start: 0,
    operations: [],
    fetchOwed: { ping: 1, since: 0, requesters },
  });
  const fetch = (topic: string, ...requesters: string[]) =>
    new Promise<void>((done) => fetcher.fetch(topicIdOf(topic), recordOf(topic, ...requesters), () => done()));
  return { asked, fetch, fetcher, recordOf, [Symbol.dispose]: () => stop.abort() };
}

describe("WIRE §3 topic fetches among strangers", () => {
  it("300 topics that hang hold up nobody else's fetch, however many hosts they have", async () => {
    for (const hostOf of [() => "hangs.example", (n: number) => `hangs-${n}.example`]) {
      using rig = openFetcher();
      for (let n = 0; n < 300; n++) void rig.fetch(`http://${hostOf(n)}/${n}`, "stranger");
      await eventually("its first fetches", () => rig.asked.length >= 8);
      await Promise.all(Array.from({ length: 20 }, (_, n) => rig.fetch(`http://good.example/${n}`, "one")));
    }
  });

  it("a topic that a stranger has pinged first does not wait in the stranger's line once another pings it", async () => {
    using rig = openFetcher();
    for (let n = 0; n < 300; n++) void rig.fetch(`http://hangs-${n}.example/`, "stranger");
    const topic = "http://good.example/";
    const done = rig.fetch(topic, "stranger");
    await never("a fetch in the stranger's share", () => rig.asked.includes(topic), 50);
    rig.fetcher.hurry(topicIdOf(topic), rig.recordOf(topic, "stranger", "one"));
    await done;
  });

  it("a fetch that several pingers wait for is made once, and gives back the places that it does not need", async () => {
    using rig = openFetcher();
    const topics = Array.from({ length: 100 }, (_, n) => `http://good.example/${n}`);
    await Promise.all(topics.map((topic) => rig.fetch(topic, "one", "two", "three")));
    assert.deepEqual(rig.asked.toSorted(), topics.toSorted());
  });
});
