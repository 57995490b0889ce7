// This process as a member of the group that shares the shards out (A3.3, A3.4). Not kafkajs's consumer: here it is known when the
// request was *sent* that confirmed the session, lanes run on during a rebalance, and nothing is fetched.
//
//    join ──► (all have joined) ──► sync ──► stable: a heartbeat a second ──► "rebalance in progress", rejoin() ──► join …
//      any of them: "unknown member", "illegal generation" ──► put out: it has no shard, joins as somebody new
//
// A join waits as long as the slowest member, and a broker answers the requests of a connection in turn, so heartbeats have one of
// their own and go on with the generation before: until the join is answered, the shards are those that were.
import { getLogger } from "@logtape/logtape";
import { aborted, pause } from "../../../shared/pause.ts";
import { LogError, type Member, type Membership } from "../log.ts";
import { assignShards } from "./assign.ts";
import type { Cluster } from "./cluster/cluster.ts";
import {
  heartbeat,
  heldIn,
  joinGroup,
  leaveGroup,
  REBALANCE_MS,
  SESSION_MS,
  shardsIn,
  syncGroup,
} from "./protocol/group-requests.ts";
import { CODE, isForbidden, isPassing, KafkaError, nameOf } from "./protocol/kafka-error.ts";

export interface GroupOptions {
  readonly groupId: string;
  /** That of `events`: its partitions are the shards. */
  readonly kafkaTopic: string;
  readonly shards: number;
  readonly member: Member;
  readonly newCluster: () => Cluster;
  /** Monotonic now, ms. */
  readonly now: () => number;
}

const BEAT_MS = 1_000;
const BEAT_WITHIN_MS = 3_000;
/** While beats fail: sooner, as the session runs out. */
const FAILED_BEAT_MS = 250;
const JOIN_WITHIN_MS = REBALANCE_MS + 5_000;
const LEAVE_WITHIN_MS = 2_000;
const PAUSE_MS = 100;
const LONG_PAUSE_MS = 1_000;

const logger = getLogger(["tidings", "core", "group"]);

/** Joins, and stays joined until `leave`. */
export function createMembership(options: GroupOptions): Membership {
  const { groupId, kafkaTopic, member, newCluster, now } = options;
  const leaving = new AbortController();
  const { signal } = leaving;
  const beating = newCluster();
  let joining = newCluster();
  let memberId = "";
  /** The generation whose assignment is known; -1: none. */
  let generation = -1;
  let confirmed = -Infinity;
  /** When the last heartbeat was sent that found the group at rest. */
  let atRest = -Infinity;
  let isJoining = false;
  /** As heartbeats have found it. */
  let coordinator: number | undefined;
  /** Ends the waiting in `stay`, or a join that cannot come to anything any more. */
  let wake = Promise.withResolvers<void>();

  const running = Promise.all([run(), beat()]);

  async function run(): Promise<void> {
    await forgetPredecessor();
    while (!signal.aborted) {
      try {
        isJoining = true;
        wake = Promise.withResolvers();
        await join();
        isJoining = false;
        await Promise.race([wake.promise, aborted(signal)]);
      } catch (error) {
        if (signal.aborted) return;
        const passing = isPassing(error);
        const reason = (error as Error).message;
        if (passing) logger.debug("joining the group is tried again after: {reason}", { reason });
        else logger.error("Cannot join the group {groupId}: {reason}", { groupId, reason });
        if (isForbidden(error)) member.forbidden?.(new LogError("misconfigured", reason, { cause: error }));
        // Its connection may wait for ever for what the broker has forgotten.
        joining.close();
        joining = newCluster();
        await pause(passing ? PAUSE_MS : LONG_PAUSE_MS, signal);
      }
    }
  }

  /** A process that was killed would hold up the others for its session's rest. */
  async function forgetPredecessor(): Promise<void> {
    const { predecessor } = member;
    if (predecessor === undefined) return;
    try {
      const node = await joining.coordinatorOf("group", groupId);
      await joining.send(node, leaveGroup(groupId, predecessor), LEAVE_WITHIN_MS);
    } catch (error) {
      logger.debug("the member before stays until its session is over: {reason}", { reason: (error as Error).message });
    }
  }

  /** @throws {KafkaError} {NoAnswer} */
  async function join(): Promise<void> {
    for (;;) {
      const node = await joining.coordinatorOf("group", groupId);
      const request = joinGroup({ groupId, memberId, kafkaTopic, held: member.held() });
      const joined = await orPutOut(joining.send(node, request, JOIN_WITHIN_MS));
      if (joined.errorCode === CODE.MEMBER_ID_REQUIRED) {
        memberId = joined.memberId;
        continue;
      }
      if (joined.errorCode === CODE.UNKNOWN_MEMBER_ID) {
        putOut();
        continue;
      }
      fail(joined.errorCode);
      if (generation < 0) member.joinedAs?.(joined.memberId);
      memberId = joined.memberId;
      const { leaderId, members } = joined;
      const assignment = leaderId === memberId
        ? assignShards(members.map((one) => ({ id: one.memberId, held: heldIn(one.subscription) })), options.shards)
        : new Map<string, number[]>();
      const sentAt = now();
      const synced = await orPutOut(
        joining.send(
          node,
          syncGroup({ groupId, generation: joined.generation, memberId }, kafkaTopic, assignment),
          JOIN_WITHIN_MS,
        ),
      );
      if (synced.errorCode === CODE.REBALANCE_IN_PROGRESS) continue;
      if (synced.errorCode === CODE.UNKNOWN_MEMBER_ID || synced.errorCode === CODE.ILLEGAL_GENERATION) {
        putOut();
        continue;
      }
      fail(synced.errorCode);
      if (signal.aborted) return;
      generation = joined.generation;
      confirmed = atRest = Math.max(confirmed, sentAt);
      const shards = shardsIn(synced.assignment, kafkaTopic);
      logger.debug("generation {generation} of the group: this process has {shards}", { generation, shards });
      member.assigned(shards);
      return;
    }
  }

  /** What a join waits for, unless a heartbeat hears meanwhile that the group does not know this member any more. */
  async function orPutOut<T>(answer: Promise<T>): Promise<T> {
    const interrupted = wake.promise.then(() => {
      throw new KafkaError(CODE.REQUEST_TIMED_OUT, "The group has put this member out");
    });
    interrupted.catch(() => {});
    return await Promise.race([answer, interrupted]);
  }

  function fail(code: number): void {
    if (code !== CODE.NONE) throw new KafkaError(code, `Cannot join ${groupId}`);
  }

  /** Others have its shards, or may have them at any time. */
  function putOut(): void {
    const had = generation >= 0;
    memberId = "";
    generation = -1;
    confirmed = atRest = -Infinity;
    if (!had || signal.aborted) return;
    logger.warn("The group has put this process out; it joins anew");
    member.assigned([]);
  }

  async function beat(): Promise<void> {
    while (!signal.aborted) {
      const fine = generation < 0 || await beatOnce();
      await pause(fine ? BEAT_MS : FAILED_BEAT_MS, signal);
    }
  }

  async function beatOnce(): Promise<boolean> {
    const of = generation;
    try {
      const node = coordinator ??= await beating.coordinatorOf("group", groupId);
      const sentAt = now();
      const { errorCode } = await beating.send(
        node,
        heartbeat({ groupId, generation: of, memberId }),
        BEAT_WITHIN_MS,
      );
      if (of !== generation) return true;
      switch (errorCode) {
        case CODE.NONE:
          // The assignment of this generation is known, so it says whose the shards were when it was answered.
          confirmed = atRest = Math.max(confirmed, sentAt);
          return true;
        case CODE.REBALANCE_IN_PROGRESS:
          // Nothing is assigned anew before this member has joined, or the rebalance has waited REBALANCE_MS for it.
          if (sentAt + SESSION_MS < atRest + REBALANCE_MS) confirmed = Math.max(confirmed, sentAt);
          if (!isJoining) wake.resolve();
          return true;
        case CODE.UNKNOWN_MEMBER_ID:
        case CODE.ILLEGAL_GENERATION:
          // While it joins, the generation goes on before the join is answered.
          if (isJoining && errorCode === CODE.ILLEGAL_GENERATION) return true;
          putOut();
          wake.resolve();
          return true;
        default:
          throw new KafkaError(errorCode, `Cannot beat in ${groupId}`);
      }
    } catch (error) {
      coordinator = undefined;
      if (!signal.aborted) logger.debug("a heartbeat failed: {reason}", { reason: (error as Error).message });
      return false;
    }
  }

  let left: Promise<void> | undefined;
  async function leave(): Promise<void> {
    leaving.abort();
    generation = -1;
    confirmed = -Infinity;
    joining.close();
    // Who cannot say good-bye in time is missed when the session is over.
    if (memberId !== "") await Promise.race([sayGoodBye(), pause(LEAVE_WITHIN_MS)]);
    beating.close();
    await running;
  }

  async function sayGoodBye(): Promise<void> {
    try {
      const node = await beating.coordinatorOf("group", groupId);
      const { errorCode } = await beating.send(node, leaveGroup(groupId, memberId));
      if (errorCode !== CODE.NONE) logger.debug("leaving the group: {error}", { error: nameOf(errorCode) });
    } catch (error) {
      logger.debug("leaving the group: {reason}", { reason: (error as Error).message });
    }
  }

  return {
    confirmedAt: () => confirmed,
    rejoin: () => {
      if (!isJoining) wake.resolve();
    },
    leave: () => left ??= leave(),
  };
}
