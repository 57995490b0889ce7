// The requests of a consumer group's member (A3.3, A3.4). Its subscription to the Kafka topic of `events`, and its assignment of
// partitions, have the form that Kafka's own tools read.
import { type KafkaRequest, readErrorCode, throttledRequest } from "./request.ts";
import { Reader, Writer } from "./wire.ts";

/** The group removes a member that it has not heard from for this long. */
export const SESSION_MS = 10_000;
/**
 * A rebalance waits this long for a member that beats and does not join again. It is far longer than a session, so that a member
 * whose heartbeat is answered "rebalance in progress" still has a whole session ahead of it.
 */
export const REBALANCE_MS = 30_000;
const PROTOCOL = "tidings-sticky";
/** The version of subscriptions and assignments. */
const FORMAT = 0;

export interface JoiningMember {
  readonly memberId: string;
  /** The member's subscription, in the form that `heldIn` reads. */
  readonly subscription: Buffer;
}

export interface Joined {
  readonly errorCode: number;
  readonly generation: number;
  readonly leaderId: string;
  readonly memberId: string;
  /** All members, for the leader; none for the others. */
  readonly members: readonly JoiningMember[];
}

/** The answer comes when all members have joined. It waits for a member until its session, or REBALANCE_MS, is over. */
export const joinGroup = (
  { groupId, memberId, kafkaTopic, held }: {
    readonly groupId: string;
    /** Empty for a new member. */
    readonly memberId: string;
    readonly kafkaTopic: string;
    readonly held: readonly number[];
  },
): KafkaRequest<Joined> =>
  throttledRequest(
    { name: "JoinGroup", apiKey: 11, apiVersion: 5 },
    (writer) => {
      writer.string(groupId).int32(SESSION_MS).int32(REBALANCE_MS).string(memberId).string(null).string("consumer");
      const subscription = encodeSubscription(kafkaTopic, held);
      writer.array([PROTOCOL], (name) => writer.string(name).bytes(subscription));
    },
    (reader) => {
      const errorCode = reader.int16();
      const generation = reader.int32();
      reader.string(); // the protocol: there is only one
      return {
        errorCode,
        generation,
        leaderId: reader.string(),
        memberId: reader.string(),
        members: reader.array(() => {
          const memberId = reader.string();
          reader.string(); // instance
          return { memberId, subscription: reader.bytes() };
        }),
      };
    },
  );

function encodeSubscription(kafkaTopic: string, held: readonly number[]): Uint8Array {
  const writer = new Writer(128).int16(FORMAT);
  writer.array([kafkaTopic], (name) => writer.string(name));
  return writer.bytes(Buffer.from(JSON.stringify(held))).take();
}

/** The shards that a member says it holds; none if its subscription is not in our form. */
export function heldIn(subscription: Buffer): readonly number[] {
  try {
    const reader = new Reader(subscription);
    reader.int16();
    reader.array(() => reader.string());
    const held: unknown = JSON.parse(reader.bytes().toString());
    return Array.isArray(held) ? held.filter((shard) => Number.isSafeInteger(shard)) : [];
  } catch {
    return [];
  }
}

export interface GenerationMember {
  readonly groupId: string;
  readonly generation: number;
  readonly memberId: string;
}

/** The leader sends it with the shards of every member, the others with none. The answer comes after the leader's request. */
export const syncGroup = (
  { groupId, generation, memberId }: GenerationMember,
  kafkaTopic: string,
  assignment: ReadonlyMap<string, readonly number[]>,
): KafkaRequest<{
  readonly errorCode: number;
  /** This member's assignment, in the form that `shardsIn` reads. */
  readonly assignment: Buffer;
}> =>
  throttledRequest(
    { name: "SyncGroup", apiKey: 14, apiVersion: 3 },
    (writer) => {
      writer.string(groupId).int32(generation).string(memberId).string(null);
      writer.array([...assignment], ([assignee, shards]) => {
        writer.string(assignee).bytes(encodeAssignment(kafkaTopic, shards));
      });
    },
    (reader) => ({ errorCode: reader.int16(), assignment: reader.bytes() }),
  );

function encodeAssignment(kafkaTopic: string, shards: readonly number[]): Uint8Array {
  const writer = new Writer(128).int16(FORMAT);
  writer.array([kafkaTopic], (name) => writer.string(name).array(shards, (shard) => writer.int32(shard)));
  return writer.bytes(new Uint8Array(0)).take();
}

/** The shards that an assignment gives; none if it is empty, as in answers that refuse. */
export function shardsIn(assignment: Buffer, kafkaTopic: string): readonly number[] {
  if (assignment.length === 0) return [];
  const reader = new Reader(assignment);
  reader.int16();
  const partitions = new Map(reader.array(() => [reader.string(), reader.array(() => reader.int32())] as const));
  return partitions.get(kafkaTopic) ?? [];
}

export const heartbeat = (
  { groupId, generation, memberId }: GenerationMember,
): KafkaRequest<{ readonly errorCode: number }> =>
  throttledRequest(
    { name: "Heartbeat", apiKey: 12, apiVersion: 3 },
    (writer) => writer.string(groupId).int32(generation).string(memberId).string(null),
    readErrorCode,
  );

export const leaveGroup = (groupId: string, memberId: string): KafkaRequest<{ readonly errorCode: number }> =>
  throttledRequest(
    { name: "LeaveGroup", apiKey: 13, apiVersion: 3 },
    (writer) => writer.string(groupId).array([memberId], (leaver) => writer.string(leaver).string(null)),
    readErrorCode,
  );
