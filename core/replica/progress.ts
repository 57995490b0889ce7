// How far a replica has read the log: the next offset of each partition, where the shards' owners stand, and the waits for both.
import { type Batch, type Log, shardThatWrites } from "../log/log.ts";
import { decodeRecord, SHARD_KEY, type ShardProgress } from "../state/records.ts";
import { STATES, type StateStream } from "./states.ts";

/** The streams a replica follows. */
export type FollowedStream = StateStream | "dead-letters" | "blocks";
export const FOLLOWED: readonly FollowedStream[] = [...STATES, "dead-letters", "blocks"];

/** Per stream, an offset of each partition. */
export type Offsets = ReadonlyMap<FollowedStream, readonly number[]>;

/** Whether every position is at its end or past it. */
export function isPast(positions: Offsets, ends: Offsets): boolean {
  return [...ends].every(([stream, offsets]) =>
    offsets.every((offset, partition) => positions.get(stream)![partition]! >= offset)
  );
}

interface Wait {
  readonly test: () => boolean;
  readonly done: (reached: boolean) => void;
  timer?: NodeJS.Timeout;
}

/** A replica is near the end if it has at most this many records of each partition left to read. */
const NEAR = 1_000;

export class Progress {
  readonly #log: Log;
  readonly #next: ReadonlyMap<FollowedStream, number[]>;
  /** The `events` positions that the shards' records name, by stream and shard. */
  readonly #folded = new Map<string, number>();
  readonly #watermarks = new Map<number, readonly number[]>();
  /** Shards that have an owner, as far as the log says. */
  readonly #owned = new Set<number>();
  readonly #waits = new Set<Wait>();

  /** `next`: the next offset to read of each partition. */
  constructor(log: Log, next: ReadonlyMap<FollowedStream, number[]>) {
    this.#log = log;
    this.#next = next;
  }

  /** The next offset to read of each partition. */
  get next(): Offsets {
    return this.#next;
  }

  /** Notes a shard's own record as a stream of state has it. */
  note(stream: StateStream, shard: number, state: ShardProgress): void {
    this.#folded.set(`${stream}/${shard}`, state.events);
    if (stream !== "cursors") return;
    if (state.watermarks !== undefined) this.#watermarks.set(shard, state.watermarks);
    if (state.released === true) this.#owned.delete(shard);
    else this.#owned.add(shard);
  }

  /** Notes what a batch says once it is written. Waits end only at `settle`. */
  advance({ stream, partition, next, records }: Batch): void {
    this.#next.get(stream as FollowedStream)![partition] = next;
    for (const { key, value } of records) {
      if (key !== SHARD_KEY || value === null) continue;
      this.note(stream as StateStream, partition, decodeRecord<ShardProgress>(value));
    }
  }

  /** Ends the waits whose test now holds. */
  settle(): void {
    for (const wait of this.#waits) if (wait.test()) wait.done(true);
  }

  /** Ends all waits; they resolve with false. */
  close(): void {
    for (const wait of this.#waits) wait.done(false);
  }

  /** The watermark of a shard for a partition of `messages`; undefined if none was written yet. */
  watermark(shard: number, partition: number): number | undefined {
    return this.#watermarks.get(shard)?.[partition];
  }

  /** Resolves when everything before the end is read; false if that takes longer than `timeoutMs`. */
  hasRead(stream: FollowedStream, partition: number, end: number, timeoutMs?: number): Promise<boolean> {
    return this.#until(() => this.#next.get(stream)![partition]! >= end, timeoutMs);
  }

  /** Resolves when a stream shows what was folded from a shard's `events` before an offset; false after `timeoutMs` (A3.11). */
  reached(stream: StateStream, shard: number, offset: number, timeoutMs: number): Promise<boolean> {
    return this.#until(() => (this.#folded.get(`${stream}/${shard}`) ?? 0) >= offset, timeoutMs);
  }

  /** Resolves when the replica is near the ends that the streams have now (A3.12). */
  async nearEnd(): Promise<void> {
    const near = new Map<FollowedStream, number[]>();
    for (const stream of FOLLOWED) {
      // The block index reads the log from where the blocks end: all of them are needed.
      const left = stream === "blocks" ? 0 : NEAR;
      near.set(stream, (await this.#endsOf(stream)).map((end) => end - left));
    }
    await this.#until(() => isPast(this.#next, near));
  }

  /** Resolves when the replica has read all that a shard's streams of state, and the blocks that its owner writes, have now (A3.2). */
  async caughtUp(shard: number): Promise<void> {
    const reading = ([...STATES, "blocks"] as const).map(async (stream) => {
      for (const [partition, end] of (await this.#endsOf(stream)).entries()) {
        if (shardThatWrites(this.#log, partition) === shard) await this.hasRead(stream, partition, end);
      }
    });
    await Promise.all(reading);
  }

  /** Resolves when a shard is known to have no owner; false after `timeoutMs` (A3.2). */
  async released(shard: number, timeoutMs: number): Promise<boolean> {
    const end = await this.#log.end("cursors", shard);
    return await this.#until(
      () => this.#next.get("cursors")![shard]! >= end && !this.#owned.has(shard),
      timeoutMs,
    );
  }

  #endsOf(stream: FollowedStream): Promise<number[]> {
    return Promise.all(this.#next.get(stream)!.map((_, partition) => this.#log.end(stream, partition)));
  }

  #until(test: () => boolean, timeoutMs?: number): Promise<boolean> {
    if (test()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const wait: Wait = {
        test,
        done: (reached) => {
          clearTimeout(wait.timer);
          this.#waits.delete(wait);
          resolve(reached);
        },
      };
      if (timeoutMs !== undefined) wait.timer = setTimeout(() => wait.done(false), timeoutMs);
      this.#waits.add(wait);
    });
  }
}
