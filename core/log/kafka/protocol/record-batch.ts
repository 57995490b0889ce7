// Kafka's record batches, format 2, uncompressed: what is appended, and what a fetch brings. kafkajs's decoder drops a batch that
// compaction left without records. Here the batch's header counts, so a reader always knows where to go on.
import type { LogRecord, NewRecord } from "../../log.ts";
import { crc32c } from "./crc32c.ts";
import { Reader, Writer } from "./wire.ts";

/** Identifies a batch: with the same id, epoch and sequence it is written once, however often it is sent. */
export interface ProducerStamp {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly firstSequence: number;
  readonly transactional: boolean;
}

export interface RecordBatch {
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly producerId: number;
  readonly transactional: boolean;
  /** A marker that ends a transaction. Its records are Kafka's own. */
  readonly control: false | "commit" | "abort" | "other";
  /** Decodes the records when it is called, so a skipped batch costs only its header. */
  records(): LogRecord[];
}

// firstOffset 8 · length 4; then leader epoch 4 · magic 1 · crc 4, and what the crc is of: attributes 2 · last delta 4 ·
// two timestamps 16 · producer 8 + 2 · sequence 4 · count 4
const PREFIX_BYTES = 12;
const BODY_AT = 21;
const HEADER_BYTES = 61;
const MAGIC_AT = 16;
const COMPRESSION = 0x07;
const LOG_APPEND_TIME = 0x08;
const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;

// A2.2: larger batches gain nothing, and tools on kafkajs read at most 1 MiB at once.
export const BATCH_RECORDS = 500;
export const BATCH_BYTES = 512 * 1024;

/** The sequence after so many records. */
export function nextSequence(sequence: number, records: number): number {
  return (sequence + records) % 2 ** 31;
}

/** The most bytes that a record takes in a batch, beside its value. */
export function overheadOf(record: NewRecord): number {
  let bytes = 32 + record.key.length * 3;
  for (const [name, value] of Object.entries(record.headers ?? {})) bytes += 10 + (name.length + value.length) * 3;
  return bytes;
}

export function sizeOf(record: NewRecord): number {
  return (record.value?.byteLength ?? 0) + overheadOf(record);
}

/** One batch. `time` is its date if the log does not date it itself. */
export function encodeBatch(records: readonly NewRecord[], stamp: ProducerStamp, time: number): Buffer {
  const body = new Writer(records.reduce((sum, record) => sum + sizeOf(record), HEADER_BYTES));
  body.int16(stamp.transactional ? TRANSACTIONAL : 0).int32(records.length - 1).int64(time).int64(time);
  body.int64(stamp.producerId).int16(stamp.producerEpoch).int32(stamp.firstSequence).int32(records.length);
  for (const [delta, record] of records.entries()) {
    const encoded = encodeRecord(record, delta);
    body.varint(encoded.length).raw(encoded);
  }
  const bytes = body.take();
  const head = new Writer(BODY_AT).int64(0).int32(bytes.length + BODY_AT - PREFIX_BYTES).int32(-1).int8(2);
  return Buffer.concat([head.uint32(crc32c(bytes)).take(), bytes]);
}

function encodeRecord(record: NewRecord, delta: number): Buffer {
  const key = Buffer.from(record.key);
  const headers = Object.entries(record.headers ?? {});
  const writer = new Writer(sizeOf(record)).int8(0).varint(0).varint(delta).varint(key.length).raw(key);
  if (record.value === null) writer.varint(-1);
  else writer.varint(record.value.byteLength).raw(record.value);
  writer.varint(headers.length);
  for (const [name, value] of headers) {
    for (const text of [name, value]) {
      const bytes = Buffer.from(text);
      writer.varint(bytes.length).raw(bytes);
    }
  }
  return writer.take();
}

/** The whole batches of what a fetch brought. A batch at the end that is cut short is left for the next fetch. */
export function decodeBatches(bytes: Buffer, partition: number): RecordBatch[] {
  const batches: RecordBatch[] = [];
  for (let at = 0; at + PREFIX_BYTES <= bytes.length;) {
    const end = at + PREFIX_BYTES + bytes.readInt32BE(at + 8);
    if (end > bytes.length) break;
    batches.push(decodeBatch(bytes.subarray(at, end), partition));
    at = end;
  }
  return batches;
}

function decodeBatch(bytes: Buffer, partition: number): RecordBatch {
  if (bytes[MAGIC_AT] !== 2) throw new RangeError(`A record batch has format ${bytes[MAGIC_AT]}, not 2`);
  const reader = new Reader(bytes);
  const firstOffset = reader.int64();
  reader.view(BODY_AT - 8);
  const attributes = reader.int16();
  const lastOffset = firstOffset + reader.int32();
  const firstTime = reader.int64();
  const maxTime = reader.int64();
  const producerId = reader.int64();
  const body = Buffer.from(bytes.buffer, bytes.byteOffset + HEADER_BYTES - 4, bytes.length - HEADER_BYTES + 4);
  const control = (attributes & CONTROL) !== 0 && controlType(new Reader(body));
  return {
    firstOffset,
    lastOffset,
    producerId,
    transactional: (attributes & TRANSACTIONAL) !== 0,
    control,
    records() {
      // The appender does not compress, and the start checks that our Kafka topics do not.
      if ((attributes & COMPRESSION) !== 0) throw new RangeError("A record batch is compressed");
      const time = (attributes & LOG_APPEND_TIME) !== 0 ? maxTime : firstTime;
      const records = new Reader(body);
      return records.array(() => decodeRecord(records, { partition, firstOffset, time }));
    },
  };
}

function decodeRecord(
  reader: Reader,
  { partition, firstOffset, time }: { partition: number; firstOffset: number; time: number },
): LogRecord {
  const length = reader.varint();
  const end = reader.at + length;
  reader.int8();
  reader.skipVarlong();
  const offset = firstOffset + reader.varint();
  const key = reader.text(reader.varint());
  const size = reader.varint();
  const value = size < 0 ? null : reader.copy(size);
  const headers: Record<string, string> = {};
  for (let count = reader.varint(); count > 0; count--) {
    const name = reader.text(reader.varint());
    headers[name] = reader.text(reader.varint());
  }
  if (reader.at !== end) throw new RangeError(`A record of ${length} bytes ends ${reader.at - end} bytes off`);
  return { partition, offset, key, value, headers, time };
}

/** The key of a marker's record is its version and its type, two bytes each. */
function controlType(reader: Reader): "commit" | "abort" | "other" {
  if (reader.int32() === 0) return "other";
  reader.varint();
  reader.int8();
  reader.skipVarlong();
  reader.varint();
  if (reader.varint() < 4) return "other";
  reader.int16();
  const type = reader.int16();
  return type === 0 ? "abort" : type === 1 ? "commit" : "other";
}
