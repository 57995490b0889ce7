// The block index over a real log and a real replica, through crashes: what was written and not followed, what was finished and
// not written, and a replica that is gone.
import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { BLOCK_OFFSETS, decodeBlock } from "../../../core/messages/block.ts";
import { MESSAGE_HEADERS } from "../../../core/messages/message.ts";
import { keyedMessageIdOf, topicIdOf } from "../../../core/state/ids.ts";
import { type CoreRig, createClock, openCoreRig, TOPIC, withDirectory } from "../../support/rigs/core-rig.ts";
import { eventually } from "../../support/eventually.ts";

const TOPIC_ID = topicIdOf(TOPIC);
const DAY_MS = 86_400_000;

/** Appends messages, every third of them with a key that comes again 1,500 messages later. */
async function append(rig: CoreRig, from: number, to: number): Promise<void> {
  for (let n = from; n < to; n += 500) {
    await Promise.all(Array.from({ length: Math.min(500, to - n) }, (_, i) => {
      const keyed = (n + i) % 3 === 0;
      const headers = {
        [MESSAGE_HEADERS.id]: keyed ? keyedMessageIdOf("", TOPIC_ID, String((n + i) % 1_500)) : `msg_${n + i}`,
        ...(keyed ? { [MESSAGE_HEADERS.sha256]: topicIdOf(String((n + i) % 1_500)) } : {}),
      };
      return rig.log.append("messages", { key: TOPIC_ID, value: Buffer.from("x"), headers });
    }));
  }
}

async function check(rig: CoreRig, to: number): Promise<void> {
  const { blocks, delivery: { tail } } = rig.engine;
  assert.ok(await tail.passed(0, to, 10_000));
  assert.equal(blocks.reach(0), to);
  const expected = Array.from({ length: to }, (_, n) => n).filter((n) => n % 3 === 0 && n >= 1_500);
  assert.deepEqual([...await blocks.repeats(0, 0, to)].toSorted((a, b) => a - b), expected);
  assert.equal(await blocks.countRepeats(0, TOPIC_ID, 0), expected.length);
  for (const n of [1_500, 1_998, 2_001, to - 1 - (to - 1) % 3].filter((n) => n >= 1_500 && n < to)) {
    const first = await blocks.firstOf(0, keyedMessageIdOf("", TOPIC_ID, String(n % 1_500)), n);
    assert.equal(first?.offset, n % 1_500, `the first of ${n}`);
  }
}

const written = async (rig: CoreRig) => {
  const { records } = await rig.log.read("blocks", 0, 0, { maxBytes: 64 * 1024 * 1024 });
  return records.map(({ value }) => decodeBlock(value!).number);
};

describe("the block index over a real log", { timeout: 120_000 }, () => {
  it("A4.2 A4.4 knows every repeat after crashes at any point, and with a replica that is gone", async () => {
    await withDirectory(async (directory) => {
      let to = 0;
      {
        await using rig = await openCoreRig({ directory });
        await append(rig, to, to = 1_700);
        await check(rig, to);
        await eventually("the first block is written", async () => (await written(rig)).length === 1);
      }
      {
        // From here on nothing is written: finished blocks are lost with the process.
        await using rig = await openCoreRig({ directory });
        await check(rig, to);
        const killed = Promise.withResolvers<void>();
        rig.beforeCommit = () => killed.promise;
        await append(rig, to, to = 4_300);
        await check(rig, to);
        assert.deepEqual(await written(rig), [0]);
        killed.reject(new Error("the process was killed"));
      }
      {
        await using rig = await openCoreRig({ directory });
        await check(rig, to);
        await eventually("what was lost is written", async () => (await written(rig)).length === 4);
        assert.deepEqual(await written(rig), [0, 1, 2, 3]);
        await append(rig, to, to = 5_200);
        await eventually("all is followed", async () => await rig.replica.blocks.newestBlock(0) === 4);
        await check(rig, to);
      }
      for (const suffix of ["", "-wal", "-shm"]) await rm(join(directory, `replica.db${suffix}`), { force: true });
      {
        await using rig = await openCoreRig({ directory });
        assert.equal(await rig.replica.blocks.newestBlock(0), 4, "it is rebuilt from the stream");
        await check(rig, to);
        assert.equal(to % BLOCK_OFFSETS, 200);
      }
    });
  });

  it("A4.2 blocks are kept for the retention and a day, in the log and in the replica, and then removed", async () => {
    await withDirectory(async (directory) => {
      const clock = createClock();
      const retentionMs = 8_000;
      {
        await using rig = await openCoreRig({ directory, clock, retentionMs });
        await append(rig, 0, 2_100);
        await eventually("two blocks are followed", async () => await rig.replica.blocks.newestBlock(0) === 1);
        clock.advance(DAY_MS / 2);
        await eventually("the messages are removed", async () => await rig.log.start("messages", 0) > 2_000);
        assert.equal((await written(rig)).length, 2);
        assert.equal((await rig.replica.blocks.keyed(0, [keyedMessageIdOf("", TOPIC_ID, "3")])).length, 2);
        clock.advance(DAY_MS / 2 + retentionMs);
        await eventually("the blocks are removed", async () => (await written(rig)).length === 0);
        await eventually(
          "the replica's copy is removed",
          async () => await rig.replica.blocks.newestBlock(0) === undefined,
          { deadlineMs: 15_000 },
        );
        assert.deepEqual(await rig.replica.blocks.keyed(0, [keyedMessageIdOf("", TOPIC_ID, "3")]), []);
      }
    });
  });
});
