// One partition as a broker keeps it: batches and markers in the order of their offsets, transactions that are not decided yet, and
// what compaction leaves.
import { decodeBatches } from "../../../core/log/kafka/protocol/record-batch.ts";
import { Writer } from "../../../core/log/kafka/protocol/wire.ts";
import type { LogRecord } from "../../../core/log/log.ts";

interface Batch {
  readonly first: number;
  readonly last: number;
  readonly bytes: Buffer;
  readonly producerId: number;
  readonly transactional: boolean;
  readonly control: boolean;
  readonly time: number;
  readonly records: readonly LogRecord[];
}

/** An aborted transaction, as the answers to fetches name it. */
interface Aborted {
  readonly producerId: number;
  readonly firstOffset: number;
  readonly lastOffset: number;
}

interface Producer {
  epoch: number;
  /** The last batches, so that a batch that is sent again is found. */
  batches: { readonly first: number; readonly last: number; readonly offset: number }[];
}

export type Produced = { readonly offset: number; readonly again: boolean } | "out of order" | "old epoch";

const LOG_APPEND_TIME = 0x08;
const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;
const AT = { attributes: 21, lastDelta: 23, maxTime: 35, producerId: 43, epoch: 51, sequence: 53, count: 57 };
const REMEMBERED_BATCHES = 5;

export class Partition {
  readonly topic: string;
  readonly number: number;
  readonly node: number;
  /** The oldest offset kept. */
  start: number;
  next: number;
  #batches: Batch[] = [];
  /** Every batch there ever was. */
  readonly #history: Batch[] = [];
  readonly #producers = new Map<number, Producer>();
  /** By producer, the offset at which its undecided transaction begins. */
  readonly #open = new Map<number, number>();
  #aborted: Aborted[] = [];
  /** Called when there is something new to read. */
  readonly waiting = new Set<() => void>();

  constructor({ topic, number, node, start }: { topic: string; number: number; node: number; start: number }) {
    this.topic = topic;
    this.number = number;
    this.node = node;
    this.start = this.next = start;
  }

  /** Offsets below this are decided. */
  get lastStable(): number {
    let least = this.next;
    for (const first of this.#open.values()) least = Math.min(least, first);
    return least;
  }

  produce(sent: Buffer, now: number): Produced {
    const producerId = sent.readInt32BE(AT.producerId) * 2 ** 32 + sent.readUInt32BE(AT.producerId + 4);
    const epoch = sent.readInt16BE(AT.epoch);
    const sequence = sent.readInt32BE(AT.sequence);
    const count = sent.readInt32BE(AT.count);
    let producer = this.#producers.get(producerId);
    if (producer !== undefined && epoch < producer.epoch) return "old epoch";
    if (producer === undefined || epoch > producer.epoch) {
      if (producer !== undefined && sequence !== 0) return "out of order";
      this.#producers.set(producerId, producer = { epoch, batches: [] });
    }
    const again = producer.batches.find(({ first, last }) => first === sequence && last === sequence + count - 1);
    if (again !== undefined) return { offset: again.offset, again: true };
    const newest = producer.batches.at(-1);
    if (newest !== undefined && sequence !== newest.last + 1) return "out of order";
    const offset = this.next;
    producer.batches.push({ first: sequence, last: sequence + count - 1, offset });
    if (producer.batches.length > REMEMBERED_BATCHES) producer.batches.shift();

    const bytes = Buffer.from(sent);
    writeInt64(bytes, offset, 0);
    bytes.writeInt16BE(bytes.readInt16BE(AT.attributes) | LOG_APPEND_TIME, AT.attributes);
    writeInt64(bytes, Math.floor(now), AT.maxTime);
    const transactional = (bytes.readInt16BE(AT.attributes) & TRANSACTIONAL) !== 0;
    if (transactional && !this.#open.has(producerId)) this.#open.set(producerId, offset);
    this.#add(bytes);
    return { offset, again: false };
  }

  /** The transaction of a producer is decided: its records here become readable, or never will. */
  mark(producerId: number, epoch: number, commit: boolean, now: number): void {
    const producer = this.#producers.get(producerId);
    // From now on, batches of an older epoch that come late are refused.
    if (producer !== undefined && producer.epoch < epoch) this.#producers.set(producerId, { epoch, batches: [] });
    const firstOffset = this.#open.get(producerId);
    const offset = this.next;
    this.#add(encodeMarker({ offset, producerId, epoch, commit, now }));
    this.#open.delete(producerId);
    if (!commit && firstOffset !== undefined) this.#aborted.push({ producerId, firstOffset, lastOffset: offset });
    this.wake();
  }

  #add(bytes: Buffer): void {
    const [decoded] = decodeBatches(bytes, this.number);
    const { firstOffset: first, lastOffset: last, producerId, transactional, control } = decoded!;
    const records = control ? [] : decoded!.records();
    const time = bytes.readUInt32BE(AT.maxTime) * 2 ** 32 + bytes.readUInt32BE(AT.maxTime + 4);
    const batch = { first, last, bytes, producerId, transactional, control: control !== false, time, records };
    this.#batches.push(batch);
    this.#history.push(batch);
    this.next = last + 1;
    if (!transactional) this.wake();
  }

  wake(): void {
    // Each of them may wait again at once.
    const waiting = Array.from(this.waiting);
    for (const wake of waiting) wake();
  }

  /** What a read-committed fetch brings from an offset on; at most `most` batches. */
  fetch(from: number, maxBytes: number, most: number): { bytes: Buffer; aborted: Aborted[] } {
    const { lastStable } = this;
    const found: Buffer[] = [];
    let size = 0;
    let end = from;
    for (let index = this.#indexOf(from); index < this.#batches.length && found.length < most; index++) {
      const batch = this.#batches[index]!;
      if (batch.first >= lastStable || (found.length > 0 && size + batch.bytes.length > maxBytes)) break;
      found.push(batch.bytes);
      size += batch.bytes.length;
      end = batch.last + 1;
    }
    const aborted = this.#aborted.filter((one) => one.lastOffset >= from && one.firstOffset < end);
    return { bytes: Buffer.concat(found), aborted };
  }

  /** The first offset at or after a time, -1 if there is none. */
  offsetAt(time: number): number {
    return this.#batches.find((batch) => !batch.control && batch.time >= time)?.first ?? -1;
  }

  #indexOf(offset: number): number {
    let low = 0;
    let high = this.#batches.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#batches[middle]!.last < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** All records that were ever committed, also those that compaction has removed since. The judges of a run use them. */
  committed(): LogRecord[] {
    const { lastStable } = this;
    return this.#history.flatMap((batch) =>
      batch.first >= lastStable || batch.control || this.#isAborted(batch) ? [] : batch.records
    );
  }

  #isAborted(batch: Batch): boolean {
    return batch.transactional &&
      this.#aborted.some((one) =>
        one.producerId === batch.producerId && batch.first >= one.firstOffset && batch.last < one.lastOffset
      );
  }

  /** Keeps the newest record of each key. From then on offsets have holes. */
  compact(): void {
    const { lastStable } = this;
    const newest = new Map<string, number>();
    for (const batch of this.#batches) {
      if (batch.first >= lastStable || this.#isAborted(batch)) continue;
      for (const { key, offset } of batch.records) newest.set(key, offset);
    }
    // Like a broker's cleaner, it does not touch the newest segment.
    const until = this.#batches.at(-3)?.first ?? 0;
    const kept: Batch[] = [];
    for (const batch of this.#batches) {
      if (batch.control || batch.first >= Math.min(lastStable, until)) {
        kept.push(batch);
        continue;
      }
      const records = this.#isAborted(batch)
        ? []
        : batch.records.filter(({ key, offset }) => newest.get(key) === offset);
      if (records.length === batch.records.length) kept.push(batch);
      else if (records.length > 0) {
        kept.push({ ...batch, records, bytes: encodeRemaining(batch.bytes, batch.first, records) });
      }
    }
    this.#batches = kept;
  }
}

function writeInt64(bytes: Buffer, value: number, at: number): void {
  bytes.writeInt32BE(Math.floor(value / 2 ** 32), at);
  bytes.writeUInt32BE(value >>> 0, at + 4);
}

function encodeMarker(
  { offset, producerId, epoch, commit, now }: {
    offset: number;
    producerId: number;
    epoch: number;
    commit: boolean;
    now: number;
  },
): Buffer {
  const record = new Writer(32).int8(0).varint(0).varint(0).varint(4).int16(0).int16(commit ? 1 : 0)
    .varint(6).int16(0).int32(0).varint(0).take();
  const time = Math.floor(now);
  const body = new Writer(96).int16(TRANSACTIONAL | CONTROL | LOG_APPEND_TIME).int32(0).int64(time).int64(time)
    .int64(producerId).int16(epoch).int32(-1).int32(1).varint(record.length).raw(record).take();
  return whole(offset, body);
}

/** A batch with only these of its records, at their offsets. */
function encodeRemaining(bytes: Buffer, first: number, records: readonly LogRecord[]): Buffer {
  const body = new Writer(bytes.length).raw(bytes.subarray(AT.attributes, AT.count)).int32(records.length);
  for (const record of records) {
    const key = Buffer.from(record.key);
    const writer = new Writer(256).int8(0).varint(0).varint(record.offset - first).varint(key.length).raw(key);
    if (record.value === null) writer.varint(-1);
    else writer.varint(record.value.byteLength).raw(record.value);
    writer.varint(Object.keys(record.headers).length);
    for (const text of Object.entries(record.headers).flat()) {
      const encoded = Buffer.from(text);
      writer.varint(encoded.length).raw(encoded);
    }
    const encoded = writer.take();
    body.varint(encoded.length).raw(encoded);
  }
  return whole(first, body.take());
}

function whole(offset: number, body: Buffer): Buffer {
  const head = new Writer(32).int64(offset).int32(body.length + 9).int32(-1).int8(2).uint32(0).take();
  return Buffer.concat([head, body]);
}
