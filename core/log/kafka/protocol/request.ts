// The shape of every request to a broker, and how a request is made from the order of its fields (https://kafka.apache.org/protocol).
// Each request has one version, which all brokers from Kafka 2.4 to 4 know.
import { Reader, Writer } from "./wire.ts";

export interface KafkaRequest<Answer> {
  /** Kafka's name of the request, for errors. */
  readonly name: string;
  readonly apiKey: number;
  readonly apiVersion: number;
  /** The body that follows the header, in parts, so that record batches are not copied. */
  encode(): readonly Uint8Array[];
  /** The caller judges the error codes in an answer. @throws {RangeError} if the answer ends too early */
  decode(body: Buffer): Answer;
}

type Api = Pick<KafkaRequest<unknown>, "name" | "apiKey" | "apiVersion">;

/** `write` and `read` take the fields in Kafka's order; `read` names those that are used, and skips the others. */
export function request<Answer>(
  api: Api,
  write: (writer: Writer) => unknown,
  read: (reader: Reader) => Answer,
): KafkaRequest<Answer> {
  return {
    ...api,
    encode() {
      const writer = new Writer(256);
      write(writer);
      return [writer.take()];
    },
    decode: (body) => read(new Reader(body)),
  };
}

/** As `request`, for answers that begin with a throttle time. That time is not used, because brokers delay the connection themselves. */
export function throttledRequest<Answer>(
  api: Api,
  write: (writer: Writer) => unknown,
  read: (reader: Reader) => Answer,
): KafkaRequest<Answer> {
  return request(api, write, (reader) => {
    reader.int32();
    return read(reader);
  });
}

/** Most answers are an error code and nothing else. */
export function readErrorCode(reader: Reader): { readonly errorCode: number } {
  return { errorCode: reader.int16() };
}

/** Writes items in Kafka's order: an array of Kafka topics, each with the array of its items. */
export function writeByTopic<Item extends { readonly kafkaTopic: string }>(
  writer: Writer,
  items: readonly Item[],
  write: (item: Item) => unknown,
): void {
  const byTopic = Map.groupBy(items, ({ kafkaTopic }) => kafkaTopic);
  writer.array([...byTopic], ([kafkaTopic, ofTopic]) => writer.string(kafkaTopic).array(ofTopic, write));
}

/** The reverse of `writeByTopic`: one flat array. */
export function readByTopic<Item>(reader: Reader, read: (kafkaTopic: string) => Item): Item[] {
  return reader.array(() => {
    const kafkaTopic = reader.string();
    return reader.array(() => read(kafkaTopic));
  }).flat();
}

/** `topic/partition`, a partition's key in maps. */
export function partitionName(
  { kafkaTopic, partition }: { readonly kafkaTopic: string; readonly partition: number },
): string {
  return `${kafkaTopic}/${partition}`;
}
