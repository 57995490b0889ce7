// The newest records of one stream, kept in memory so that followers are fed after the commit without a read.
import type { LogRecord } from "../log.ts";

export class Recent {
  /** The first `head` places are empty. */
  #records: (LogRecord | undefined)[] = [];
  #bytes = 0;
  #head = 0;
  /** Offsets from here on are all held. */
  #from: number;
  readonly #maxBytes: number;

  constructor(next: number, maxBytes: number) {
    this.#from = next;
    this.#maxBytes = maxBytes;
  }

  /** Adds records that were just committed; they follow on the last ones. */
  add(records: readonly LogRecord[]): void {
    for (const record of records) {
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

  /** The records from `offset` on, at most about `maxBytes` of them; undefined if some are no longer held. */
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
    // All places from `head` on are taken.
    return this.#records.slice(low, end) as LogRecord[];
  }
}

/** Bytes a record takes in memory, about: key, headers and what holds them are often more than its value. */
function size(record: LogRecord): number {
  return (record.value?.byteLength ?? 0) + 1_000;
}
