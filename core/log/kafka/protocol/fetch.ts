// The Fetch request (version 11), read-committed, and what a reader learns from its answer: the records, and where to go on.
import type { LogRecord } from "../../log.ts";
import { decodeBatches } from "./record-batch.ts";
import { type KafkaRequest, readByTopic, throttledRequest, writeByTopic } from "./request.ts";
import type { Reader } from "./wire.ts";

export interface FetchPart {
  readonly kafkaTopic: string;
  readonly partition: number;
  readonly offset: number;
  readonly maxBytes: number;
}

export interface FetchResult {
  readonly kafkaTopic: string;
  readonly partition: number;
  readonly errorCode: number;
  readonly aborted: readonly { readonly producerId: number; readonly firstOffset: number }[];
  /** Raw record batches; the last one may be cut short. */
  readonly bytes: Buffer;
}

/** The answer comes as soon as there is anything to read, at the latest after `maxWaitMs`. Its first batch is whole, whatever its size. */
export function fetch(
  parts: readonly FetchPart[],
  { maxWaitMs, maxBytes }: { maxWaitMs: number; maxBytes: number },
): KafkaRequest<{ readonly errorCode: number; readonly results: readonly FetchResult[] }> {
  return throttledRequest(
    { name: "Fetch", apiKey: 1, apiVersion: 11 },
    (writer) => {
      // An ordinary client, 1 byte is enough, read-committed, and no fetch session.
      writer.int32(-1).int32(maxWaitMs).int32(1).int32(maxBytes).int8(1).int32(0).int32(-1);
      writeByTopic(writer, parts, (part) => {
        writer.int32(part.partition).int32(-1).int64(part.offset).int64(-1).int32(part.maxBytes);
      });
      // Nothing is left out of a session, and no rack.
      writer.int32(0).string("");
    },
    (reader) => {
      const errorCode = reader.int16();
      reader.int32(); // session
      return { errorCode, results: readByTopic(reader, (kafkaTopic) => readPartition(reader, kafkaTopic)) };
    },
  );
}

function readPartition(reader: Reader, kafkaTopic: string): FetchResult {
  const partition = reader.int32();
  const errorCode = reader.int16();
  reader.int64(); // high watermark
  reader.int64(); // last stable offset
  reader.int64(); // log start
  const aborted = reader.array(() => ({ producerId: reader.int64(), firstOffset: reader.int64() }));
  reader.int32(); // preferred replica
  return { kafkaTopic, partition, errorCode, aborted, bytes: reader.bytes() };
}

/**
 * The committed records from `from` on, and `next`, the offset to go on at. It is beyond markers, aborted records and the holes that
 * compaction left, so it can be compared with the end.
 */
export function committed(result: FetchResult, from: number): { records: LogRecord[]; next: number } {
  const records: LogRecord[] = [];
  let next = from;
  const pending = result.aborted.toSorted((a, b) => a.firstOffset - b.firstOffset);
  const aborting = new Set<number>();
  for (const batch of decodeBatches(result.bytes, result.partition)) {
    while (pending.length > 0 && pending[0]!.firstOffset <= batch.lastOffset) aborting.add(pending.shift()!.producerId);
    if (batch.lastOffset < from) continue;
    next = batch.lastOffset + 1;
    if (batch.control === "abort") aborting.delete(batch.producerId);
    if (batch.control || (batch.transactional && aborting.has(batch.producerId))) continue;
    for (const record of batch.records()) {
      if (record.offset >= from) records.push(record);
    }
  }
  return { records, next };
}
