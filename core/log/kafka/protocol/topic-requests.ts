// Requests about Kafka topics: to make them, to read their settings, and to find offsets in their partitions.
import { type KafkaRequest, readByTopic, throttledRequest, writeByTopic } from "./request.ts";
import type { Reader } from "./wire.ts";

/** These stand in a question in place of a time. They ask for the partition's end and for its start. */
export const END = -1;
export const START = -2;

export interface OffsetQuestion {
  readonly kafkaTopic: string;
  readonly partition: number;
  /** Milliseconds since 1970, `START` or `END`. */
  readonly time: number;
}

export interface FoundOffset {
  readonly kafkaTopic: string;
  readonly partition: number;
  readonly errorCode: number;
  /** The offset of the first record at or after the time, −1 if there is none. */
  readonly offset: number;
}

/** Read-committed: the end is the last stable offset. A partition may stand in a request only once. */
export const listOffsets = (questions: readonly OffsetQuestion[]): KafkaRequest<readonly FoundOffset[]> =>
  throttledRequest(
    { name: "ListOffsets", apiKey: 2, apiVersion: 3 },
    (writer) => {
      // An ordinary client, read-committed.
      writer.int32(-1).int8(1);
      writeByTopic(writer, questions, ({ partition, time }) => writer.int32(partition).int64(time));
    },
    (reader) =>
      readByTopic(reader, (kafkaTopic) => {
        const partition = reader.int32();
        const errorCode = reader.int16();
        reader.int64(); // the record's time
        return { kafkaTopic, partition, errorCode, offset: reader.int64() };
      }),
  );

export interface NewKafkaTopic {
  readonly kafkaTopic: string;
  readonly partitions: number;
  readonly replication: number;
  readonly settings: readonly { readonly name: string; readonly value: string }[];
}

export interface CreatedTopic {
  readonly kafkaTopic: string;
  readonly errorCode: number;
  /** Empty if the broker gives none. */
  readonly errorMessage: string;
}

export const createTopics = (
  kafkaTopics: readonly NewKafkaTopic[],
  timeoutMs: number,
): KafkaRequest<readonly CreatedTopic[]> =>
  throttledRequest(
    { name: "CreateTopics", apiKey: 19, apiVersion: 3 },
    (writer) => {
      writer.array(kafkaTopics, ({ kafkaTopic, partitions, replication, settings }) => {
        // Where replicas go is the cluster's choice: no assignments.
        writer.string(kafkaTopic).int32(partitions).int16(replication).int32(0);
        writer.array(settings, ({ name, value }) => writer.string(name).string(value));
      });
      // Made, not only validated.
      writer.int32(timeoutMs).boolean(false);
    },
    (reader) =>
      reader.array(() => ({
        kafkaTopic: reader.string(),
        errorCode: reader.int16(),
        errorMessage: reader.string(),
      })),
  );

export interface TopicSettings {
  readonly kafkaTopic: string;
  readonly errorCode: number;
  /** Empty if the broker gives none. */
  readonly errorMessage: string;
  /** Name → value; empty where the broker shows none. */
  readonly settings: ReadonlyMap<string, string>;
}

const TOPIC_RESOURCE = 2;
const ALL_SETTINGS = -1;
/** All settings of some Kafka topics, the broker's defaults included. */
export const describeTopics = (kafkaTopics: readonly string[]): KafkaRequest<readonly TopicSettings[]> =>
  throttledRequest(
    { name: "DescribeConfigs", apiKey: 32, apiVersion: 2 },
    (writer) => {
      writer.array(kafkaTopics, (name) => writer.int8(TOPIC_RESOURCE).string(name).int32(ALL_SETTINGS));
      // Without synonyms.
      writer.boolean(false);
    },
    (reader) =>
      reader.array(() => {
        const errorCode = reader.int16();
        const errorMessage = reader.string();
        reader.int8(); // the kind of resource
        return {
          errorCode,
          errorMessage,
          kafkaTopic: reader.string(),
          settings: new Map(reader.array(() => readSetting(reader))),
        };
      }),
  );

function readSetting(reader: Reader): readonly [name: string, value: string] {
  const name = reader.string();
  const value = reader.string();
  reader.boolean(); // read-only
  reader.int8(); // source
  reader.boolean(); // sensitive
  reader.array(() => { // synonyms: name, value, source
    reader.string();
    reader.string();
    reader.int8();
  });
  return [name, value];
}
