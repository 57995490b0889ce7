// Kafka's requests as used here, at the versions that Kafka 2.4 to 4 speak. The codecs are kafkajs's; answers are typed, and
// their error codes are the caller's to judge, one by one.
import protocol from "kafkajs/src/protocol/requests/index.js";

export interface KafkaRequest<Answer> {
  readonly name: string;
  readonly apiKey: number;
  readonly apiVersion: number;
  encode(): Promise<readonly Uint8Array[]>;
  decode(body: Buffer): Answer | Promise<Answer>;
}

/** @param name as kafkajs's table of requests has it */
export function request<Answer>(name: string, version: number, fields: object): KafkaRequest<Answer> {
  const codec = protocol.requests[name]!.protocol({ version })(fields);
  return {
    name,
    apiKey: codec.request.apiKey,
    apiVersion: codec.request.apiVersion,
    encode: async () => [(await codec.request.encode()).buffer],
    decode: (body) => codec.response.decode(body) as Promise<Answer>,
  };
}

export interface MetadataAnswer {
  readonly clusterId: string;
  readonly controllerId: number;
  readonly brokers: readonly Address[];
  readonly topicMetadata: readonly {
    readonly topicErrorCode: number;
    readonly topic: string;
    readonly partitionMetadata: readonly {
      readonly partitionErrorCode: number;
      readonly partitionId: number;
      readonly leader: number;
      readonly replicas: readonly number[];
    }[];
  }[];
}
export interface Address {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
}
export const metadata = (topics: readonly string[]): KafkaRequest<MetadataAnswer> =>
  request("Metadata", 6, { topics, allowAutoTopicCreation: false });

/** Read-committed: the end is the last stable offset. `timestamp` −1 asks for the end, −2 for the start. */
export const listOffsets = (
  topics: readonly {
    readonly topic: string;
    readonly partitions: readonly { readonly partition: number; readonly timestamp: number }[];
  }[],
): KafkaRequest<{
  readonly responses: readonly {
    readonly topic: string;
    readonly partitions: readonly { readonly partition: number; readonly errorCode: number; readonly offset: string }[];
  }[];
}> => request("ListOffsets", 3, { isolationLevel: 1, topics });

export const findTransactionCoordinator = (transactionalId: string): KafkaRequest<{
  readonly errorCode: number;
  readonly errorMessage: string | null;
  readonly coordinator: Address;
}> => request("GroupCoordinator", 2, { groupId: transactionalId, coordinatorType: 1 });

export const saslHandshake = (mechanism: string): KafkaRequest<{
  readonly errorCode: number;
  readonly enabledMechanisms: readonly string[];
}> => request("SaslHandshake", 1, { mechanism });

/** `sessionLifetimeMs` as decimal text: after it the broker wants to be told again; 0: never. */
export const saslAuthenticate = (authBytes: Uint8Array): KafkaRequest<{
  readonly errorCode: number;
  readonly errorMessage: string | null;
  readonly authBytes: Uint8Array;
  readonly sessionLifetimeMs: string;
}> => request("SaslAuthenticate", 1, { authBytes });

export interface ProducerIdentity {
  readonly producerId: string;
  readonly producerEpoch: number;
}
/** A transactional id's successor fences the producer before it, and ends its transaction. */
export const initProducerId = (
  fields: { readonly transactionalId: string | null; readonly transactionTimeout: number },
): KafkaRequest<ProducerIdentity & { readonly errorCode: number }> => request("InitProducerId", 1, fields);

export interface InTransaction extends ProducerIdentity {
  readonly transactionalId: string;
}
export const addPartitionsToTransaction = (
  fields: InTransaction & {
    readonly topics: readonly { readonly topic: string; readonly partitions: readonly number[] }[];
  },
): KafkaRequest<{
  readonly errors: readonly {
    readonly topic: string;
    readonly partitionErrors: readonly { readonly partition: number; readonly errorCode: number }[];
  }[];
}> => request("AddPartitionsToTxn", 1, fields);

export const endTransaction = (
  fields: InTransaction & { readonly transactionResult: boolean },
): KafkaRequest<{ readonly errorCode: number }> => request("EndTxn", 1, fields);

export interface NewKafkaTopic {
  readonly topic: string;
  readonly numPartitions: number;
  readonly replicationFactor: number;
  readonly configEntries: readonly { readonly name: string; readonly value: string }[];
}
export const createTopics = (topics: readonly NewKafkaTopic[], timeout: number): KafkaRequest<{
  readonly topicErrors: readonly {
    readonly topic: string;
    readonly errorCode: number;
    readonly errorMessage: string | null;
  }[];
}> => request("CreateTopics", 3, { topics, timeout });

const TOPIC_RESOURCE = 2;
/** All settings of some Kafka topics, the broker's defaults included. */
export const describeTopics = (topics: readonly string[]): KafkaRequest<{
  readonly resources: readonly {
    readonly errorCode: number;
    readonly errorMessage: string | null;
    readonly resourceName: string;
    readonly configEntries: readonly { readonly configName: string; readonly configValue: string | null }[];
  }[];
}> =>
  request("DescribeConfigs", 2, {
    resources: topics.map((name) => ({ type: TOPIC_RESOURCE, name, configNames: [] })),
  });
