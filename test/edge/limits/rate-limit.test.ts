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
