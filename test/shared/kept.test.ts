import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createKept } from "../../shared/kept.ts";

describe("what is kept for a second", () => {
  it("is found once, however many ask at a time or soon after, and again when it is old", async () => {
    let [time, found] = [0, 0];
    const ask = createKept(async () => ++found, { now: () => time });
    assert.deepEqual(await Promise.all([ask(), ask(), ask()]), [1, 1, 1]);
    time = 999;
    assert.equal(await ask(), 1);
    time = 1_000;
    assert.deepEqual(await Promise.all([ask(), ask()]), [2, 2]);
  });

  it("is as old as it was when it was found, not asked for", async () => {
    let time = 0;
    const { promise, resolve } = Promise.withResolvers<string>();
    const ask = createKept(() => promise, { now: () => time });
    const first = ask();
    time = 5_000;
    resolve("late");
    assert.equal(await first, "late");
    time = 5_999;
    assert.equal(await ask(), "late");
  });

  it("is not kept if it could not be found", async () => {
    let tries = 0;
    const ask = createKept(async () => {
      if (++tries === 1) throw new Error("away");
      return "there";
    }, { now: () => 0 });
    await assert.rejects(ask(), /away/);
    assert.equal(await ask(), "there");
  });
});
