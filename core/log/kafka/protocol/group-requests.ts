// The requests of a consumer group's member (A3.3, A3.4), in the form that Kafka's own tools read: a subscription to the Kafka
// topic of `events`, an assignment of its partitions.
import assignerProtocol from "kafkajs/src/consumer/assignerProtocol.js";
import { type Address, type KafkaRequest, request } from "./requests.ts";

/** Kafka lets go of a member that it has not heard of for so long. */
export const SESSION_MS = 10_000;
/**
 * How long a rebalance waits for a member that beats and does not join again. Far longer than a session, so that a member whose
 * heartbeat is answered "rebalance in progress" has its session ahead of it all the same.
 */
export const REBALANCE_MS = 30_000;
const PROTOCOL = "tidings-sticky";

export const findGroupCoordinator = (groupId: string): KafkaRequest<{
  readonly errorCode: number;
  readonly errorMessage: string | null;
  readonly coordinator: Address;
}> => request("GroupCoordinator", 2, { groupId, coordinatorType: 0 });

export interface GroupMember {
  readonly memberId: string;
  readonly memberMetadata: Buffer;
}
/** Answered when all members have joined, or the session of those that have not is over. */
export const joinGroup = (
  { groupId, memberId, kafkaTopic, held }: {
    readonly groupId: string;
    readonly memberId: string;
    readonly kafkaTopic: string;
    readonly held: readonly number[];
  },
): KafkaRequest<{
  readonly errorCode: number;
  readonly generationId: number;
  readonly leaderId: string;
  readonly memberId: string;
  /** Of all, to the leader only. */
  readonly members: readonly GroupMember[];
}> =>
  request("JoinGroup", 5, {
    groupId,
    memberId,
    sessionTimeout: SESSION_MS,
    rebalanceTimeout: REBALANCE_MS,
    protocolType: "consumer",
    groupProtocols: [{
      name: PROTOCOL,
      metadata: assignerProtocol.MemberMetadata.encode({
        version: 0,
        topics: [kafkaTopic],
        userData: Buffer.from(JSON.stringify(held)),
      }),
    }],
  });

/** What a member said that it holds; nothing if it is not of our making. */
export function heldOf({ memberMetadata }: GroupMember): readonly number[] {
  try {
    const { userData } = assignerProtocol.MemberMetadata.decode(memberMetadata);
    const held: unknown = JSON.parse(Buffer.from(userData ?? []).toString());
    return Array.isArray(held) ? held.filter((shard) => Number.isSafeInteger(shard)) : [];
  } catch {
    return [];
  }
}

/** Of the leader, with everybody's shards; of the others with none. Answered when the leader's is there. */
export const syncGroup = (
  { assignment, kafkaTopic, ...fields }: {
    readonly groupId: string;
    readonly generationId: number;
    readonly memberId: string;
    readonly kafkaTopic: string;
    readonly assignment: ReadonlyMap<string, readonly number[]>;
  },
): KafkaRequest<{ readonly errorCode: number; readonly memberAssignment: Buffer }> =>
  request("SyncGroup", 3, {
    ...fields,
    groupAssignment: [...assignment].map(([memberId, shards]) => ({
      memberId,
      memberAssignment: assignerProtocol.MemberAssignment.encode({ version: 0, assignment: { [kafkaTopic]: shards } }),
    })),
  });

export function shardsOf(memberAssignment: Buffer, kafkaTopic: string): readonly number[] {
  if (memberAssignment.length === 0) return [];
  return assignerProtocol.MemberAssignment.decode(memberAssignment)?.assignment[kafkaTopic] ?? [];
}

export const heartbeat = (
  { groupId, generationId, memberId }: {
    readonly groupId: string;
    readonly generationId: number;
    readonly memberId: string;
  },
): KafkaRequest<{ readonly errorCode: number }> =>
  request("Heartbeat", 3, { groupId, groupGenerationId: generationId, memberId, groupInstanceId: null });

export const leaveGroup = (
  fields: { readonly groupId: string; readonly memberId: string },
): KafkaRequest<{ readonly errorCode: number }> => request("LeaveGroup", 3, { ...fields, groupInstanceId: null });
