// One transactional producer: an identity that the coordinator gave, and transactions with it, one after the other. Any error
// leaves it unusable; whoever holds it makes another (A3.1).
import { LogError, type NewRecord } from "../log.ts";
import type { Cluster } from "./cluster/cluster.ts";
import { CODE, failOn, KafkaError, NoAnswer } from "./protocol/kafka-error.ts";
import { retry } from "./retry.ts";
import { produce, type ProducePart } from "./protocol/produce.ts";
import { BATCH_BYTES, BATCH_RECORDS, encodeBatch, nextSequence, sizeOf } from "./protocol/record-batch.ts";
import {
  addPartitionsToTransaction,
  endTransaction,
  initProducerId,
  type TransactionalIdentity,
} from "./protocol/transaction-requests.ts";

export interface PlacedRecord {
  readonly kafkaTopic: string;
  readonly partition: number;
  readonly record: NewRecord;
}

export interface TransactionalProducer {
  /**
   * Writes all records or none; resolves when the commit is durable, with the first offset written to each `topic/partition`.
   * @throws {KafkaError} {NoAnswer} {LogError} what was written then is not known, and the producer is used up
   */
  commit(records: readonly PlacedRecord[]): Promise<Map<string, number>>;
}

// The coordinator aborts what is open for longer (A3.1).
const TRANSACTION_TIMEOUT_MS = 15_000;
const ACKS_WITHIN_MS = 4_000;
/** How long an answer like "the last transaction is still being completed" is met with patience. */
const PATIENCE_MS = 5_000;

/**
 * Takes the transactional id over: the producer before is fenced, its open transaction aborted.
 * @throws {KafkaError} {NoAnswer} {LogError} {InDoubt} if `mayOpen` says no: nobody is fenced
 */
export async function takeTransactionalId(
  { cluster, transactionalId, mayOpen, closing, clock }: {
    cluster: Cluster;
    transactionalId: string;
    mayOpen: () => boolean;
    closing: AbortSignal;
    clock: () => number;
  },
): Promise<TransactionalProducer> {
  const patience = { what: `write as ${transactionalId}`, forMs: PATIENCE_MS, closing };
  const coordinator = await cluster.coordinatorOf("transaction", transactionalId);
  const { producerId, producerEpoch } = await retry(async () => {
    const request = initProducerId({ transactionalId, transactionTimeoutMs: TRANSACTION_TIMEOUT_MS });
    const answer = await cluster.send(coordinator, {
      ...request,
      encode() {
        // A3.4: in the same tick as the send. Before there may have been a connection to wait for, or a sleep.
        if (!mayOpen()) throw new InDoubt(`Cannot take ${transactionalId}: others may have been given it meanwhile`);
        return request.encode();
      },
    });
    failOn(answer.errorCode, `Cannot take ${transactionalId}`);
    return answer;
  }, { ...patience, what: `take ${transactionalId}` });
  const identity: TransactionalIdentity = { transactionalId, producerId, producerEpoch };
  const sequences = new Map<string, number>();

  /** Only an answered refusal is met with another try; without an answer the whole transaction is repeated. */
  const settled = (send: () => Promise<void>) =>
    retry(async () => {
      try {
        await send();
      } catch (error) {
        throw error instanceof NoAnswer ? new Unclear(error.message, { cause: error }) : error;
      }
    }, patience);

  async function add(parts: readonly PlacedRecord[]): Promise<void> {
    const partitions = [...new Map(parts.map((part) => [`${part.kafkaTopic}/${part.partition}`, part])).values()];
    await settled(async () => {
      const added = await cluster.send(coordinator, addPartitionsToTransaction(identity, partitions));
      for (const { kafkaTopic, errorCode } of added) {
        failOn(errorCode, `Cannot write to ${kafkaTopic} in a transaction`);
      }
    });
  }

  async function send(parts: readonly (ProducePart & { count: number })[], first: Map<string, number>): Promise<void> {
    const byLeader = Map.groupBy(parts, ({ kafkaTopic, partition }) => cluster.leaderOf(kafkaTopic, partition));
    await Promise.all([...byLeader].map(async ([leader, ofLeader]) => {
      if (leader === undefined) throw new NoAnswer("a partition's leader is not known");
      const request = produce(ofLeader, { transactionalId, timeoutMs: ACKS_WITHIN_MS });
      for (const { kafkaTopic, partition, errorCode, baseOffset } of await cluster.send(leader, request)) {
        if (errorCode === CODE.MESSAGE_TOO_LARGE || errorCode === CODE.RECORD_LIST_TOO_LARGE) {
          throw new LogError("too_large", `The broker takes no record of this size in ${kafkaTopic}`);
        }
        failOn(errorCode, `Cannot write to ${kafkaTopic}`);
        const place = `${kafkaTopic}/${partition}`;
        if (!first.has(place)) first.set(place, baseOffset);
      }
    }));
  }

  return {
    async commit(records) {
      const first = new Map<string, number>();
      await add(records);
      const places = [...Map.groupBy(records, ({ kafkaTopic, partition }) => `${kafkaTopic}/${partition}`)]
        .map(([place, placed]) => ({ place, placed, batches: cuts(placed.map(({ record }) => record)) }));
      // One batch per partition and request, as everywhere.
      for (let round = 0; places.some(({ batches }) => round < batches.length); round++) {
        const parts = [];
        for (const { place, placed, batches } of places) {
          const cut = batches[round];
          if (cut === undefined) continue;
          const sequence = sequences.get(place) ?? 0;
          sequences.set(place, nextSequence(sequence, cut.length));
          const stamp = {
            producerId,
            producerEpoch,
            firstSequence: sequence,
            transactional: true,
          };
          const { kafkaTopic, partition } = placed[0]!;
          parts.push({ kafkaTopic, partition, count: cut.length, batch: encodeBatch(cut, stamp, clock()) });
        }
        await send(parts, first);
      }
      await settled(async () => {
        const answer = await cluster.send(coordinator, endTransaction(identity, { commit: true }));
        failOn(answer.errorCode, `Cannot commit as ${transactionalId}`);
      });
      return first;
    },
  };
}

/** No answer, at a point where the same request must not simply be sent again. */
class Unclear extends Error {
  override readonly name = "Unclear";
}

/** Whether the shard is this process's is not sure now (A3.4). */
export class InDoubt extends Error {
  override readonly name = "InDoubt";
}

const FENCED: readonly number[] = [
  CODE.INVALID_PRODUCER_EPOCH,
  CODE.PRODUCER_FENCED,
  CODE.TRANSACTION_COORDINATOR_FENCED,
];

/** Whether someone has taken the id since, which may have been ourselves, or the coordinator after its timeout. */
export function isFenced(error: unknown): boolean {
  return error instanceof KafkaError && FENCED.includes(error.code);
}

function cuts(records: readonly NewRecord[]): NewRecord[][] {
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
