// Appends, batched per partition, each batch written once (A2.1, A2.2). One request at a time to each leader: what arrives
// meanwhile is the next batch, so a lone append waits for nobody and many share a round trip.
//
// Each partition has a producer id of its own. A batch keeps its id and sequence until its fate is clear, so that sending it
// again cannot write it twice; a batch given up takes its producer with it, or the next one could be taken for it.
import { getLogger } from "@logtape/logtape";
import { pause } from "../../../shared/pause.ts";
import { LogError, type NewRecord } from "../log.ts";
import type { Cluster } from "./cluster/cluster.ts";
import { CODE, failOn, isPassingCode, KafkaError, nameOf, NoAnswer } from "./protocol/kafka-error.ts";
import { produce, type ProduceResult } from "./protocol/produce.ts";
import { encodeBatch, sizeOf } from "./protocol/record-batch.ts";
import { initProducerId } from "./protocol/transaction-requests.ts";

export interface Appended {
  readonly offset: number;
  /** By the log's clock, ms. */
  readonly time: number;
}

export interface Appender {
  /** @throws {LogError} "unavailable" after 30 s of trying or if too much waits already, "too_large", "closed" */
  append(kafkaTopic: string, partition: number, record: NewRecord): Promise<Appended>;
  /** Refuses new records; those taken are still written if that is a matter of `graceMs`. */
  close(graceMs: number): Promise<void>;
}

interface Waiting {
  readonly record: NewRecord;
  readonly since: number;
  readonly resolve: (appended: Appended) => void;
  readonly reject: (error: Error) => void;
}

/** What is sent for one partition, and sent again unchanged until its fate is clear. */
interface Cut {
  readonly entries: readonly Waiting[];
  readonly batch: Buffer;
  /** Sent at least once without a clear answer. */
  unclear: boolean;
}

interface Lane {
  readonly kafkaTopic: string;
  readonly partition: number;
  queue: Waiting[];
  producer: { readonly id: number; readonly epoch: number; sequence: number } | undefined;
  cut: Cut | undefined;
  busy: boolean;
}

// A2.2: larger batches gain nothing, and kafkajs's readers of them (tools) take up to 1 MiB.
const CUT_RECORDS = 500;
const CUT_BYTES = 512 * 1024;
const REQUEST_BYTES = 8 * 1024 * 1024;
const GIVE_UP_MS = 30_000;
const PAUSE_MS = 100;
/** All that may wait while no broker answers. */
const WAITING_BYTES = 64 * 1024 * 1024;
const ACKS_WITHIN_MS = 4_000;

const SEQUENCE_LOST: ReadonlySet<number> = new Set([
  CODE.OUT_OF_ORDER_SEQUENCE_NUMBER,
  CODE.UNKNOWN_PRODUCER_ID,
  CODE.INVALID_PRODUCER_EPOCH,
  CODE.INVALID_PRODUCER_ID_MAPPING,
]);
const TOO_LARGE: ReadonlySet<number> = new Set([CODE.MESSAGE_TOO_LARGE, CODE.RECORD_LIST_TOO_LARGE]);

const logger = getLogger(["tidings", "core", "log"]);

export function createAppender(
  cluster: Cluster,
  { giveUpMs = GIVE_UP_MS, clock = Date.now }: { giveUpMs?: number; clock?: () => number } = {},
): Appender {
  const lanes = new Map<string, Lane>();
  /** Lanes with something to send. */
  const ready = new Set<Lane>();
  const busy = new Set<number>();
  const closing = new AbortController();
  let scheduled = false;
  let refusing = false;
  let waitingBytes = 0;
  let idle: (() => void) | undefined;

  function laneOf(kafkaTopic: string, partition: number): Lane {
    const name = `${kafkaTopic}/${partition}`;
    let lane = lanes.get(name);
    if (lane === undefined) {
      lane = { kafkaTopic, partition, queue: [], producer: undefined, cut: undefined, busy: false };
      lanes.set(name, lane);
    }
    return lane;
  }

  function schedule(): void {
    if (scheduled || ready.size === 0) return;
    scheduled = true;
    // The next turn of the event loop: all that arrived in this one goes together.
    setImmediate(() => {
      scheduled = false;
      pump();
    });
  }

  function pump(): void {
    const byLeader = new Map<number | undefined, Lane[]>();
    for (const lane of ready) {
      if (lane.busy) continue;
      const leader = cluster.leaderOf(lane.kafkaTopic, lane.partition);
      if (leader !== undefined && busy.has(leader)) continue;
      const ofLeader = byLeader.get(leader);
      if (ofLeader === undefined) byLeader.set(leader, [lane]);
      else ofLeader.push(lane);
    }
    for (const [leader, ofLeader] of byLeader) void round(leader, ofLeader);
  }

  /** One request to one leader, and what comes of it. */
  async function round(leader: number | undefined, chosen: readonly Lane[]): Promise<void> {
    let again: Lane[] = [];
    let sent: Lane[] = [];
    for (const lane of chosen) lane.busy = true;
    if (leader !== undefined) busy.add(leader);
    try {
      if (leader === undefined) throw new NoAnswer("its leader is not known");
      await Promise.all(chosen.map((lane) => giveProducer(lane, leader)));
      sent = cutAll(chosen);
      const parts = sent.map(({ kafkaTopic, partition, cut }) => ({ kafkaTopic, partition, batch: cut!.batch }));
      const results = await cluster.send(leader, produce(parts, { transactionalId: null, timeoutMs: ACKS_WITHIN_MS }));
      again = settle(sent, results);
    } catch (error) {
      // It may have arrived all the same.
      for (const { cut } of sent) if (cut !== undefined) cut.unclear = true;
      again = chosen.filter((lane) => !giveUp(lane, error as Error));
    } finally {
      if (leader !== undefined) busy.delete(leader);
      const resting = new Set(again);
      for (const lane of chosen) if (!resting.has(lane)) rest(lane);
      schedule();
    }
    if (again.length === 0) return;
    await pause(PAUSE_MS, closing.signal);
    await cluster.refresh().catch(() => {});
    for (const lane of again) rest(lane);
    schedule();
  }

  function rest(lane: Lane): void {
    lane.busy = false;
    if (lane.cut === undefined && lane.queue.length === 0) ready.delete(lane);
    if (ready.size === 0) idle?.();
  }

  async function giveProducer(lane: Lane, node: number): Promise<void> {
    if (lane.producer !== undefined) return;
    const answer = await cluster.send(node, initProducerId({ transactionalId: null, transactionTimeoutMs: 60_000 }));
    failOn(answer.errorCode, "Cannot get a producer id");
    lane.producer = { id: answer.producerId, epoch: answer.producerEpoch, sequence: 0 };
  }

  /** The batches of one request; lanes beyond its size wait for the next one. */
  function cutAll(chosen: readonly Lane[]): Lane[] {
    const sent: Lane[] = [];
    let bytes = 0;
    for (const lane of chosen) {
      if (bytes >= REQUEST_BYTES) break;
      lane.cut ??= cutOf(lane, clock());
      bytes += lane.cut.batch.length;
      sent.push(lane);
    }
    return sent;
  }

  /** Returns the lanes that are to try again after a pause. */
  function settle(sent: readonly Lane[], results: readonly ProduceResult[]): Lane[] {
    const again: Lane[] = [];
    for (const lane of sent) {
      const result = results.find((one) => one.kafkaTopic === lane.kafkaTopic && one.partition === lane.partition);
      const { entries } = lane.cut!;
      const code = result?.errorCode ?? CODE.REQUEST_TIMED_OUT;
      if (code === CODE.NONE) {
        lane.producer!.sequence = (lane.producer!.sequence + entries.length) % 2 ** 31;
        lane.cut = undefined;
        for (const [index, entry] of entries.entries()) {
          waitingBytes -= sizeOf(entry.record);
          entry.resolve({ offset: result!.baseOffset + index, time: result!.time });
        }
      } else if (SEQUENCE_LOST.has(code)) {
        replaceProducer(lane, code);
        if (!giveUp(lane, new KafkaError(code, `Cannot append to ${lane.kafkaTopic}`))) again.push(lane);
      } else if (TOO_LARGE.has(code)) {
        split(lane);
      } else if (isPassingCode(code)) {
        // Some of these mean "perhaps written"; the batch stays as it is.
        lane.cut!.unclear = true;
        if (!giveUp(lane, new KafkaError(code, `Cannot append to ${lane.kafkaTopic}`))) again.push(lane);
      } else {
        reject(
          lane,
          entries.length,
          new LogError("unavailable", `Cannot append to ${lane.kafkaTopic}: ${nameOf(code)}`),
        );
      }
    }
    return again;
  }

  /** The broker no longer knows the producer: the same records go with a new one. */
  function replaceProducer(lane: Lane, code: number): void {
    const { kafkaTopic, partition } = lane;
    const { entries, unclear } = lane.cut!;
    lane.producer = undefined;
    putBack(lane);
    const message = "the idempotent producer of {kafkaTopic}, partition {partition}, is replaced after {error}";
    const properties = { kafkaTopic, partition, error: nameOf(code), records: entries.length };
    if (unclear) logger.warn(`${message}; up to {records} records may be there twice`, properties);
    else logger.info(message, properties);
  }

  /** The broker takes less than it was asked about at start: halves go, and a lone record is too large. */
  function split(lane: Lane): void {
    const { entries } = lane.cut!;
    if (entries.length === 1) {
      reject(lane, 1, new LogError("too_large", `The broker takes no record of this size in ${lane.kafkaTopic}`));
      return;
    }
    putBack(lane);
    lane.cut = cutOf(lane, clock(), Math.ceil(entries.length / 2));
  }

  function putBack(lane: Lane): void {
    lane.queue = [...lane.cut!.entries, ...lane.queue];
    lane.cut = undefined;
  }

  /** Rejects what has waited too long. Returns whether nothing is left to try. */
  function giveUp(lane: Lane, error: Error): boolean {
    const oldest = performance.now() - giveUpMs;
    const head = lane.cut?.entries ?? lane.queue;
    if (head.length === 0) return true;
    if (!closing.signal.aborted && head[0]!.since > oldest) return false;
    const failure = closing.signal.aborted
      ? new LogError("closed", "The log was closed before the record was known to be written", { cause: error })
      : new LogError("unavailable", `Cannot append to ${lane.kafkaTopic}: ${error.message}`, { cause: error });
    const waiting = head.filter(({ since }) => closing.signal.aborted || since <= oldest || lane.cut !== undefined);
    reject(lane, waiting.length, failure);
    return lane.queue.length === 0;
  }

  /** Rejects the first `count` records. Their producer goes too: its sequence is not known any more. */
  function reject(lane: Lane, count: number, error: LogError): void {
    lane.producer = undefined;
    if (lane.cut !== undefined) putBack(lane);
    for (const entry of lane.queue.splice(0, count)) {
      waitingBytes -= sizeOf(entry.record);
      entry.reject(error);
    }
  }

  return {
    append(kafkaTopic, partition, record) {
      if (refusing) return Promise.reject(new LogError("closed", "The log is closed"));
      if (waitingBytes > WAITING_BYTES) {
        return Promise.reject(
          new LogError("unavailable", `Cannot append to ${kafkaTopic}: too much waits to be written`),
        );
      }
      waitingBytes += sizeOf(record);
      return new Promise((resolve, reject) => {
        const lane = laneOf(kafkaTopic, partition);
        lane.queue.push({ record, since: performance.now(), resolve, reject });
        ready.add(lane);
        schedule();
      });
    },
    async close(graceMs) {
      refusing = true;
      if (ready.size === 0) return;
      const done = new Promise<void>((resolve) => idle = resolve);
      const late = setTimeout(() => {
        closing.abort();
        // Whatever still waits for an answer gets none.
        cluster.close();
      }, graceMs);
      await done;
      clearTimeout(late);
    },
  };
}

function cutOf(lane: Lane, now: number, atMost = CUT_RECORDS): Cut {
  let bytes = 0;
  let count = 0;
  for (const { record } of lane.queue) {
    bytes += sizeOf(record);
    if (count > 0 && (count >= atMost || bytes > CUT_BYTES)) break;
    count++;
  }
  const entries = lane.queue.slice(0, count);
  lane.queue = lane.queue.slice(count);
  const { id, epoch, sequence } = lane.producer!;
  const stamp = { producerId: id, producerEpoch: epoch, firstSequence: sequence, transactional: false };
  return { entries, batch: encodeBatch(entries.map(({ record }) => record), stamp, now), unclear: false };
}
