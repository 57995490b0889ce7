// What the embedded log keeps of its newest records is bounded by what they take in memory (§6.7). Node's own collector is asked,
// so this file runs on Node only.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { RecentRecords } from "../../../../core/log/libsql/recent-records.ts";
import type { LogRecord } from "../../../../core/log/log.ts";
import { pause } from "../../../support/eventually.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

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
    // A reference that was looked at lives until the turn ends.
    await pause(1);
    collect();
    assert.ok(references.filter((reference) => reference.deref() !== undefined).length <= 10);
    assert.equal(recent.since(399, 1)?.length, 1);
  });

  it("§6.7 a record without a value takes memory, too", () => {
    const recent = new RecentRecords(0, 10_000);
    for (let offset = 0; offset < 400; offset++) recent.add([recordAt(offset, 0)]);
    assert.equal(recent.since(389, 100_000), undefined);
    assert.equal(recent.since(390, 100_000)?.length, 10);
  });
});
