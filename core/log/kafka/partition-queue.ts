// Records that wait to be appended to one partition, and the batch of them that is sent (A2.2). A batch keeps its producer id and sequence
// until its outcome is known, so that sending it again cannot write it twice. A batch that is given up takes its producer with it:
// otherwise the next batch could be taken for it.
import { getLogger } from "@logtape/logtape";
import { LogError, type NewRecord } from "../log.ts";
import { nameOf } from "./protocol/kafka-error.ts";
import type { ProduceResult } from "./protocol/produce.ts";
import { BATCH_BYTES, BATCH_RECORDS, encodeBatch, nextSequence, sizeOf } from "./protocol/record-batch.ts";
import type { ProducerIdentity } from "./protocol/transaction-requests.ts";

export interface Appended {
  readonly offset: number;
  /** By the log's clock, ms. */
  readonly time: number;
}

interface Waiting {
  readonly record: NewRecord;
  /** Monotonic, ms. */
  readonly since: number;
  readonly resolve: (appended: Appended) => void;
  readonly reject: (error: Error) => void;
}

/** A batch that is sent, and sent again unchanged until its outcome is known. */
interface SentBatch {
  readonly entries: readonly Waiting[];
  readonly bytes: Buffer;
  /** It was sent at least once without a clear answer. */
  unclear: boolean;
}

const logger = getLogger(["tidings", "core", "log"]);

export class PartitionQueue {
  readonly kafkaTopic: string;
  readonly partition: number;
  /** The queue is in a round of the appender, or pauses before the next one. */
  busy = false;
  #waiting: Waiting[] = [];
  #producer: ProducerIdentity | undefined;
  /** The producer's sequence of the next record. */
  #sequence = 0;
  #batch: SentBatch | undefined;
  readonly #onSettled: (bytes: number) => void;

  /** @param onSettled hears of the size of each record that was written or rejected */
  constructor(kafkaTopic: string, partition: number, onSettled: (bytes: number) => void) {
    this.kafkaTopic = kafkaTopic;
    this.partition = partition;
    this.#onSettled = onSettled;
  }

  /** @throws {LogError} as the appender does */
  add(record: NewRecord): Promise<Appended> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ record, since: performance.now(), resolve, reject });
    });
  }

  get isEmpty(): boolean {
    return this.#batch === undefined && this.#waiting.length === 0;
  }

  get hasProducer(): boolean {
    return this.#producer !== undefined;
  }

  useProducer(producer: ProducerIdentity): void {
    this.#producer = producer;
    this.#sequence = 0;
  }

  /** The batch that is to be sent: the last one as long as its outcome is unknown, else a new one of this time (wall clock, ms). */
  batch(time: number): Buffer {
    this.#batch ??= this.#cut(time, BATCH_RECORDS);
    return this.#batch.bytes;
  }

  /** The batch may have been written, or not. */
  outcomeUnknown(): void {
    if (this.#batch !== undefined) this.#batch.unclear = true;
  }

  written({ baseOffset, time }: ProduceResult): void {
    const { entries } = this.#batch!;
    this.#sequence = nextSequence(this.#sequence, entries.length);
    this.#batch = undefined;
    for (const [index, entry] of entries.entries()) {
      this.#onSettled(sizeOf(entry.record));
      entry.resolve({ offset: baseOffset + index, time });
    }
  }

  /** The broker no longer knows the producer: the same records go with a new one. */
  producerLost(code: number): void {
    const { kafkaTopic, partition } = this;
    const { entries, unclear } = this.#batch!;
    this.#producer = undefined;
    this.#putBack();
    const message = "the idempotent producer of {kafkaTopic}, partition {partition}, is replaced after {error}";
    const properties = { kafkaTopic, partition, error: nameOf(code), records: entries.length };
    if (unclear) logger.warn(`${message}; up to {records} records may be there twice`, properties);
    else logger.info(message, properties);
  }

  /** The broker takes less than its settings said at start: the batch's first half goes next, and a lone record is too large. */
  tooLarge(time: number): void {
    const { entries } = this.#batch!;
    if (entries.length === 1) {
      return this.#reject(
        1,
        new LogError("too_large", `The broker takes no record of this size in ${this.kafkaTopic}`),
      );
    }
    this.#putBack();
    this.#batch = this.#cut(time, Math.ceil(entries.length / 2));
  }

  /** The broker refuses the batch for good. */
  refused(code: number): void {
    const { entries } = this.#batch!;
    this.#reject(entries.length, new LogError("unavailable", `Cannot append to ${this.kafkaTopic}: ${nameOf(code)}`));
  }

  /** Rejects records that have waited since `oldest` or longer; a batch is rejected as a whole. Returns whether nothing is left to send. */
  giveUpSince(oldest: number, cause: Error): boolean {
    const entries = this.#batch?.entries ?? this.#waiting;
    if (entries.length > 0 && entries[0]!.since > oldest) return false;
    const failure = new LogError("unavailable", `Cannot append to ${this.kafkaTopic}: ${cause.message}`, { cause });
    const late = this.#batch === undefined ? entries.filter(({ since }) => since <= oldest) : entries;
    return this.#giveUp(late.length, failure);
  }

  /** The log is closed: rejects the batch, or else all that waits. Returns whether nothing is left to send. */
  giveUpClosed(cause: Error): boolean {
    const failure = new LogError("closed", "The log was closed before the record was known to be written", { cause });
    return this.#giveUp((this.#batch?.entries ?? this.#waiting).length, failure);
  }

  #giveUp(count: number, failure: LogError): boolean {
    if (count === 0) return true;
    this.#reject(count, failure);
    return this.#waiting.length === 0;
  }

  /** Rejects the first `count` records. Their producer goes too: its sequence is no longer known. */
  #reject(count: number, error: LogError): void {
    this.#producer = undefined;
    this.#putBack();
    for (const entry of this.#waiting.splice(0, count)) {
      this.#onSettled(sizeOf(entry.record));
      entry.reject(error);
    }
  }

  #putBack(): void {
    if (this.#batch === undefined) return;
    this.#waiting = [...this.#batch.entries, ...this.#waiting];
    this.#batch = undefined;
  }

  #cut(time: number, atMost: number): SentBatch {
    let bytes = 0;
    let count = 0;
    for (const { record } of this.#waiting) {
      bytes += sizeOf(record);
      if (count > 0 && (count >= atMost || bytes > BATCH_BYTES)) break;
      count++;
    }
    const entries = this.#waiting.slice(0, count);
    this.#waiting = this.#waiting.slice(count);
    const { producerId, producerEpoch } = this.#producer!;
    const stamp = { producerId, producerEpoch, firstSequence: this.#sequence, transactional: false };
    return { entries, bytes: encodeBatch(entries.map(({ record }) => record), stamp, time), unclear: false };
  }
}
