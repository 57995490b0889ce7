import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BURST_S, createRateLimit } from "../../../edge/limits/rate-limit.ts";

describe("a rate limit", () => {
  it("lets a burst through, then so many a second, and says how long to wait", () => {
    let time = 0;
    const limit = createRateLimit({ perSecond: 5, now: () => time, mostKeys: 100_000 });
    for (let n = 0; n < 5 * BURST_S; n++) assert.equal(limit.take("a"), 0, String(n));
    assert.equal(limit.take("a"), 1);
    time += 200;
    assert.equal(limit.take("a"), 0);
    assert.equal(limit.take("a"), 1);
    time += 1_000_000;
    for (let n = 0; n < 5 * BURST_S; n++) assert.equal(limit.take("a"), 0);
    assert.equal(limit.take("a"), 1, "what was not used is not saved beyond the burst");
  });

  it("takes what counts as many requests if half a burst is there, and lets the key owe the rest", () => {
    let time = 0;
    const limit = createRateLimit({ perSecond: 10, now: () => time, mostKeys: 100_000 });
    assert.equal(limit.take("a", 40), 0);
    assert.equal(limit.take("a", 300), 0, "60 are there");
    assert.equal(limit.take("a"), 25, "240 are owed");
    assert.equal(limit.take("a", 30), 27);
    assert.equal(limit.take("a", 300), 29);
    time += 26_999;
    assert.deepEqual([limit.take("a", 30), limit.take("a", 29)], [1, 0]);
  });

  it("keeps keys apart", () => {
    const limit = createRateLimit({ perSecond: 1, now: () => 0, mostKeys: 100_000 });
    for (let n = 0; n < BURST_S; n++) limit.take("a");
    assert.equal(limit.take("a"), 1);
    for (const key of ["b", "__proto__", "constructor", ""]) assert.equal(limit.take(key), 0, key);
  });

  it("0 is no limit", () => {
    const limit = createRateLimit({ perSecond: 0, now: () => 0, mostKeys: 100_000 });
    for (let n = 0; n < 100_000; n++) assert.equal(limit.take("a"), 0);
  });

  it("§6.7 remembers a bounded number of keys, the recently seen ones among them", () => {
    const limit = createRateLimit({ perSecond: 1, now: () => 0, mostKeys: 100 });
    for (let n = 0; n < BURST_S; n++) limit.take("busy");
    for (let n = 0; n < 10_000; n++) {
      limit.take(`stranger ${n}`);
      if (n % 20 === 0) assert.equal(limit.take("busy"), 1, `after ${n} strangers`);
    }
    for (let n = 0; n < 200; n++) limit.take(`more ${n}`);
    assert.equal(limit.take("busy"), 0, "forgotten at last");
  });
});
