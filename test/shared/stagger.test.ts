import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Attempt, AttemptsError, firstToSucceed } from "../../shared/stagger.ts";
import { pause } from "../support/eventually.ts";

const never = new AbortController().signal;

/** An attempt that ends as told after `ms`, and notes what becomes of it. */
function attempt(log: string[], name: string, ms: number, isGood = true): Attempt<string> {
  return async (signal) => {
    log.push(`begin ${name}`);
    signal.addEventListener("abort", () => log.push(`give up ${name}`));
    await pause(ms);
    if (!isGood) throw new Error(`${name} failed`);
    return name;
  };
}

describe("attempts one after another", () => {
  it("end with the first success; the next one's beginning ends none", async () => {
    const log: string[] = [];
    const attempts = [attempt(log, "slow", 250), attempt(log, "slower", 2_000), attempt(log, "unneeded", 0)];
    assert.equal(await firstToSucceed(attempts, 150, never), "slow");
    assert.deepEqual(log, ["begin slow", "begin slower", "give up slower"]);
  });

  it("begin at once when one has failed", async () => {
    const log: string[] = [];
    const attempts = [attempt(log, "bad", 5, false), attempt(log, "good", 5)];
    const begun = performance.now();
    assert.equal(await firstToSucceed(attempts, 5_000, never), "good");
    assert.ok(performance.now() - begun < 2_000);
  });

  it("fail with all errors when none is left", async () => {
    const attempts = [attempt([], "one", 20, false), attempt([], "two", 0, false)];
    await assert.rejects(firstToSucceed(attempts, 5, never), (error) => {
      assert.ok(error instanceof AttemptsError);
      assert.equal(error.errors.length, 2);
      assert.match(error.message, /failed; .* failed/);
      return true;
    });
    await assert.rejects(firstToSucceed([], 5, never), AttemptsError);
  });

  it("are given up when their time is over, and then none begins", async () => {
    const log: string[] = [];
    const over = new AbortController();
    const going = firstToSucceed([attempt(log, "one", 300), attempt(log, "two", 300)], 100, over.signal);
    over.abort();
    await assert.rejects(going, AttemptsError);
    await pause(150);
    assert.deepEqual(log, ["begin one", "give up one"]);
    await assert.rejects(firstToSucceed([attempt(log, "late", 0)], 5, over.signal), AttemptsError);
    assert.equal(log.length, 2);
  });
});
