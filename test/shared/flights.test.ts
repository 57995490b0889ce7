import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Flights } from "../../shared/flights.ts";
import { pause } from "../support/eventually.ts";

/** Work that ends when it is told. */
function work() {
  let begun = 0;
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  return { begin: () => (begun++, promise), end: resolve, fail: reject, begun: () => begun };
}

describe("work that requests share", () => {
  it("is done once for all that wait for it, by key, and anew for those that come later", async () => {
    const flights = new Flights<string>();
    const [one, other] = [work(), work()];
    const waiting = [flights.join("a", one.begin), flights.join("a", one.begin), flights.join("b", other.begin)];
    assert.deepEqual([one.begun(), other.begun(), flights.has("a")], [1, 1, true]);
    one.end("one");
    other.end("other");
    assert.deepEqual(await Promise.all(waiting), ["one", "one", "other"]);
    assert.equal(flights.has("a"), false);
    assert.equal(await flights.join("a", () => Promise.resolve("two")), "two");
  });

  it("fails with one error for all that wait for it", async () => {
    const flights = new Flights<string>();
    const { begin, fail } = work();
    const waiting = [flights.join("a", begin), flights.join("a", begin)];
    const error = new Error("away");
    fail(error);
    const ends = await Promise.allSettled(waiting);
    assert.deepEqual(ends.map((end) => end.status === "rejected" && end.reason), [error, error]);
  });

  it("is kept by the runtime until it has ended, and what is kept never rejects", async () => {
    const kept: Promise<unknown>[] = [];
    const flights = new Flights<string>({ keep: (promise) => void kept.push(promise) });
    await assert.rejects(flights.join("a", () => Promise.reject(new Error("away"))), /away/);
    assert.equal(kept.length, 1);
    await kept[0];
  });

  it("is done by the next one where the request that began it was dropped", async () => {
    const flights = new Flights<string>({ patienceMs: 20 });
    void flights.join("a", () => new Promise(() => {}));
    const { begin, end, begun } = work();
    const waiting = [flights.join("a", begin), flights.join("a", begin)];
    while (begun() === 0) await pause(1);
    end("done");
    assert.deepEqual([await Promise.all(waiting), begun()], [["done", "done"], 1]);
  });

  it("is not undone by an end that comes after another has begun it anew", async () => {
    const flights = new Flights<string>({ patienceMs: 10 });
    const [late, next] = [work(), work()];
    const first = flights.join("a", late.begin);
    const second = flights.join("a", next.begin);
    while (next.begun() === 0) await pause(1);
    late.end("late");
    assert.equal(await first, "late");
    assert.equal(flights.has("a"), true);
    next.end("next");
    assert.equal(await second, "next");
  });
});
