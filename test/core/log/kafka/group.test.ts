// Members of the group that shares the shards out (A3.3, A3.4), on a real broker.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import kafkajs from "kafkajs";
import { openKafkaLog } from "../../../../core/log/kafka/kafka-log.ts";
import type { Log, Membership } from "../../../../core/log/log.ts";
import { eventually } from "../../../support/eventually.ts";
import { kafkaForTests } from "../../../support/kafka/kafka.ts";
import { withAdmin } from "../../../support/kafka/topics.ts";
import { openStallingProxy } from "../../../support/kafka/stalling-proxy.ts";

const kafka = await kafkaForTests();
after(() => kafka.close());

const PARTITIONS = 8;
const SESSION_MS = 10_000;

interface TestMember {
  readonly membership: Membership;
  /** What it was assigned, one after the other. */
  readonly heard: (readonly number[])[];
  readonly shards: () => readonly number[];
  readonly ids: string[];
}

describe("a member of the group on Kafka", { skip: kafka.skip, timeout: 120_000 }, () => {
  let prefix = "";
  let log: Log;
  const open = (brokers = kafka.brokers) =>
    openKafkaLog({
      brokers,
      prefix,
      retentionMs: 7 * 86_400_000,
      maxMessageBytes: 1_000_000,
      clientId: "tidings-test",
      replication: 1,
      partitions: PARTITIONS,
    });
  before(async () => {
    prefix = kafka.newPrefix();
    log = await open();
  });
  after(() => log?.close());

  function join(of: Log = log, predecessor?: string): TestMember {
    const heard: (readonly number[])[] = [];
    const ids: string[] = [];
    const membership = of.join!({
      predecessor,
      held: () => heard.at(-1) ?? [],
      assigned: (shards) => void heard.push(shards),
      joinedAs: (id) => void ids.push(id),
    });
    return { membership, heard, ids, shards: () => heard.at(-1) ?? [] };
  }
  const all = Array.from({ length: PARTITIONS }, (_, shard) => shard);
  const have = (member: TestMember, count: number) =>
    eventually(`${count} shards`, () => member.shards().length === count, {
      deadlineMs: 30_000,
      seen: () => JSON.stringify(member.heard),
    });

  it("A3.3 a new member gets a share of the others' shards, and only that moves; when it leaves, its shards come back", async () => {
    const first = join();
    await have(first, 8);
    const second = join();
    await have(second, 4);
    await have(first, 4);
    assert.deepEqual([...first.shards(), ...second.shards()].toSorted((a, b) => a - b), all);
    const kept = second.shards();
    const third = join();
    await have(third, 2);
    await have(second, 3);
    await have(first, 3);
    assert.deepEqual([...first.shards(), ...second.shards(), ...third.shards()].toSorted((a, b) => a - b), all);
    assert.ok(second.shards().every((shard) => kept.includes(shard)));
    await third.membership.leave();
    await first.membership.leave();
    await have(second, 8);
    await second.membership.leave();
  });

  it("A3.4 every heartbeat confirms the session from the time of its sending, until the member leaves", async () => {
    const member = join();
    assert.equal(member.membership.confirmedAt(), -Infinity);
    await have(member, 8);
    const first = member.membership.confirmedAt();
    assert.ok(first > 0 && first <= performance.now());
    await eventually("a heartbeat", () => member.membership.confirmedAt() > first);
    const other = join();
    await have(other, 4);
    await other.membership.leave();
    assert.equal(other.membership.confirmedAt(), -Infinity);
    await have(member, 8);
    await member.membership.leave();
  });

  it("A3.3 Kafka's own tools see which member has which shard", async () => {
    const member = join();
    await have(member, 8);
    try {
      const { groups: [group] } = await withAdmin(
        kafka.brokers,
        (admin) => admin.describeGroups([`${prefix}.cores`]),
      );
      assert.equal(group?.state, "Stable");
      assert.equal(group?.protocolType, "consumer");
      const { memberAssignment } = group!.members[0]!;
      const assignment = kafkajs.AssignerProtocol.MemberAssignment.decode(memberAssignment);
      assert.deepEqual(assignment?.assignment, { [`${prefix}.events`]: all });
    } finally {
      await member.membership.leave();
    }
  });

  it("A3.4 rejoin() brings the assignment again", async () => {
    const member = join();
    await have(member, 8);
    const before = member.heard.length;
    member.membership.rejoin();
    await eventually("the assignment", () => member.heard.length > before);
    assert.deepEqual(member.shards(), all);
    await member.membership.leave();
  });

  it("A3.3 the successor of a dead member leaves the group for it, so that nobody waits for its session", async () => {
    const before = join();
    await have(before, 8);
    // The predecessor is in fact alive, so it can tell.
    const heir = join(log, before.ids.at(-1));
    await eventually("it hears that it was removed", () => before.heard.some(({ length }) => length === 0));
    await before.membership.leave();
    await have(heir, 8);
    await heir.membership.leave();
  });

  const door = kafka.door("group");
  describe("cut off", { skip: door === undefined && "the broker has no second door" }, () => {
    it("A3.4 its session is no longer confirmed, others get its shards, and it learns that when it is back", async () => {
      await using proxy = await openStallingProxy(door!);
      const far = await open([`127.0.0.1:${door!.listen}`]);
      const cut = join(far);
      await have(cut, 8);
      const near = join();
      await have(near, 4);
      await have(cut, 4);
      proxy.stall();
      const at = performance.now();
      await have(near, 8);
      // The broker has removed it, so by its own clock the session is over.
      assert.ok(cut.membership.confirmedAt() < performance.now() - 8_000, "it must not hold itself for a member");
      assert.ok(cut.membership.confirmedAt() <= at);
      assert.equal(cut.shards().length, 4);
      proxy.resume();
      await eventually("it hears that it was removed", () => cut.heard.some(({ length }) => length === 0), {
        deadlineMs: 30_000,
      });
      await have(cut, 4);
      await have(near, 4);
      await cut.membership.leave();
      await near.membership.leave();
      await far.close();
    });

    it("A3.4 while a rebalance waits for a member that is cut off, the sessions of the others stay confirmed", async () => {
      await using proxy = await openStallingProxy(door!);
      const far = await open([`127.0.0.1:${door!.listen}`]);
      const cut = join(far);
      const near = join();
      await have(near, 4);
      await have(cut, 4);
      proxy.stall();
      const third = join();
      let oldest = 0;
      const watch = setInterval(() => {
        oldest = Math.max(oldest, performance.now() - near.membership.confirmedAt());
      }, 20);
      await eventually("the rebalance", () => near.shards().length + third.shards().length === 8, {
        deadlineMs: 3 * SESSION_MS,
      });
      clearInterval(watch);
      assert.ok(oldest < 8_000, `the oldest confirmation was of ${oldest} ms ago`);
      proxy.resume();
      await Promise.all([cut, near, third].map(({ membership }) => membership.leave()));
      await far.close();
    });
  });
});
