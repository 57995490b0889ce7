// One transactional producer: an identity that the coordinator gave, and transactions with it, one after the other. After any error
// it is unusable, and its holder takes the id again (A3.1).
import { LogError, type NewRecord } from "../log.ts";
import type { Cluster } from "./cluster/cluster.ts";
import { CODE, failOn, isCode, isTooLargeCode, NoAnswer } from "./protocol/kafka-error.ts";
import { retry } from "./retry.ts";
import { ACKS_WITHIN_MS, produce, type ProducePart } from "./protocol/produce.ts";
import { BATCH_BYTES, BATCH_RECORDS, encodeBatch, nextSequence, sizeOf } from "./protocol/record-batch.ts";
import { partitionName } from "./protocol/request.ts";
import {
  addPartitionsToTransaction,
  endTransaction,
  initProducerId,
  type ProducerIdentity,
  type TransactionalIdentity,
} from "./protocol/transaction-requests.ts";

export interface PlacedRecord {
  readonly kafkaTopic: string;
  readonly partition: number;
  readonly record: NewRecord;
}

export interface TransactionalOptions {
  readonly cluster: Cluster;
  readonly transactionalId: string;
  /** Asked in the same tick as the request that fences the previous producer is sent (A3.4). */
  readonly mayOpen: () => boolean;
  readonly closing: AbortSignal;
  readonly clock: () => number;
}

// The coordinator aborts a transaction that is open for longer (A3.1).
const TRANSACTION_TIMEOUT_MS = 15_000;
/** How long an answer like "the last transaction is still being completed" is retried. */
const PATIENCE_MS = 5_000;

/**
 * Takes the transactional id over: the previous producer is fenced, and its open transaction aborted.
 * @throws {KafkaError} {NoAnswer} {LogError} {OwnershipUncertain} if `mayOpen` says no: then no producer is fenced
 */
export async function takeTransactionalId(options: TransactionalOptions): Promise<TransactionalProducer> {
  const { cluster, transactionalId, mayOpen, closing } = options;
  const coordinator = await cluster.coordinatorOf("transaction", transactionalId);
  const identity = await retry(async () => {
    const request = initProducerId({ transactionalId, transactionTimeoutMs: TRANSACTION_TIMEOUT_MS });
    const answer = await cluster.send(coordinator, {
      ...request,
      encode() {
        // A3.4: asked in the same tick as the send, since there may have been a wait for a connection, or a sleep.
        if (!mayOpen()) {
          throw new OwnershipUncertain(`Cannot take ${transactionalId}: others may have been given it meanwhile`);
        }
        return request.encode();
      },
    });
    failOn(answer.errorCode, `Cannot take ${transactionalId}`);
    return answer;
  }, { what: `take ${transactionalId}`, forMs: PATIENCE_MS, closing });
  return new TransactionalProducer(options, coordinator, identity);
}

export class TransactionalProducer {
  readonly #cluster: Cluster;
  readonly #closing: AbortSignal;
  readonly #clock: () => number;
  readonly #coordinator: number;
  readonly #identity: TransactionalIdentity;
  /** The sequence of the next record, by `partitionName`. */
  readonly #sequences = new Map<string, number>();

  constructor(
    { cluster, transactionalId, closing, clock }: TransactionalOptions,
    coordinator: number,
    { producerId, producerEpoch }: ProducerIdentity,
  ) {
    this.#cluster = cluster;
    this.#closing = closing;
    this.#clock = clock;
    this.#coordinator = coordinator;
    this.#identity = { transactionalId, producerId, producerEpoch };
  }

  /**
   * Writes all records or none; resolves when the commit is durable, with the first offset written to each `partitionName`.
   * @throws {KafkaError} {NoAnswer} {LogError} it is not known then what was written, and the producer is used up
   */
  async commit(records: readonly PlacedRecord[]): Promise<Map<string, number>> {
    const first = new Map<string, number>();
    await this.#addPartitions(records);
    const queues = [...Map.groupBy(records, partitionName)]
      .map(([name, placed]) => ({ name, at: placed[0]!, batches: batchesOf(placed.map(({ record }) => record)) }));
    // One batch per partition and request, as in the appender.
    for (let round = 0; queues.some(({ batches }) => round < batches.length); round++) {
      const parts: ProducePart[] = [];
      for (const { name, at: { kafkaTopic, partition }, batches } of queues) {
        const batch = batches[round];
        if (batch !== undefined) parts.push({ kafkaTopic, partition, batch: this.#encode(name, batch) });
      }
      await this.#produce(parts, first);
    }
    await this.#retryRefusal(async () => {
      const answer = await this.#cluster.send(this.#coordinator, endTransaction(this.#identity, { commit: true }));
      failOn(answer.errorCode, `Cannot commit as ${this.#identity.transactionalId}`);
    });
    return first;
  }

  async #addPartitions(records: readonly PlacedRecord[]): Promise<void> {
    const partitions = [...new Map(records.map((placed) => [partitionName(placed), placed])).values()];
    await this.#retryRefusal(async () => {
      const request = addPartitionsToTransaction(this.#identity, partitions);
      for (const { kafkaTopic, errorCode } of await this.#cluster.send(this.#coordinator, request)) {
        failOn(errorCode, `Cannot write to ${kafkaTopic} in a transaction`);
      }
    });
  }

  #encode(name: string, batch: readonly NewRecord[]): Buffer {
    const { producerId, producerEpoch } = this.#identity;
    const firstSequence = this.#sequences.get(name) ?? 0;
    this.#sequences.set(name, nextSequence(firstSequence, batch.length));
    return encodeBatch(batch, { producerId, producerEpoch, firstSequence, transactional: true }, this.#clock());
  }

  async #produce(parts: readonly ProducePart[], first: Map<string, number>): Promise<void> {
    const { transactionalId } = this.#identity;
    const byLeader = Map.groupBy(parts, ({ kafkaTopic, partition }) => this.#cluster.leaderOf(kafkaTopic, partition));
    await Promise.all([...byLeader].map(async ([leader, ofLeader]) => {
      if (leader === undefined) throw new NoAnswer("a partition's leader is not known");
      const request = produce(ofLeader, { transactionalId, timeoutMs: ACKS_WITHIN_MS });
      for (const result of await this.#cluster.send(leader, request)) {
        const { kafkaTopic, errorCode, baseOffset } = result;
        if (isTooLargeCode(errorCode)) {
          throw new LogError("too_large", `The broker takes no record of this size in ${kafkaTopic}`);
        }
        failOn(errorCode, `Cannot write to ${kafkaTopic}`);
        const name = partitionName(result);
        if (!first.has(name)) first.set(name, baseOffset);
      }
    }));
  }

  /** Only a refusal that was answered is retried. Without an answer the whole transaction is repeated. */
  #retryRefusal(send: () => Promise<void>): Promise<void> {
    return retry(async () => {
      try {
        await send();
      } catch (error) {
        throw error instanceof NoAnswer ? new OutcomeUnknown(error.message, { cause: error }) : error;
      }
    }, { what: `write as ${this.#identity.transactionalId}`, forMs: PATIENCE_MS, closing: this.#closing });
  }
}

/** No answer, at a point where sending the same request again is not enough. */
class OutcomeUnknown extends Error {
  override readonly name = "OutcomeUnknown";
}

/** It is not certain now that the shard is still this process's (A3.4). */
export class OwnershipUncertain extends Error {
  override readonly name = "OwnershipUncertain";
}

/** Whether the id was taken since: by another owner, by this process itself, or by the coordinator after its timeout. */
export function isFenced(error: unknown): boolean {
  return isCode(error, CODE.INVALID_PRODUCER_EPOCH, CODE.PRODUCER_FENCED, CODE.TRANSACTION_COORDINATOR_FENCED);
}

function batchesOf(records: readonly NewRecord[]): NewRecord[][] {
  const batches: NewRecord[][] = [];
  let bytes = 0;
  for (const record of records) {
    const last = batches.at(-1);
    const size = sizeOf(record);
    if (last === undefined || last.length >= BATCH_RECORDS || bytes + size > BATCH_BYTES) {
      batches.push([record]);
      bytes = size;
    } else {
      last.push(record);
      bytes += size;
    }
  }
  return batches;
}
