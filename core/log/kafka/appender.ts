// Appends records in batches, each of one partition and written once (A2.1, A2.2). Each leader gets one request at a time. Records that
// arrive meanwhile are the next batch, so a lone append waits for nobody, and many share a round trip.
import { pause } from "../../../shared/pause.ts";
import { LogError, type NewRecord } from "../log.ts";
import type { Cluster } from "./cluster/cluster.ts";
import { type Appended, PartitionQueue } from "./partition-queue.ts";
import { CODE, failOn, isPassingCode, isTooLargeCode, KafkaError, NoAnswer } from "./protocol/kafka-error.ts";
import { ACKS_WITHIN_MS, produce, type ProducePart, type ProduceResult } from "./protocol/produce.ts";
import { sizeOf } from "./protocol/record-batch.ts";
import { partitionName } from "./protocol/request.ts";
import { initProducerId } from "./protocol/transaction-requests.ts";

const REQUEST_BYTES = 8 * 1024 * 1024;
const GIVE_UP_MS = 30_000;
const PAUSE_MS = 100;
/** The most that may wait while no broker answers. */
const WAITING_BYTES = 64 * 1024 * 1024;
/** The request has the field, though without a transactional id there is no transaction that could time out. */
const TRANSACTION_TIMEOUT_MS = 60_000;

const SEQUENCE_LOST: ReadonlySet<number> = new Set([
  CODE.OUT_OF_ORDER_SEQUENCE_NUMBER,
  CODE.UNKNOWN_PRODUCER_ID,
  CODE.INVALID_PRODUCER_EPOCH,
  CODE.INVALID_PRODUCER_ID_MAPPING,
]);

export interface AppenderOptions {
  /** Only appends go through it. */
  readonly cluster: Cluster;
  /** How long an append is tried, ms; default 30 s. */
  readonly giveUpMs?: number | undefined;
  readonly clock: () => number;
}

export class Appender {
  readonly #cluster: Cluster;
  readonly #giveUpMs: number;
  readonly #clock: () => number;
  readonly #queues = new Map<string, PartitionQueue>();
  /** Queues with something to send. */
  readonly #ready = new Set<PartitionQueue>();
  /** Leaders that have a request of ours. */
  readonly #busy = new Set<number>();
  readonly #closing = new AbortController();
  #scheduled = false;
  #refusing = false;
  #waitingBytes = 0;
  #idle: (() => void) | undefined;

  constructor({ cluster, giveUpMs = GIVE_UP_MS, clock }: AppenderOptions) {
    this.#cluster = cluster;
    this.#giveUpMs = giveUpMs;
    this.#clock = clock;
  }

  /** @throws {LogError} "unavailable" after `giveUpMs` or if too much waits already, "too_large", "closed" */
  append(kafkaTopic: string, partition: number, record: NewRecord): Promise<Appended> {
    if (this.#refusing) return Promise.reject(new LogError("closed", "The log is closed"));
    if (this.#waitingBytes > WAITING_BYTES) {
      return Promise.reject(
        new LogError("unavailable", `Cannot append to ${kafkaTopic}: too much waits to be written`),
      );
    }
    this.#waitingBytes += sizeOf(record);
    const queue = this.#queueOf(kafkaTopic, partition);
    const appended = queue.add(record);
    this.#ready.add(queue);
    this.#schedule();
    return appended;
  }

  /** Refuses new records; those accepted are still written if that takes at most `graceMs`. */
  async close(graceMs: number): Promise<void> {
    this.#refusing = true;
    if (this.#ready.size === 0) return;
    const done = new Promise<void>((resolve) => this.#idle = resolve);
    const late = setTimeout(() => {
      this.#closing.abort();
      // Requests on their way then end without an answer.
      this.#cluster.close();
    }, graceMs);
    await done;
    clearTimeout(late);
  }

  #queueOf(kafkaTopic: string, partition: number): PartitionQueue {
    const name = partitionName({ kafkaTopic, partition });
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      queue = new PartitionQueue(kafkaTopic, partition, (bytes) => this.#waitingBytes -= bytes);
      this.#queues.set(name, queue);
    }
    return queue;
  }

  #schedule(): void {
    if (this.#scheduled || this.#ready.size === 0) return;
    this.#scheduled = true;
    // Rounds start in the next turn of the event loop, so that records of this turn go together.
    setImmediate(() => {
      this.#scheduled = false;
      this.#startRounds();
    });
  }

  /** Starts a round for each leader that has none. */
  #startRounds(): void {
    const byLeader = new Map<number | undefined, PartitionQueue[]>();
    for (const queue of this.#ready) {
      if (queue.busy) continue;
      const leader = this.#cluster.leaderOf(queue.kafkaTopic, queue.partition);
      if (leader !== undefined && this.#busy.has(leader)) continue;
      const ofLeader = byLeader.get(leader);
      if (ofLeader === undefined) byLeader.set(leader, [queue]);
      else ofLeader.push(queue);
    }
    for (const [leader, ofLeader] of byLeader) void this.#round(leader, ofLeader);
  }

  /** One request to one leader, and what follows from its answer. */
  async #round(leader: number | undefined, chosen: readonly PartitionQueue[]): Promise<void> {
    let again: readonly PartitionQueue[] = [];
    let sent: PartitionQueue[] = [];
    for (const queue of chosen) queue.busy = true;
    if (leader !== undefined) this.#busy.add(leader);
    try {
      if (leader === undefined) throw new NoAnswer("its leader is not known");
      await Promise.all(chosen.map((queue) => this.#giveProducer(queue, leader)));
      const parts = this.#partsOf(chosen);
      sent = chosen.slice(0, parts.length);
      const request = produce(parts, { transactionalId: null, timeoutMs: ACKS_WITHIN_MS });
      again = this.#settle(sent, await this.#cluster.send(leader, request));
    } catch (error) {
      for (const queue of sent) queue.outcomeUnknown();
      again = chosen.filter((queue) => !this.#giveUp(queue, error as Error));
    } finally {
      if (leader !== undefined) this.#busy.delete(leader);
      const pausing = new Set(again);
      for (const queue of chosen) if (!pausing.has(queue)) this.#free(queue);
      this.#schedule();
    }
    if (again.length === 0) return;
    await pause(PAUSE_MS, this.#closing.signal);
    await this.#cluster.refresh().catch(() => {});
    for (const queue of again) this.#free(queue);
    this.#schedule();
  }

  #free(queue: PartitionQueue): void {
    queue.busy = false;
    if (queue.isEmpty) this.#ready.delete(queue);
    if (this.#ready.size === 0) this.#idle?.();
  }

  async #giveProducer(queue: PartitionQueue, node: number): Promise<void> {
    if (queue.hasProducer) return;
    const request = initProducerId({ transactionalId: null, transactionTimeoutMs: TRANSACTION_TIMEOUT_MS });
    const answer = await this.#cluster.send(node, request);
    failOn(answer.errorCode, "Cannot get a producer id");
    queue.useProducer(answer);
  }

  /** The batches of one request, of the first queues that fill it: the other queues wait for the next request. */
  #partsOf(chosen: readonly PartitionQueue[]): ProducePart[] {
    const parts: ProducePart[] = [];
    let bytes = 0;
    for (const queue of chosen) {
      if (bytes >= REQUEST_BYTES) break;
      const batch = queue.batch(this.#clock());
      bytes += batch.length;
      parts.push({ kafkaTopic: queue.kafkaTopic, partition: queue.partition, batch });
    }
    return parts;
  }

  /** Returns the queues that try again after a pause. */
  #settle(sent: readonly PartitionQueue[], results: readonly ProduceResult[]): PartitionQueue[] {
    const again: PartitionQueue[] = [];
    for (const queue of sent) {
      const { kafkaTopic, partition } = queue;
      const result = results.find((one) => one.kafkaTopic === kafkaTopic && one.partition === partition);
      const code = result?.errorCode ?? CODE.REQUEST_TIMED_OUT;
      if (result !== undefined && code === CODE.NONE) queue.written(result);
      else if (isTooLargeCode(code)) queue.tooLarge(this.#clock());
      else if (SEQUENCE_LOST.has(code) || isPassingCode(code)) {
        // Some passing errors mean "perhaps written": the batch stays as it is.
        if (SEQUENCE_LOST.has(code)) queue.producerLost(code);
        else queue.outcomeUnknown();
        if (!this.#giveUp(queue, new KafkaError(code, "the broker refused"))) again.push(queue);
      } else queue.refused(code);
    }
    return again;
  }

  /** Rejects what has waited too long, or everything once the log is closed. Returns whether nothing is left to try. */
  #giveUp(queue: PartitionQueue, error: Error): boolean {
    if (this.#closing.signal.aborted) return queue.giveUpClosed(error);
    return queue.giveUpSince(performance.now() - this.#giveUpMs, error);
  }
}
