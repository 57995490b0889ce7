// What the embedded log keeps of its newest records is bounded by what they take in memory (§6.7). The runtime's own
// collector is asked.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RecentRecords } from "../../../../core/log/libsql/recent-records.ts";
import type { LogRecord } from "../../../../core/log/log.ts";
import { alive } from "../../../support/garbage.ts";

function recordAt(offset: number, bytes: number): LogRecord {
  return { partition: 0, offset, key: "k".repeat(43), value: Buffer.alloc(bytes), headers: { topic: "t" }, time: 0 };
}

describe("the newest records of the embedded log", () => {
  it("§6.7 nothing is referred to beyond the bound", async () => {
    const recent = new RecentRecords(0, 10 * 64 * 1024);
    const references: WeakRef<LogRecord>[] = [];
    for (let offset = 0; offset < 400; offset++) {
      const record = recordAt(offset, 64 * 1024);
      references.push(new WeakRef(record));
      recent.add([record]);
    }
    assert.ok(await alive(references) <= 10);
    assert.equal(recent.since(399, 1)?.length, 1);
  });

  it("§6.7 a record without a value takes memory, too", () => {
    const recent = new RecentRecords(0, 10_000);
    for (let offset = 0; offset < 400; offset++) recent.add([recordAt(offset, 0)]);
    assert.equal(recent.since(389, 100_000), undefined);
    assert.equal(recent.since(390, 100_000)?.length, 10);
  });

  it("§6.7 a small record does not keep the pool that its bytes came from", () => {
    const recent = new RecentRecords(0, 10_000_000);
    for (let offset = 0; offset < 400; offset++) {
      recent.add([{ ...recordAt(offset, 0), value: Buffer.from(`{"record":${offset}}`) }]);
      // Other work takes the rest of the pool.
      Buffer.from("x".repeat(4_000));
    }
    const kept = recent.since(0, 10_000_000)!;
    const pools = new Set(kept.map(({ value }) => value!.buffer));
    const bytes = [...pools].reduce((sum, { byteLength }) => sum + byteLength, 0);
    assert.ok(bytes < 10_000, `${bytes} bytes are kept for 400 records`);
    assert.deepEqual(kept.map(({ value }) => String(Buffer.from(value!))), kept.map((_, n) => `{"record":${n}}`));
  });
});
