import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FairPool, NoPlaceError } from "../../../shared/shares/fair-pool.ts";
import type { Claim, Standing } from "../../../shared/shares/standing.ts";

function claimOf(requester: string, standing: Standing = "new"): Claim {
  return { requester, host: "", standing };
}

const poolOf = (mostWaiting = 8) =>
  new FairPool({ most: 4, of: { proven: 2, slow: 0, new: 2, failing: 0 }, mostWaiting });

const hang = () => new Promise<never>(() => {});

/** Begins what never ends. */
function begin(pool: FairPool, claim: Claim): void {
  void pool.run(claim, hang, { waitMs: Infinity }).catch(() => {});
}

describe("a fair pool", () => {
  it("runs what has a place, and gives the place back, also when the task throws", async () => {
    const pool = poolOf();
    assert.equal(await pool.run(claimOf("a"), () => Promise.resolve(7), { waitMs: 0 }), 7);
    await assert.rejects(pool.run(claimOf("a"), () => Promise.reject(new Error("no")), { waitMs: 0 }), /no/);
    assert.equal(pool.used, 0);
  });

  it("says at its deadline that there was no place", async () => {
    const pool = poolOf();
    for (const name of ["a", "b"]) begin(pool, claimOf(name));
    await assert.rejects(pool.run(claimOf("c"), hang, { waitMs: 0 }), NoPlaceError);
    await assert.rejects(pool.run(claimOf("c"), hang, { waitMs: 20 }), /No place in time/);
    assert.equal(pool.waiting, 0);
    assert.equal(
      await pool.run(claimOf("c", "proven"), () => Promise.resolve("own share"), { waitMs: 0 }),
      "own share",
    );
  });

  it("stops waiting when it is no longer wanted", async () => {
    const pool = poolOf();
    for (const name of ["a", "b"]) begin(pool, claimOf(name));
    const over = new AbortController();
    const waiting = pool.run(claimOf("c"), hang, { waitMs: Infinity, signal: over.signal });
    over.abort();
    await assert.rejects(waiting, /No longer wanted/);
    await assert.rejects(pool.run(claimOf("c"), hang, { waitMs: 9, signal: over.signal }), /No longer wanted/);
  });

  it("lets no requester take all that may wait", async () => {
    const pool = poolOf();
    for (const name of ["a", "b"]) begin(pool, claimOf(name));
    for (let at = 0; at < 20; at++) begin(pool, claimOf("greedy"));
    await assert.rejects(pool.run(claimOf("greedy"), hang, { waitMs: 1_000 }), /Too many of this requester/);
    assert.equal(pool.waiting, 2);
    begin(pool, claimOf("modest"));
    assert.equal(pool.waiting, 3);
  });

  it("has a seat for another, however many requesters fill what may wait", async () => {
    const pool = poolOf(512);
    for (const name of ["a", "b"]) begin(pool, claimOf(name));
    for (let n = 0; n < 20; n++) for (let seat = 0; seat < 256; seat++) begin(pool, claimOf(`many${n}`));
    await assert.rejects(pool.run(claimOf("good"), hang, { waitMs: 10 }), /No place in time/);
    await assert.rejects(pool.run(claimOf("many0"), hang, { waitMs: 10 }), /wait already/);
  });

  it("gives a place that comes free to who waits", async () => {
    const pool = poolOf();
    const place = await pool.take(claimOf("a"), { waitMs: 0 });
    begin(pool, claimOf("b"));
    const third = pool.run(claimOf("c"), () => Promise.resolve("served"), { waitMs: 1_000 });
    pool.leave(place);
    assert.equal(await third, "served");
  });

  it("lets a Worker's request look again by itself, and takes back what was lost", async () => {
    const clock = { time: 0 };
    const lost = { now: () => clock.time, afterMs: 1_000 };
    const pool = new FairPool({ most: 1, of: { proven: 0, slow: 0, new: 1, failing: 0 }, mostWaiting: 8, lost });
    begin(pool, claimOf("dropped"));
    await assert.rejects(pool.take(claimOf("b"), { waitMs: 10 }), /No place in time/);
    const waiting = pool.take(claimOf("b"), { waitMs: 1_000 });
    clock.time = 1_000;
    assert.ok(await waiting);
  });
});
