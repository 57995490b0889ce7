// Requests to find one's way in a cluster and to be admitted: metadata, coordinators, SASL.
import { type KafkaRequest, request, throttledRequest } from "./request.ts";
import type { Reader } from "./wire.ts";

export interface Address {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
}

export interface ClusterMetadata {
  readonly brokers: readonly Address[];
  readonly clusterId: string;
  readonly controllerId: number;
  readonly kafkaTopics: readonly TopicMetadata[];
}

export interface TopicMetadata {
  readonly kafkaTopic: string;
  readonly errorCode: number;
  /** In no particular order. `leader` is a node, or −1 if there is none; `replicas` are nodes. */
  readonly partitions: readonly {
    readonly errorCode: number;
    readonly partition: number;
    readonly leader: number;
    readonly replicas: readonly number[];
  }[];
}

/** About some Kafka topics; missing ones are not made. */
export const metadata = (kafkaTopics: readonly string[]): KafkaRequest<ClusterMetadata> =>
  throttledRequest(
    { name: "Metadata", apiKey: 3, apiVersion: 6 },
    (writer) => writer.array(kafkaTopics, (kafkaTopic) => writer.string(kafkaTopic)).boolean(false),
    (reader) => ({
      brokers: reader.array(() => {
        const address = readAddress(reader);
        reader.string(); // rack
        return address;
      }),
      clusterId: reader.string(),
      controllerId: reader.int32(),
      kafkaTopics: reader.array(() => readTopic(reader)),
    }),
  );

function readTopic(reader: Reader): TopicMetadata {
  const errorCode = reader.int16();
  const kafkaTopic = reader.string();
  reader.boolean(); // internal
  const partitions = reader.array(() => {
    const partition = {
      errorCode: reader.int16(),
      partition: reader.int32(),
      leader: reader.int32(),
      replicas: reader.array(() => reader.int32()),
    };
    reader.array(() => reader.int32()); // in sync
    reader.array(() => reader.int32()); // offline
    return partition;
  });
  return { errorCode, kafkaTopic, partitions };
}

function readAddress(reader: Reader): Address {
  return { nodeId: reader.int32(), host: reader.string(), port: reader.int32() };
}

export type CoordinatorKind = "group" | "transaction";
const COORDINATOR_TYPES: Readonly<Record<CoordinatorKind, number>> = { group: 0, transaction: 1 };

export interface FoundCoordinator {
  readonly errorCode: number;
  /** Empty if the broker gives none. */
  readonly errorMessage: string;
  readonly coordinator: Address;
}

/** @param id a group's, or a transactional id */
export const findCoordinator = (kind: CoordinatorKind, id: string): KafkaRequest<FoundCoordinator> =>
  throttledRequest(
    { name: "FindCoordinator", apiKey: 10, apiVersion: 2 },
    (writer) => writer.string(id).int8(COORDINATOR_TYPES[kind]),
    (reader) => ({ errorCode: reader.int16(), errorMessage: reader.string(), coordinator: readAddress(reader) }),
  );

export const saslHandshake = (mechanism: string): KafkaRequest<{
  readonly errorCode: number;
  readonly enabledMechanisms: readonly string[];
}> =>
  request(
    { name: "SaslHandshake", apiKey: 17, apiVersion: 1 },
    (writer) => writer.string(mechanism),
    (reader) => ({ errorCode: reader.int16(), enabledMechanisms: reader.array(() => reader.string()) }),
  );

export interface Authenticated {
  readonly errorCode: number;
  /** Empty if the broker gives none. */
  readonly errorMessage: string;
  /** The mechanism's own message. */
  readonly authBytes: Buffer;
  /** After this time the broker demands authentication again (KIP-368); 0: never. */
  readonly sessionLifetimeMs: number;
}

/** One step of a mechanism's exchange. */
export const saslAuthenticate = (authBytes: Uint8Array): KafkaRequest<Authenticated> =>
  request(
    { name: "SaslAuthenticate", apiKey: 36, apiVersion: 1 },
    (writer) => writer.bytes(authBytes),
    (reader) => ({
      errorCode: reader.int16(),
      errorMessage: reader.string(),
      authBytes: reader.bytes(),
      sessionLifetimeMs: reader.int64(),
    }),
  );
