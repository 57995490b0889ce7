// Who gets which shard (A3.3), as a table and as properties.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { subscriptionIdOf } from "../../../../core/state/ids.ts";
import { assignShards, type Candidate } from "../../../../core/log/kafka/assign.ts";
import { partitionOfKey } from "../../../../core/log/kafka/protocol/key-hash.ts";

const member = (id: string, ...held: number[]): Candidate => ({ id, held });
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);

describe("A3.3 the assigner", () => {
  const table: readonly (readonly [string, readonly Candidate[], Record<string, readonly number[]>])[] = [
    ["the first takes all", [member("a")], { a: range(0, 6) }],
    ["a new member gets the others' surplus", [member("a", ...range(0, 6)), member("b")], {
      a: [0, 1, 2],
      b: [3, 4, 5],
    }],
    ["the shards of one that left go to the members that have least", [member("a", 0, 1), member("b", 2, 3)], {
      a: [0, 1, 4],
      b: [2, 3, 5],
    }],
    ["nothing moves without need", [member("b", 0, 1, 2), member("a", 3, 4, 5)], { a: [3, 4, 5], b: [0, 1, 2] }],
    [
      "a member that has one more keeps it",
      [member("a", 0), member("b", 1), member("c", 2, 3), member("d", 4, 5)],
      { a: [0], b: [1], c: [2, 3], d: [4, 5] },
    ],
    ["if two claim a shard, one of them gets it", [member("a", 0, 1, 2), member("b", 2, 3)], {
      a: [0, 1, 2],
      b: [3, 4, 5],
    }],
    ["a claim of a shard that does not exist is ignored", [member("a", 7, -1), member("b", 0)], {
      a: [3, 4, 5],
      b: [0, 1, 2],
    }],
  ];
  for (const [claim, members, expected] of table) {
    it(`A3.3 ${claim}`, () => assert.deepEqual(Object.fromEntries(assignShards(members, 6)), expected));
  }

  const group = fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 24 }).chain((ids) =>
    fc.tuple(
      fc.constant(ids),
      fc.integer({ min: 1, max: 64 }).chain((shards) =>
        fc.tuple(
          fc.constant(shards),
          fc.array(fc.integer({ min: -1, max: ids.length - 1 }), { minLength: shards, maxLength: shards }),
        )
      ),
    )
  );

  it("A3.3 every shard has one owner, balance is within one, and as many stay as can", () => {
    fc.assert(fc.property(group, ([ids, [shards, owners]]) => {
      const members = ids.map((id, index) => ({
        id,
        held: range(0, shards).filter((shard) => owners[shard] === index),
      }));
      const assigned = assignShards(members, shards);
      assert.deepEqual([...assigned.values()].flat().toSorted((a, b) => a - b), range(0, shards));
      const counts = [...assigned.values()].map(({ length }) => length);
      assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, `counts ${counts.join()}`);
      const stayed = members.reduce(
        (sum, { id, held }) => sum + held.filter((shard) => assigned.get(id)!.includes(shard)).length,
        0,
      );
      // The most that any balanced assignment can keep: the members that have most keep one more.
      const share = Math.floor(shards / ids.length);
      const most = members.map(({ held }) => held.length).toSorted((a, b) => b - a)
        .reduce((sum, held, rank) => sum + Math.min(held, share + (rank < shards % ids.length ? 1 : 0)), 0);
      assert.equal(stayed, most);
    }));
  });

  it("A3.3 every member would compute the same, in whatever order the members come", () => {
    fc.assert(fc.property(group, ([ids, [shards, owners]]) => {
      const members = ids.map((id, index) => ({
        id,
        held: range(0, shards).filter((shard) => owners[shard] === index),
      }));
      assert.deepEqual(
        Object.fromEntries(assignShards(members.toReversed(), shards)),
        Object.fromEntries(assignShards(members, shards)),
      );
    }));
  });

  it("A3.3 of 1,000 subscriptions no core of three has more than 1.3 × the mean", () => {
    const shardOf = (id: string) => partitionOfKey(id, 16);
    const held = [...assignShards([member("a"), member("b"), member("c")], 16).values()];
    for (let topic = 0; topic < 20; topic++) {
      const ids = range(0, 1_000).map((n) =>
        subscriptionIdOf(`topic ${topic}`, `https://partner-${n}.example/callback`)
      );
      const counts = held.map((shards) => ids.filter((id) => shards.includes(shardOf(id))).length);
      assert.ok(Math.max(...counts) <= 1.3 * 1_000 / 3, counts.join());
    }
  });
});
