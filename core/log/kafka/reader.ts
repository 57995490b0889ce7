// One read: a chunk of one partition. It does not wait for records that are not there yet.
import { type Chunk, type LogRecord, type ReadLimits } from "../log.ts";
import type { Cluster } from "./cluster/cluster.ts";
import { committed, fetch, type FetchResult } from "./protocol/fetch.ts";
import { CODE, failOn, isPassing, NoAnswer } from "./protocol/kafka-error.ts";
import type { Offsets } from "./offsets.ts";
import { END, START } from "./protocol/topic-requests.ts";
import { retry } from "./retry.ts";

export type Read = (kafkaTopic: string, partition: number, from: number, limits: ReadLimits) => Promise<Chunk>;

const WITHIN_MS = 5_000;
/** The size of a fetch for certain keys, because most of what it brings may have other keys. */
const SCAN_BYTES = 1024 * 1024;

/** @throws {LogError} "unavailable" after 5 s of trying, "closed" */
export function createRead(cluster: Cluster, offsets: Offsets, closing: AbortSignal): Read {
  async function fetchOnce(kafkaTopic: string, partition: number, offset: number, bytes: number): Promise<FetchResult> {
    const leader = cluster.leaderOf(kafkaTopic, partition);
    if (leader === undefined) throw new NoAnswer("its leader is not known");
    const part = { kafkaTopic, partition, offset, maxBytes: bytes };
    const answer = await cluster.send(leader, fetch([part], { maxWaitMs: 0, maxBytes: bytes }));
    return answer.results[0]!;
  }

  return async (kafkaTopic, partition, from, limits) => {
    const bytes = limits.keys === undefined ? limits.maxBytes : Math.max(limits.maxBytes, SCAN_BYTES);
    const attempt = async (): Promise<Chunk> => {
      const result = await fetchOnce(kafkaTopic, partition, from, bytes);
      if (result.errorCode !== CODE.OFFSET_OUT_OF_RANGE) {
        failOn(result.errorCode, `Cannot read ${kafkaTopic}`);
        return chunkOf(result, from, limits);
      }
      const start = await offsets.at(kafkaTopic, partition, START);
      if (from >= start) {
        // Beyond the end there is nothing. Otherwise retention moved the start after the fetch.
        const end = await offsets.at(kafkaTopic, partition, END);
        if (from >= end) return { records: [], next: from };
        throw new NoAnswer("its range has just changed");
      }
      const rest = await fetchOnce(kafkaTopic, partition, start, bytes);
      if (rest.errorCode === CODE.OFFSET_OUT_OF_RANGE) throw new NoAnswer("its range has just changed");
      failOn(rest.errorCode, `Cannot read ${kafkaTopic}`);
      return { ...chunkOf(rest, start, limits), gap: { from, to: start } };
    };
    const patience = { what: `read ${kafkaTopic}, partition ${partition}`, forMs: WITHIN_MS, closing };
    return await retry(async () => {
      try {
        return await attempt();
      } catch (error) {
        if (isPassing(error)) await cluster.refresh().catch(() => {});
        throw error;
      }
    }, patience);
  };
}

/** The records within the limits. A fetch brings whole batches, so the next read may fetch the last ones again. */
function chunkOf(
  result: FetchResult,
  from: number,
  { maxBytes, keys }: ReadLimits,
): { records: LogRecord[]; next: number } {
  const all = committed(result, from);
  const records: LogRecord[] = [];
  let bytes = 0;
  for (const record of all.records) {
    if (keys !== undefined && !keys.has(record.key)) continue;
    bytes += record.value?.byteLength ?? 0;
    if (records.length > 0 && bytes > maxBytes) return { records, next: record.offset };
    records.push(record);
  }
  return { records, next: all.next };
}
