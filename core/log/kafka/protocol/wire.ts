// Kafka's primitive types, big endian. A 64-bit integer is a number here: offsets, times and producer ids stay below 2^53.

const TWO_32 = 2 ** 32;

/** Writes into a buffer that grows. */
export class Writer {
  #buffer: Buffer;
  #length = 0;

  constructor(size: number) {
    this.#buffer = Buffer.allocUnsafe(size);
  }

  get length(): number {
    return this.#length;
  }

  /** What was written. Nothing may be written afterwards. */
  take(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  int8(value: number): this {
    const at = this.#room(1);
    this.#buffer.writeInt8(value, at);
    return this;
  }

  boolean(value: boolean): this {
    return this.int8(value ? 1 : 0);
  }

  int16(value: number): this {
    const at = this.#room(2);
    this.#buffer.writeInt16BE(value, at);
    return this;
  }

  int32(value: number): this {
    const at = this.#room(4);
    this.#buffer.writeInt32BE(value, at);
    return this;
  }

  uint32(value: number): this {
    const at = this.#room(4);
    this.#buffer.writeUInt32BE(value, at);
    return this;
  }

  int64(value: number): this {
    const at = this.#room(8);
    const high = Math.floor(value / TWO_32);
    this.#buffer.writeInt32BE(high, at);
    this.#buffer.writeUInt32BE(value - high * TWO_32, at + 4);
    return this;
  }

  /** Zigzag, as records have it. */
  varint(value: number): this {
    let rest = ((value << 1) ^ (value >> 31)) >>> 0;
    while (rest >= 0x80) {
      this.int8(((rest & 0x7f) | 0x80) - 0x100);
      rest >>>= 7;
    }
    return this.int8(rest);
  }

  string(value: string | null): this {
    if (value === null) return this.int16(-1);
    const bytes = Buffer.from(value);
    return this.int16(bytes.length).raw(bytes);
  }

  /** Bytes with their length before them. */
  bytes(bytes: Uint8Array): this {
    return this.int32(bytes.byteLength).raw(bytes);
  }

  raw(bytes: Uint8Array): this {
    const at = this.#room(bytes.byteLength);
    this.#buffer.set(bytes, at);
    return this;
  }

  array<T>(items: readonly T[], write: (item: T) => unknown): this {
    this.int32(items.length);
    for (const item of items) write(item);
    return this;
  }

  /** Makes room for so many bytes and returns where they go. It may replace the buffer, so callers call it first. */
  #room(bytes: number): number {
    const at = this.#length;
    this.#length += bytes;
    if (this.#length > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#length, this.#buffer.length * 2));
      this.#buffer.copy(larger, 0, 0, at);
      this.#buffer = larger;
    }
    return at;
  }
}

/** Reads a buffer from front to back. @throws {RangeError} beyond its end */
export class Reader {
  readonly #buffer: Buffer;
  #at = 0;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  get at(): number {
    return this.#at;
  }

  get left(): number {
    return this.#buffer.length - this.#at;
  }

  int8(): number {
    return this.#buffer.readInt8(this.#step(1));
  }

  boolean(): boolean {
    return this.int8() !== 0;
  }

  int16(): number {
    return this.#buffer.readInt16BE(this.#step(2));
  }

  int32(): number {
    return this.#buffer.readInt32BE(this.#step(4));
  }

  int64(): number {
    const at = this.#step(8);
    return this.#buffer.readInt32BE(at) * TWO_32 + this.#buffer.readUInt32BE(at + 4);
  }

  varint(): number {
    const value = this.#unsigned();
    return (value >>> 1) ^ -(value & 1);
  }

  skipVarlong(): void {
    while (this.#buffer.readUInt8(this.#step(1)) >= 0x80);
  }

  /** Null reads as empty. */
  string(): string {
    return this.text(this.int16());
  }

  /** Bytes with their length before them, sharing the buffer's memory. Null reads as empty. */
  bytes(): Buffer {
    return this.view(Math.max(this.int32(), 0));
  }

  text(length: number): string {
    return length <= 0 ? "" : this.view(length).toString("utf8");
  }

  /** Bytes that share the buffer's memory. */
  view(length: number): Buffer {
    if (length < 0 || length > this.left) throw new RangeError(`${length} bytes asked, ${this.left} left`);
    const at = this.#step(length);
    return this.#buffer.subarray(at, at + length);
  }

  /** A copy, so that a small record does not keep a large answer in memory. */
  copy(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    bytes.set(this.view(length));
    return bytes;
  }

  array<T>(read: () => T): T[] {
    const items: T[] = [];
    for (let count = this.int32(); count > 0; count--) items.push(read());
    return items;
  }

  #unsigned(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#buffer.readUInt8(this.#step(1));
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    throw new RangeError("A varint is longer than five bytes");
  }

  #step(bytes: number): number {
    const at = this.#at;
    this.#at += bytes;
    return at;
  }
}
