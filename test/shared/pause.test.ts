import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { pause, waitAtMost } from "../../shared/pause.ts";

describe("a wait for at most so long", () => {
  const forever = new Promise<never>(() => {});
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;

  it("ends with its promise, or fails with it, and leaves no timer behind", async () => {
    const before = timers();
    await waitAtMost(60_000, Promise.resolve("done"));
    await assert.rejects(waitAtMost(60_000, Promise.reject(new Error("failed"))), /^Error: failed$/);
    assert.equal(timers(), before);
  });

  it("ends without its promise when the time is over", async () => {
    await waitAtMost(1, forever);
  });

  it("ends when its signal aborts, also if that was before it", async () => {
    const stop = new AbortController();
    const waiting = waitAtMost(60_000, forever, stop.signal);
    stop.abort();
    await waiting;
    await waitAtMost(60_000, forever, stop.signal);
  });
});

describe("a pause", () => {
  it("ends when its signal aborts, and what comes after it ends at once", async () => {
    const stop = new AbortController();
    const waiting = [pause(60_000, stop.signal), pause(60_000, stop.signal)];
    await pause(1, stop.signal);
    stop.abort();
    await Promise.all(waiting);
    await pause(60_000, stop.signal);
  });

  it("costs the same however many wait for its signal", async () => {
    const stop = new AbortController();
    const begun = performance.now();
    const waiting = Array.from({ length: 50_000 }, () => pause(60_000, stop.signal));
    stop.abort();
    await Promise.all(waiting);
    // One listener each took more than 10 s.
    assert.ok(performance.now() - begun < 3_000, `${performance.now() - begun} ms`);
  });
});
