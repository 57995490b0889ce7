// Follows partitions for ever, without a consumer group: one loop of fetches per leading broker, on connections of its own. When a
// broker stops, is killed or hands a partition over, the fetches go on at the same positions, so nothing is lost or repeated (A2.4).
import { getLogger } from "@logtape/logtape";
import { aborted, pause } from "../../../shared/pause.ts";
import type { Batch, Chunk, Follower, Stream } from "../log.ts";
import type { Cluster } from "./cluster/cluster.ts";
import type { Offsets } from "./offsets.ts";
import { committed, fetch, type FetchResult } from "./protocol/fetch.ts";
import { CODE, isPassingCode, nameOf } from "./protocol/kafka-error.ts";
import { END, START } from "./protocol/topic-requests.ts";

export interface FollowedPartition {
  readonly stream: Stream;
  readonly partition: number;
  readonly from: number;
}

export interface FollowerOptions {
  /** The follower's own, closed with it: a long fetch delays what comes after it on a connection. */
  readonly cluster: Cluster;
  readonly offsets: Offsets;
  readonly partitions: readonly FollowedPartition[];
  readonly kafkaTopicOf: (stream: Stream) => string;
  readonly handle: (batch: Batch) => void | Promise<void>;
  readonly onClosed: () => void;
}

interface Followed extends FollowedPartition {
  readonly kafkaTopic: string;
  next: number;
  /** The partition is in a fetch or in the handler, so no other loop may fetch it. */
  busy: boolean;
}

const MAX_WAIT_MS = 250;
const ANSWER_WITHIN_MS = 5_000;
const PARTITION_BYTES = 1024 * 1024;
const FETCH_BYTES = 4 * 1024 * 1024;
const PAUSE_MS = 100;
/** The pause before a handler that failed gets the same batch again, and before a partition with a lasting error is tried again. */
const LONG_PAUSE_MS = 1_000;

const logger = getLogger(["tidings", "core", "log"]);

export class KafkaFollower implements Follower {
  readonly #options: FollowerOptions;
  #all: readonly Followed[];
  readonly #closing = new AbortController();
  /** Loops by leader. */
  readonly #loops = new Map<number, Promise<void>>();
  /** Handlers run one after the other; this is the end of the chain. */
  #turn: Promise<void> = Promise.resolve();
  /** Resolves when leaders should be looked at again. */
  #unsettled = Promise.withResolvers<void>();
  readonly #running: Promise<void>;

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#all = options.partitions.map((partition) => this.#begin(partition));
    this.#running = this.#supervise();
  }

  add(stream: Stream, partition: number, from: number): void {
    this.remove(stream, partition);
    this.#all = [...this.#all, this.#begin({ stream, partition, from })];
    // A leader without a loop gets one; the other loops fetch it the next time.
    this.#unsettled.resolve();
  }

  remove(stream: Stream, partition: number): void {
    this.#all = this.#all.filter((one) => one.stream !== stream || one.partition !== partition);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#options.cluster.close();
    try {
      await this.#running;
    } finally {
      this.#options.onClosed();
    }
  }

  #begin(partition: FollowedPartition): Followed {
    const kafkaTopic = this.#options.kafkaTopicOf(partition.stream);
    return { ...partition, kafkaTopic, next: partition.from, busy: false };
  }

  #leaderOf({ kafkaTopic, partition }: Followed): number | undefined {
    return this.#options.cluster.leaderOf(kafkaTopic, partition);
  }

  /** Keeps a loop at every leader; looks again who leads when a loop fails or has no partition left. */
  async #supervise(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      this.#unsettled = Promise.withResolvers<void>();
      try {
        await this.#options.cluster.refresh();
      } catch (error) {
        logger.debug("a follower waits for a broker: {reason}", { reason: (error as Error).message });
        await pause(PAUSE_MS, signal);
        continue;
      }
      let leaderless = false;
      for (const one of this.#all) {
        const leader = this.#leaderOf(one);
        if (leader === undefined) leaderless = true;
        else if (!this.#loops.has(leader)) {
          this.#loops.set(leader, this.#loop(leader).finally(() => this.#loops.delete(leader)));
        }
      }
      await (leaderless ? pause(PAUSE_MS, signal) : Promise.race([this.#unsettled.promise, aborted(signal)]));
      await pause(PAUSE_MS, signal);
    }
    await Promise.all(this.#loops.values());
  }

  async #loop(leader: number): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const mine = this.#all.filter((one) => !one.busy && this.#leaderOf(one) === leader);
      if (mine.length === 0) return this.#unsettled.resolve();
      for (const one of mine) one.busy = true;
      let fine = false;
      try {
        fine = await this.#fetch(leader, mine);
      } catch (error) {
        if (!signal.aborted) logger.debug("a fetch is repeated after: {reason}", { reason: (error as Error).message });
      }
      for (const one of mine) one.busy = false;
      if (fine) continue;
      this.#unsettled.resolve();
      await pause(PAUSE_MS, signal);
    }
  }

  /** One fetch, and all that it brought. Returns whether nothing was wrong; otherwise leaders are looked at again after a pause. */
  async #fetch(leader: number, mine: readonly Followed[]): Promise<boolean> {
    const parts = mine.map(({ kafkaTopic, partition, next }) => ({
      kafkaTopic,
      partition,
      offset: next,
      maxBytes: PARTITION_BYTES,
    }));
    const request = fetch(parts, { maxWaitMs: MAX_WAIT_MS, maxBytes: FETCH_BYTES });
    const { results } = await this.#options.cluster.send(leader, request, MAX_WAIT_MS + ANSWER_WITHIN_MS);
    let fine = true;
    const fed = new Set<Followed>();
    for (const result of results) {
      const one = mine.find(({ kafkaTopic, partition }) =>
        kafkaTopic === result.kafkaTopic && partition === result.partition
      );
      if (one === undefined || this.#closing.signal.aborted || !this.#all.includes(one)) continue;
      if (result.errorCode !== CODE.NONE) fine = await this.#recover(one, result.errorCode) && fine;
      else if (await this.#feed(one, result)) fed.add(one);
    }
    // An answer that is full leaves out its last partitions, so the partitions that were fed go behind the others.
    if (fed.size > 0) {
      this.#all = [
        ...this.#all.filter((one) => !fed.has(one)),
        ...this.#all.filter((one) => fed.has(one)),
      ];
    }
    return fine;
  }

  async #feed(one: Followed, result: FetchResult): Promise<boolean> {
    const { records, next } = committed(result, one.next);
    if (next === one.next) return false;
    await this.#deliver(one, { records, next });
    return true;
  }

  /** Returns whether the next fetch may follow at once. */
  async #recover(one: Followed, errorCode: number): Promise<boolean> {
    const { kafkaTopic } = one;
    if (errorCode === CODE.OFFSET_OUT_OF_RANGE) return await this.#passGap(one);
    if (!isPassingCode(errorCode)) {
      logger.error("Cannot follow {kafkaTopic}: {error}", { kafkaTopic, error: nameOf(errorCode) });
      await pause(LONG_PAUSE_MS, this.#closing.signal);
    }
    return false;
  }

  /** Records that retention removed are a gap. The follower never jumps to the end in silence, as kafkajs would (A2.4). */
  async #passGap(one: Followed): Promise<boolean> {
    const { offsets } = this.#options;
    const { kafkaTopic, partition, next } = one;
    const start = await offsets.at(kafkaTopic, partition, START);
    if (next < start) {
      await this.#deliver(one, { records: [], next: start, gap: { from: next, to: start } });
      return true;
    }
    const end = await offsets.at(kafkaTopic, partition, END);
    if (next <= end) return false;
    logger.error(
      "{kafkaTopic}, partition {partition}, ends at {end}, but is followed from {next}: is it another log?",
      { kafkaTopic, partition, end, next },
    );
    await pause(LONG_PAUSE_MS, this.#closing.signal);
    return false;
  }

  /** Waits for the handlers of the other loops. A handler that fails gets the same batch again: no record is left out. */
  async #deliver(one: Followed, chunk: Chunk): Promise<void> {
    const batch = { stream: one.stream, partition: one.partition, ...chunk };
    const mine = this.#turn.then(() => this.#handle(one, batch));
    this.#turn = mine;
    await mine;
  }

  async #handle(one: Followed, batch: Batch): Promise<void> {
    while (!this.#closing.signal.aborted && this.#all.includes(one)) {
      try {
        await this.#options.handle(batch);
        one.next = batch.next;
        return;
      } catch (error) {
        logger.error("A handler failed and gets the same records of {stream} again: {error}", {
          stream: one.stream,
          error,
        });
        await pause(LONG_PAUSE_MS, this.#closing.signal);
      }
    }
  }
}
