// Strangers who ask an edge to verify more than it can: nobody else feels it, and what is accepted is verified or has failed in time (WIRE §2). The
// edge is a real one; callbacks and time are scripted.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openVirtualEdge } from "../support/rigs/virtual-edge.ts";

const STRANGER = "192.0.2.66";
const GOOD = "192.0.2.1";

describe("WIRE §2 verification among strangers", () => {
  it("300 feeds that are subscribed at once on a callback that takes 4 s are all verified within 60 s", async () => {
    const edge = openVirtualEdge({ takesMs: () => 4_000 });
    for (let n = 0; n < 300; n++) {
      assert.equal(await edge.subscribe(GOOD, `feed ${n}`, "http://reader.example/callback"), 202);
    }
    await edge.advance(60_000);
    assert.deepEqual(edge.unsettled(60_000), []);
    assert.ok(edge.intents.every(({ verified }) => verified === true));
  });

  it("40 subscribes a second, each to a host that hangs, do not hold up those of another address", async () => {
    const edge = openVirtualEdge({ takesMs: (url) => url.includes("hangs") ? Infinity : 50 });
    let refused = 0;
    for (let second = 0; second < 40; second++) {
      for (let n = 0; n < 40; n++) {
        const status = await edge.subscribe(STRANGER, "junk", `http://hangs-${second}-${n}.example/callback`);
        if (status !== 202) refused++;
      }
      assert.equal(await edge.subscribe(GOOD, `topic ${second}`, "http://reader.example/callback"), 202);
      await edge.advance(1_000);
    }
    const good = edge.intents.filter(({ callback }) => callback.includes("reader"));
    const late = good.filter(({ verified, acceptedAt, settledAt = Infinity }) =>
      !verified || settledAt > acceptedAt + 75
    );
    assert.deepEqual(late, []);
    assert.ok(refused > 0, "what cannot be asked in time is refused before its 202");
    await edge.advance(600_000);
    assert.ok(edge.intents.every(({ settledAt }) => settledAt !== undefined), "nothing is dropped silently");
  });

  it("junk for a callback's host leaves its owner what it had: it subscribes, renews and unsubscribes", async () => {
    const edge = openVirtualEdge({ takesMs: () => 5, confirms: (url) => !url.includes("junk") });
    for (let n = 0; n < 1_500; n++) await edge.subscribe(STRANGER, `junk ${n}`, "http://owner.example/junk");
    assert.equal(await edge.subscribe(STRANGER, "junk", "http://owner.example/junk"), 429);
    for (const mode of ["subscribe", "subscribe", "unsubscribe"] as const) {
      assert.equal(await edge.subscribe(GOOD, "news", "http://owner.example/callback", mode), 202);
      await edge.advance(1_000);
    }
    const own = edge.intents.filter(({ topic }) => topic === "news");
    assert.deepEqual(own.map(({ verified }) => verified), [true, true, true]);
  });
});
