// What a core sends to a broker, read back from its bytes: the requests of core/log/kafka, at the versions it speaks.
import { Reader } from "../../../core/log/kafka/protocol/wire.ts";
import type { KafkaRequest } from "../../../core/log/kafka/protocol/request.ts";

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

export type Asked =
  | { readonly name: "ListOffsets"; readonly places: readonly (TopicPartition & { readonly timestamp: number })[] }
  | { readonly name: "InitProducerId"; readonly transactionalId: string | null; readonly timeoutMs: number }
  | ({ readonly name: "AddPartitionsToTxn"; readonly places: readonly TopicPartition[] } & InTransaction)
  | ({ readonly name: "EndTxn"; readonly commit: boolean } & InTransaction)
  | {
    readonly name: "Produce";
    readonly transactionalId: string | null;
    readonly parts: readonly (TopicPartition & { readonly batch: Buffer })[];
  }
  | {
    readonly name: "Fetch";
    readonly maxWaitMs: number;
    readonly maxBytes: number;
    readonly parts: readonly (TopicPartition & { readonly offset: number; readonly maxBytes: number })[];
  }
  | {
    readonly name: "CreateTopics";
    readonly topics: readonly {
      readonly topic: string;
      readonly partitions: number;
      readonly settings: readonly (readonly [name: string, value: string])[];
    }[];
  }
  | { readonly name: "DescribeConfigs"; readonly topics: readonly string[] }
  | {
    readonly name: "JoinGroup";
    readonly groupId: string;
    readonly memberId: string;
    readonly sessionMs: number;
    readonly rebalanceMs: number;
    readonly metadata: Buffer;
  }
  | {
    readonly name: "SyncGroup";
    readonly groupId: string;
    readonly generation: number;
    readonly memberId: string;
    readonly assignments: readonly { readonly memberId: string; readonly assignment: Buffer }[];
  }
  | { readonly name: "Heartbeat"; readonly groupId: string; readonly generation: number; readonly memberId: string }
  | { readonly name: "LeaveGroup"; readonly groupId: string; readonly memberIds: readonly string[] };

export interface InTransaction {
  readonly transactionalId: string;
  readonly producerId: number;
  readonly epoch: number;
}

/** @throws {Error} if the simulated broker does not know the request */
export function readRequest(request: KafkaRequest<unknown>): Asked {
  const reader = new Reader(Buffer.concat(request.encode()));
  const nullable = () => {
    const length = reader.int16();
    return length < 0 ? null : reader.text(length);
  };
  const places = <T>(read: (place: TopicPartition) => T) =>
    reader.array(() => {
      const topic = reader.string();
      return reader.array(() => read({ topic, partition: reader.int32() }));
    }).flat();
  const transaction = () => ({
    transactionalId: reader.string(),
    producerId: reader.int64(),
    epoch: reader.int16(),
  });
  switch (request.name) {
    case "ListOffsets":
      reader.int32();
      reader.int8();
      return { name: "ListOffsets", places: places((place) => ({ ...place, timestamp: reader.int64() })) };
    case "InitProducerId":
      return { name: "InitProducerId", transactionalId: nullable(), timeoutMs: reader.int32() };
    case "AddPartitionsToTxn":
      return { name: "AddPartitionsToTxn", ...transaction(), places: places((place) => place) };
    case "EndTxn":
      return { name: "EndTxn", ...transaction(), commit: reader.boolean() };
    case "Produce": {
      const transactionalId = nullable();
      reader.int16();
      reader.int32();
      return {
        name: "Produce",
        transactionalId,
        parts: places((place) => ({ ...place, batch: reader.bytes() })),
      };
    }
    case "Fetch": {
      reader.int32();
      const maxWaitMs = reader.int32();
      reader.int32();
      const maxBytes = reader.int32();
      reader.view(9);
      const parts = places((place) => {
        reader.int32();
        const offset = reader.int64();
        reader.int64();
        return { ...place, offset, maxBytes: reader.int32() };
      });
      return { name: "Fetch", maxWaitMs, maxBytes, parts };
    }
    case "CreateTopics":
      return {
        name: "CreateTopics",
        topics: reader.array(() => {
          const topic = reader.string();
          const partitions = reader.int32();
          reader.int16();
          reader.array(() => reader.int32());
          return { topic, partitions, settings: reader.array(() => [reader.string(), reader.string()] as const) };
        }),
      };
    case "DescribeConfigs":
      return {
        name: "DescribeConfigs",
        topics: reader.array(() => {
          reader.int8();
          const topic = reader.string();
          reader.array(() => reader.string());
          return topic;
        }),
      };
    case "JoinGroup": {
      const groupId = reader.string();
      const sessionMs = reader.int32();
      const rebalanceMs = reader.int32();
      const memberId = reader.string();
      nullable();
      reader.string();
      const [metadata] = reader.array(() => {
        reader.string();
        return reader.bytes();
      });
      return { name: "JoinGroup", groupId, memberId, sessionMs, rebalanceMs, metadata: metadata ?? Buffer.alloc(0) };
    }
    case "SyncGroup": {
      const groupId = reader.string();
      const generation = reader.int32();
      const memberId = reader.string();
      nullable();
      const assignments = reader.array(() => ({ memberId: reader.string(), assignment: reader.bytes() }));
      return { name: "SyncGroup", groupId, generation, memberId, assignments };
    }
    case "Heartbeat":
      return { name: "Heartbeat", groupId: reader.string(), generation: reader.int32(), memberId: reader.string() };
    case "LeaveGroup": {
      const groupId = reader.string();
      const memberIds = reader.array(() => {
        const memberId = reader.string();
        nullable();
        return memberId;
      });
      return { name: "LeaveGroup", groupId, memberIds };
    }
    default:
      throw new Error(`The simulated broker does not know ${request.name}`);
  }
}
