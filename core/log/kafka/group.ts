// This process as a member of the group that shares the shards out (A3.3, A3.4). It is not kafkajs's consumer: here the time is
// known when the request was *sent* that confirmed the session, lanes run on during a rebalance, and nothing is fetched.
//
//    join ──► (all have joined) ──► sync ──► stable: a heartbeat a second ──► "rebalance in progress", rejoin() ──► join …
//      any of them: "unknown member", "illegal generation" ──► removed: it has no shard, and joins as a new member
//
// A join waits as long as the slowest member, and a broker answers the requests of a connection in order. So heartbeats have a
// connection of their own and go on with the old generation: until the join is answered, the shards stay the same.
import { getLogger } from "@logtape/logtape";
import { aborted, pause, waitAtMost } from "../../../shared/pause.ts";
import { LogError, type Member, type Membership } from "../log.ts";
import { assignShards } from "./assign.ts";
import type { Cluster } from "./cluster/cluster.ts";
import {
  heartbeat,
  heldIn,
  joinGroup,
  leaveGroup,
  REBALANCE_MS,
  shardsIn,
  syncGroup,
} from "./protocol/group-requests.ts";
import { CODE, failOn, isForbidden, isPassing, KafkaError, nameOf, NoAnswer } from "./protocol/kafka-error.ts";
import { GroupSession } from "./session.ts";

export interface GroupOptions {
  readonly groupId: string;
  /** The Kafka topic of `events`: its partitions are the shards. */
  readonly kafkaTopic: string;
  readonly shards: number;
  readonly member: Member;
  readonly newCluster: () => Cluster;
  /** Monotonic, ms. */
  readonly now: () => number;
}

const BEAT_MS = 1_000;
const BEAT_WITHIN_MS = 3_000;
/** The pause after a failed heartbeat is shorter, because the session runs out. */
const FAILED_BEAT_MS = 250;
const JOIN_WITHIN_MS = REBALANCE_MS + 5_000;
const LEAVE_WITHIN_MS = 2_000;
const PAUSE_MS = 100;
const LONG_PAUSE_MS = 1_000;

const logger = getLogger(["tidings", "core", "group"]);

/** Joins, and stays joined until `leave`. */
export class GroupMembership implements Membership {
  readonly #options: GroupOptions;
  readonly #session = new GroupSession();
  readonly #leaving = new AbortController();
  readonly #beating: Cluster;
  #joining: Cluster;
  #isJoining = false;
  /** The node that heartbeats go to. */
  #coordinator: number | undefined;
  /** Ends the wait between two joins, or a join that can no longer succeed. */
  #wake = Promise.withResolvers<void>();
  readonly #running: Promise<unknown>;
  #left: Promise<void> | undefined;

  constructor(options: GroupOptions) {
    this.#options = options;
    this.#beating = options.newCluster();
    this.#joining = options.newCluster();
    this.#running = Promise.all([this.#run(), this.#beat()]);
  }

  confirmedAt(): number {
    return this.#session.confirmedAt;
  }

  rejoin(): void {
    if (!this.#isJoining) this.#wake.resolve();
  }

  leave(): Promise<void> {
    return this.#left ??= this.#leave();
  }

  // ── joining ────────────────────────────────────────────────────────────────────────────────────────────────────────

  async #run(): Promise<void> {
    const { signal } = this.#leaving;
    await this.#forgetPredecessor();
    while (!signal.aborted) {
      try {
        this.#isJoining = true;
        this.#wake = Promise.withResolvers();
        await this.#join();
        this.#isJoining = false;
        await Promise.race([this.#wake.promise, aborted(signal)]);
      } catch (error) {
        if (signal.aborted) return;
        await this.#recover(error);
      }
    }
  }

  async #recover(error: unknown): Promise<void> {
    const { groupId, member, newCluster } = this.#options;
    const passing = isPassing(error);
    const reason = (error as Error).message;
    if (passing) logger.debug("joining the group is tried again after: {reason}", { reason });
    else logger.error("Cannot join the group {groupId}: {reason}", { groupId, reason });
    if (isForbidden(error)) member.forbidden?.(new LogError("misconfigured", reason, { cause: error }));
    // The old connection may wait for ever for an answer to a join that the broker has forgotten.
    this.#joining.close();
    this.#joining = newCluster();
    await pause(passing ? PAUSE_MS : LONG_PAUSE_MS, this.#leaving.signal);
  }

  /** A member that was killed would hold up the others until its session is over. */
  async #forgetPredecessor(): Promise<void> {
    const { groupId, member: { predecessor } } = this.#options;
    if (predecessor === undefined) return;
    try {
      const node = await this.#joining.coordinatorOf("group", groupId);
      await this.#joining.send(node, leaveGroup(groupId, predecessor), LEAVE_WITHIN_MS);
    } catch (error) {
      logger.debug("the predecessor stays a member until its session is over: {reason}", {
        reason: (error as Error).message,
      });
    }
  }

  /** Joins until this member has its shards. @throws {KafkaError} {NoAnswer} */
  async #join(): Promise<void> {
    while (!await this.#joinOnce());
  }

  /** Returns whether this member has its shards; otherwise it joins again at once. @throws {KafkaError} {NoAnswer} */
  async #joinOnce(): Promise<boolean> {
    const { groupId, kafkaTopic, member, shards, now } = this.#options;
    const session = this.#session;
    const node = await this.#joining.coordinatorOf("group", groupId);
    const request = joinGroup({ groupId, memberId: session.memberId, kafkaTopic, held: member.held() });
    const joined = await this.#unlessRemoved(this.#joining.send(node, request, JOIN_WITHIN_MS));
    if (joined.errorCode === CODE.MEMBER_ID_REQUIRED) {
      session.memberId = joined.memberId;
      return false;
    }
    if (joined.errorCode === CODE.UNKNOWN_MEMBER_ID) return this.#noteRemoval();
    failOn(joined.errorCode, `Cannot join ${groupId}`);
    if (!session.isMember) member.joinedAs?.(joined.memberId);
    session.memberId = joined.memberId;
    const { generation, leaderId, memberId, members } = joined;
    const assignment = leaderId === memberId
      ? assignShards(members.map((one) => ({ id: one.memberId, held: heldIn(one.subscription) })), shards)
      : new Map<string, number[]>();
    const sentAt = now();
    const syncing = syncGroup({ groupId, generation, memberId }, kafkaTopic, assignment);
    const synced = await this.#unlessRemoved(this.#joining.send(node, syncing, JOIN_WITHIN_MS));
    if (synced.errorCode === CODE.REBALANCE_IN_PROGRESS) return false;
    if (synced.errorCode === CODE.UNKNOWN_MEMBER_ID || synced.errorCode === CODE.ILLEGAL_GENERATION) {
      return this.#noteRemoval();
    }
    failOn(synced.errorCode, `Cannot join ${groupId}`);
    if (this.#leaving.signal.aborted) return true;
    session.generation = generation;
    session.confirm(sentAt);
    const assigned = shardsIn(synced.assignment, kafkaTopic);
    logger.debug("generation {generation} of the group: this process has {shards}", { generation, shards: assigned });
    member.assigned(assigned);
    return true;
  }

  /** The answer, unless a heartbeat learns meanwhile that the group no longer knows this member. */
  async #unlessRemoved<T>(answer: Promise<T>): Promise<T> {
    const interrupted = this.#wake.promise.then(() => {
      throw new NoAnswer("the group has removed this member");
    });
    interrupted.catch(() => {});
    return await Promise.race([answer, interrupted]);
  }

  /** Notes that others have this member's shards, or may have them at any time. Returns false: the member has no shards. */
  #noteRemoval(): false {
    const wasMember = this.#session.isMember;
    this.#session.lose();
    if (wasMember && !this.#leaving.signal.aborted) {
      logger.warn("The group has removed this process, which joins as a new member");
      this.#options.member.assigned([]);
    }
    return false;
  }

  // ── heartbeats ─────────────────────────────────────────────────────────────────────────────────────────────────────

  async #beat(): Promise<void> {
    const { signal } = this.#leaving;
    while (!signal.aborted) {
      const fine = !this.#session.isMember || await this.#beatOnce();
      await pause(fine ? BEAT_MS : FAILED_BEAT_MS, signal);
    }
  }

  /** Returns whether the group answered. */
  async #beatOnce(): Promise<boolean> {
    const { groupId, now } = this.#options;
    const { generation, memberId } = this.#session;
    try {
      const node = this.#coordinator ??= await this.#beating.coordinatorOf("group", groupId);
      const sentAt = now();
      const request = heartbeat({ groupId, generation, memberId });
      const { errorCode } = await this.#beating.send(node, request, BEAT_WITHIN_MS);
      if (generation === this.#session.generation) this.#heard(errorCode, sentAt);
      return true;
    } catch (error) {
      this.#coordinator = undefined;
      if (!this.#leaving.signal.aborted) {
        logger.debug("a heartbeat failed: {reason}", { reason: (error as Error).message });
      }
      return false;
    }
  }

  /** @throws {KafkaError} if the answer says nothing about the session */
  #heard(errorCode: number, sentAt: number): void {
    switch (errorCode) {
      case CODE.NONE:
        // The assignment of this generation is known, so it says whose the shards were at the time of the answer.
        return this.#session.confirm(sentAt);
      case CODE.REBALANCE_IN_PROGRESS:
        this.#session.confirmInRebalance(sentAt);
        return this.rejoin();
      case CODE.UNKNOWN_MEMBER_ID:
      case CODE.ILLEGAL_GENERATION:
        // While it joins, the group's generation may advance before the join is answered.
        if (this.#isJoining && errorCode === CODE.ILLEGAL_GENERATION) return;
        this.#noteRemoval();
        return this.#wake.resolve();
      default:
        throw new KafkaError(errorCode, `Cannot send a heartbeat to group ${this.#options.groupId}`);
    }
  }

  // ── leaving ────────────────────────────────────────────────────────────────────────────────────────────────────────

  async #leave(): Promise<void> {
    this.#leaving.abort();
    this.#session.end();
    this.#joining.close();
    // If the goodbye does not arrive in time, the group notices when the session is over.
    if (this.#session.memberId !== "") await waitAtMost(LEAVE_WITHIN_MS, this.#sayGoodbye());
    this.#beating.close();
    await this.#running;
  }

  async #sayGoodbye(): Promise<void> {
    const { groupId } = this.#options;
    try {
      const node = await this.#beating.coordinatorOf("group", groupId);
      const { errorCode } = await this.#beating.send(node, leaveGroup(groupId, this.#session.memberId));
      if (errorCode !== CODE.NONE) logger.debug("leaving the group: {error}", { error: nameOf(errorCode) });
    } catch (error) {
      logger.debug("leaving the group: {reason}", { reason: (error as Error).message });
    }
  }
}
