// The requests of producers: to get an identity, and to write to partitions and commit in a transaction (A3.1).
import { type KafkaRequest, readByTopic, readErrorCode, throttledRequest, writeByTopic } from "./request.ts";

export interface ProducerIdentity {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** With a transactional id it fences the producer that had the id before, and ends its transaction. */
export const initProducerId = (
  { transactionalId, transactionTimeoutMs }: {
    readonly transactionalId: string | null;
    readonly transactionTimeoutMs: number;
  },
): KafkaRequest<ProducerIdentity & { readonly errorCode: number }> =>
  throttledRequest(
    { name: "InitProducerId", apiKey: 22, apiVersion: 1 },
    (writer) => writer.string(transactionalId).int32(transactionTimeoutMs),
    (reader) => ({ errorCode: reader.int16(), producerId: reader.int64(), producerEpoch: reader.int16() }),
  );

export interface TransactionalIdentity extends ProducerIdentity {
  readonly transactionalId: string;
}

export interface TransactionPartition {
  readonly kafkaTopic: string;
  readonly partition: number;
}

/** Answers with one error code a partition. */
export const addPartitionsToTransaction = (
  { transactionalId, producerId, producerEpoch }: TransactionalIdentity,
  partitions: readonly TransactionPartition[],
): KafkaRequest<readonly (TransactionPartition & { readonly errorCode: number })[]> =>
  throttledRequest(
    { name: "AddPartitionsToTxn", apiKey: 24, apiVersion: 1 },
    (writer) => {
      writer.string(transactionalId).int64(producerId).int16(producerEpoch);
      writeByTopic(writer, partitions, ({ partition }) => writer.int32(partition));
    },
    (reader) =>
      readByTopic(reader, (kafkaTopic) => ({ kafkaTopic, partition: reader.int32(), errorCode: reader.int16() })),
  );

export const endTransaction = (
  { transactionalId, producerId, producerEpoch }: TransactionalIdentity,
  { commit }: { readonly commit: boolean },
): KafkaRequest<{ readonly errorCode: number }> =>
  throttledRequest(
    { name: "EndTxn", apiKey: 26, apiVersion: 1 },
    (writer) => writer.string(transactionalId).int64(producerId).int16(producerEpoch).boolean(commit),
    readErrorCode,
  );
