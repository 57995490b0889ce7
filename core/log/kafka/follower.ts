// Follows partitions for ever, without a consumer group: one loop of fetches per leading broker, on connections of its own. A
// broker that is stopped, killed or moved from is met again with the same positions, so nothing is lost or repeated (A2.4).
import { getLogger } from "@logtape/logtape";
import { aborted, pause } from "../../../shared/pause.ts";
import type { Batch, Follower, Stream } from "../log.ts";
import type { Cluster } from "./cluster/cluster.ts";
import { committed, fetch, type FetchResult } from "./protocol/fetch.ts";
import { CODE, isPassingCode, nameOf } from "./protocol/kafka-error.ts";
import { END, START } from "./protocol/topic-requests.ts";
import type { Offsets } from "./offsets.ts";

export interface FollowedPartition {
  readonly stream: Stream;
  readonly partition: number;
  readonly from: number;
}

export interface FollowerOptions {
  /** Its own, and closed with it: a long fetch holds up what comes after it on a connection. */
  readonly cluster: Cluster;
  readonly offsets: Offsets;
  readonly partitions: readonly FollowedPartition[];
  readonly kafkaTopicOf: (stream: Stream) => string;
  readonly handle: (batch: Batch) => void | Promise<void>;
}

interface Followed extends FollowedPartition {
  readonly kafkaTopic: string;
  next: number;
  /** In a fetch, or in the handler: no other loop may take it. */
  busy: boolean;
}

const MAX_WAIT_MS = 250;
const ANSWER_WITHIN_MS = 5_000;
const PARTITION_BYTES = 1024 * 1024;
const FETCH_BYTES = 4 * 1024 * 1024;
const PAUSE_MS = 100;
/** Before a handler that failed is given the same batch again, and between looks at what is wrong for longer. */
const LONG_PAUSE_MS = 1_000;

const logger = getLogger(["tidings", "core", "log"]);

export function createFollower(options: FollowerOptions): Follower {
  const { cluster, offsets, kafkaTopicOf, handle } = options;
  const begin = (partition: FollowedPartition): Followed => ({
    ...partition,
    kafkaTopic: kafkaTopicOf(partition.stream),
    next: partition.from,
    busy: false,
  });
  let all: Followed[] = options.partitions.map(begin);
  const closing = new AbortController();
  const { signal } = closing;
  const loops = new Map<number, Promise<void>>();
  let turn: Promise<void> = Promise.resolve();
  let trouble = Promise.withResolvers<void>();

  const running = supervise();

  /** Keeps a loop at every leader; looks again who leads when a loop meets trouble. */
  async function supervise(): Promise<void> {
    while (!signal.aborted) {
      trouble = Promise.withResolvers<void>();
      try {
        await cluster.refresh();
      } catch (error) {
        logger.debug("a follower waits for a broker: {reason}", { reason: (error as Error).message });
        await pause(PAUSE_MS, signal);
        continue;
      }
      let homeless = false;
      for (const { kafkaTopic, partition } of all) {
        const leader = cluster.leaderOf(kafkaTopic, partition);
        if (leader === undefined) homeless = true;
        else if (!loops.has(leader)) loops.set(leader, loop(leader).finally(() => loops.delete(leader)));
      }
      await (homeless ? pause(PAUSE_MS, signal) : Promise.race([trouble.promise, aborted(signal)]));
      await pause(PAUSE_MS, signal);
    }
    await Promise.all(loops.values());
  }

  async function loop(leader: number): Promise<void> {
    while (!signal.aborted) {
      const mine = all.filter((one) => !one.busy && cluster.leaderOf(one.kafkaTopic, one.partition) === leader);
      if (mine.length === 0) return trouble.resolve();
      for (const one of mine) one.busy = true;
      let fine = false;
      try {
        fine = await step(leader, mine);
      } catch (error) {
        if (!signal.aborted) logger.debug("a fetch is repeated after: {reason}", { reason: (error as Error).message });
      }
      for (const one of mine) one.busy = false;
      if (fine) continue;
      trouble.resolve();
      await pause(PAUSE_MS, signal);
    }
  }

  /** One fetch, and all it brought. Returns whether all of it was as it should be. */
  async function step(leader: number, mine: readonly Followed[]): Promise<boolean> {
    const parts = mine.map(({ kafkaTopic, partition, next }) => ({
      kafkaTopic,
      partition,
      offset: next,
      maxBytes: PARTITION_BYTES,
    }));
    const request = fetch(parts, { maxWaitMs: MAX_WAIT_MS, maxBytes: FETCH_BYTES });
    const { results } = await cluster.send(leader, request, MAX_WAIT_MS + ANSWER_WITHIN_MS);
    let fine = true;
    const fed = new Set<Followed>();
    for (const result of results) {
      const one = mine.find(({ kafkaTopic, partition }) =>
        kafkaTopic === result.kafkaTopic && partition === result.partition
      );
      if (one === undefined || signal.aborted || !all.includes(one)) continue;
      if (result.errorCode !== CODE.NONE) fine = await recover(one, result) && fine;
      else if (await feed(one, result)) fed.add(one);
    }
    // A full answer leaves out the partitions at its end: who was fed stands behind the others next time.
    if (fed.size > 0) all = [...all.filter((one) => !fed.has(one)), ...all.filter((one) => fed.has(one))];
    return fine;
  }

  async function feed(one: Followed, result: FetchResult): Promise<boolean> {
    const { records, next } = committed(result, one.next);
    if (next === one.next) return false;
    await deliver(one, { records, next });
    return true;
  }

  async function recover(one: Followed, { errorCode }: FetchResult): Promise<boolean> {
    const { kafkaTopic, partition, next } = one;
    if (errorCode === CODE.OFFSET_OUT_OF_RANGE) {
      // Never to the end in silence, as kafkajs would: what retention took is a gap (A2.4).
      const start = await offsets.at(kafkaTopic, partition, START);
      if (next < start) {
        await deliver(one, { records: [], next: start, gap: { from: next, to: start } });
        return true;
      }
      const end = await offsets.at(kafkaTopic, partition, END);
      if (next <= end) return false;
      logger.error(
        "{kafkaTopic}, partition {partition}, ends at {end}, before {next} which is followed: is it another log?",
        {
          kafkaTopic,
          partition,
          end,
          next,
        },
      );
      await pause(LONG_PAUSE_MS, signal);
    } else if (!isPassingCode(errorCode)) {
      logger.error("Cannot follow {kafkaTopic}: {error}", { kafkaTopic, error: nameOf(errorCode) });
      await pause(LONG_PAUSE_MS, signal);
    }
    return false;
  }

  /** In turn with the other loops. A handler that fails gets the same batch again: a record is never left out. */
  async function deliver(one: Followed, chunk: Omit<Batch, "stream" | "partition">): Promise<void> {
    const batch = { stream: one.stream, partition: one.partition, ...chunk };
    const mine = turn.then(async () => {
      while (!signal.aborted && all.includes(one)) {
        try {
          await handle(batch);
          one.next = chunk.next;
          return;
        } catch (error) {
          logger.error("A handler failed and is given the same records of {stream} again: {error}", {
            stream: one.stream,
            error,
          });
          await pause(LONG_PAUSE_MS, signal);
        }
      }
    });
    turn = mine;
    await mine;
  }

  function remove(stream: Stream, partition: number): void {
    all = all.filter((one) => one.stream !== stream || one.partition !== partition);
  }

  return {
    add(stream, partition, from) {
      remove(stream, partition);
      all.push(begin({ stream, partition, from }));
      // A leader without a loop gets one; the others take it into their next fetch.
      trouble.resolve();
    },
    remove,
    async close() {
      closing.abort();
      cluster.close();
      await running;
    },
  };
}
