// The Produce request (version 7): one batch for each of some partitions. Each batch has its own producer and its own result.
import { type KafkaRequest, readByTopic } from "./request.ts";
import { Reader, Writer } from "./wire.ts";

export interface ProducePart {
  readonly kafkaTopic: string;
  readonly partition: number;
  readonly batch: Buffer;
}

export interface ProduceResult {
  readonly kafkaTopic: string;
  readonly partition: number;
  readonly errorCode: number;
  /** The offset of the batch's first record. If the batch was sent before, it is the offset from the first time. */
  readonly baseOffset: number;
  /** The log's own time, ms; −1 if the Kafka topic keeps the client's time. */
  readonly time: number;
}

/** How long a broker waits for its replicas. A request has more time than that, so that the answer still arrives. */
export const ACKS_WITHIN_MS = 4_000;

/** The answer comes when all in-sync replicas have the batches (acks=all). The broker waits `timeoutMs` for the replicas. */
export function produce(
  parts: readonly ProducePart[],
  { transactionalId, timeoutMs }: { transactionalId: string | null; timeoutMs: number },
): KafkaRequest<readonly ProduceResult[]> {
  return {
    name: "Produce",
    apiKey: 0,
    apiVersion: 7,
    encode: () => {
      const chunks: Uint8Array[] = [];
      let head = new Writer(256).string(transactionalId).int16(-1).int32(timeoutMs);
      const byTopic = Map.groupBy(parts, (part) => part.kafkaTopic);
      head.int32(byTopic.size);
      for (const [kafkaTopic, ofTopic] of byTopic) {
        head.string(kafkaTopic).int32(ofTopic.length);
        for (const { partition, batch } of ofTopic) {
          head.int32(partition).int32(batch.length);
          // The batch itself is not copied.
          chunks.push(head.take(), batch);
          head = new Writer(64);
        }
      }
      return chunks;
    },
    decode: (body) => {
      const reader = new Reader(body);
      return readByTopic(reader, (kafkaTopic) => {
        const result = {
          kafkaTopic,
          partition: reader.int32(),
          errorCode: reader.int16(),
          baseOffset: reader.int64(),
          time: reader.int64(),
        };
        reader.int64(); // log start
        return result;
      });
    },
  };
}
