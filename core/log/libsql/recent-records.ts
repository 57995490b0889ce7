// The newest records of one stream, kept in memory so that followers are fed after a commit without a read.
import type { LogRecord } from "../log.ts";

export class RecentRecords {
  /** The first `#head` elements are empty. */
  #records: (LogRecord | undefined)[] = [];
  #bytes = 0;
  #head = 0;
  /** All offsets from here on are in memory. */
  #from: number;
  readonly #maxBytes: number;

  constructor(next: number, maxBytes: number) {
    this.#from = next;
    this.#maxBytes = maxBytes;
  }

  /** Adds records that were just committed; the first follows on the last one here. */
  add(records: readonly LogRecord[]): void {
    for (const record of withOwnBytes(records)) {
      this.#records.push(record);
      this.#bytes += size(record);
    }
    while (this.#bytes > this.#maxBytes && this.#head < this.#records.length) {
      const oldest = this.#records[this.#head]!;
      this.#records[this.#head++] = undefined;
      this.#bytes -= size(oldest);
      this.#from = oldest.offset + 1;
    }
    if (this.#head > 1_024 && this.#head * 2 > this.#records.length) {
      this.#records = this.#records.slice(this.#head);
      this.#head = 0;
    }
  }

  /** The records from `offset` on, about `maxBytes` of them at most; undefined if some are no longer in memory. */
  since(offset: number, maxBytes: number): LogRecord[] | undefined {
    if (offset < this.#from) return undefined;
    let low = this.#head;
    let high = this.#records.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#records[middle]!.offset < offset) low = middle + 1;
      else high = middle;
    }
    let end = low;
    for (let bytes = 0; end < this.#records.length && bytes < maxBytes; end++) bytes += size(this.#records[end]!);
    // No element from `#head` on is empty.
    return this.#records.slice(low, end) as LogRecord[];
  }
}

/**
 * Records that keep at most twice their bytes in memory. A value made of a string is a part of the runtime's pool of 64 KiB, which would
 * stay whole for one record of 200 bytes. One copy for a commit: its records leave together.
 */
function withOwnBytes(records: readonly LogRecord[]): readonly LogRecord[] {
  const shared = (value: LogRecord["value"]) => value !== null && 2 * value.byteLength < value.buffer.byteLength;
  const own = Buffer.allocUnsafeSlow(
    records.reduce((sum, { value }) => sum + (shared(value) ? value!.byteLength : 0), 0),
  );
  let end = 0;
  return records.map((record) => {
    if (!shared(record.value)) return record;
    const value = own.subarray(end, end += record.value!.byteLength);
    value.set(record.value!);
    return { ...record, value };
  });
}

/** About how many bytes a record takes in memory: its key, headers and objects often take more than its value. */
function size(record: LogRecord): number {
  return (record.value?.byteLength ?? 0) + 1_000;
}
