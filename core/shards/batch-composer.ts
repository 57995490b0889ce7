// Composes a shard's next batch, and decides when the positions of lanes go with it (A3.1, A4.3).
import type { Tail } from "../messages/tail.ts";
import type { ShardRecord } from "../log/log.ts";
import type { LaneBook } from "./lane-book.ts";
import { encodeRecord, type RecentOperations, SHARD_KEY, type ShardProgress } from "../state/records.ts";
import type { FoldedState } from "./folded-state.ts";

export interface BatchComposerOptions {
  readonly state: FoldedState;
  readonly book: LaneBook;
  /** How often positions are written while they change, ms. */
  readonly checkpointMs: number;
}

/** How far the fold has come: the batch says it. */
interface FoldStanding {
  readonly events: number;
  readonly operations: RecentOperations;
  /** The log has another `events` position, or none. */
  readonly isMoved: boolean;
  /** The last batch: it says that the shard is free. */
  readonly isReleasing: boolean;
  /** When the step began, ms since 1970. */
  readonly begun: number;
}

/** The watermarks of an idle shard are written this often, or after this many records (A4.3). */
const IDLE_MS = 30_000;
const IDLE_RECORDS = 10_000;
/** Positions in one batch. A checkpoint with more positions goes in parts: so many of them in the time of one checkpoint. */
const MOST_POSITIONS = 500;
const PARTS = 5;

export class BatchComposer {
  readonly #options: BatchComposerOptions;
  /** What the next batch writes beside the topics and subscriptions that changed. */
  #records: ShardRecord[] = [];
  /** Dead letters wait for the next batch with positions. */
  #letters: ShardRecord[] = [];
  #checkpointAt = 0;
  /** The tail, once all lanes have joined it: before that a watermark would pass lanes that have not joined. */
  #tail: Tail | undefined;

  constructor(options: BatchComposerOptions) {
    this.#options = options;
  }

  /** All lanes have joined the tail: watermarks speak for them. */
  joined(tail: Tail): void {
    this.#tail = tail;
  }

  put(...records: ShardRecord[]): void {
    for (const record of records) this.#records.push(record);
  }

  /** A message was given up: the position past it is written in the same batch. */
  putLetter(letter: ShardRecord): void {
    this.#letters.push(letter);
  }

  /** How long until positions may be written again, ms. A clock that is set back does not put that off. */
  untilCheckpoint(now: number): number {
    this.#checkpointAt = Math.min(this.#checkpointAt, now + this.#options.checkpointMs);
    return this.#checkpointAt - now;
  }

  /** How long the loop may sleep before positions are to be written, ms; undefined if there are none. */
  sleepMs(now: number): number | undefined {
    return this.#tail !== undefined && this.#options.book.isDirty ? Math.max(0, this.untilCheckpoint(now)) : undefined;
  }

  /** Composes the next batch in one synchronous step; empty if there is nothing to write. */
  compose({ events, operations, isMoved, isReleasing, begun }: FoldStanding): ShardRecord[] {
    const { book, state, checkpointMs } = this.#options;
    const records = [...this.#records.splice(0), ...state.drainChanges()];
    if (this.#positionsDue(begun, isReleasing)) {
      records.push(...this.#letters.splice(0), ...book.checkpoint(isReleasing ? Infinity : MOST_POSITIONS));
      this.#checkpointAt = begun + checkpointMs / (book.isInRound ? PARTS : 1);
    } else if (records.length === 0 && !isMoved && !isReleasing) return [];
    for (const stream of ["topics", "subscriptions", "cursors"] as const) {
      const progress: ShardProgress = {
        events,
        ...(stream === "cursors" ? { watermarks: book.watermarks } : {}),
        ...(stream === "cursors" && isReleasing ? { released: true } as const : {}),
        ...(stream === "topics" ? { operations } : {}),
      };
      records.push({ stream, key: SHARD_KEY, value: encodeRecord(progress) });
    }
    return records;
  }

  #positionsDue(begun: number, isReleasing: boolean): boolean {
    if (this.#tail === undefined) return false;
    if (isReleasing || this.#letters.length > 0) return true;
    if (this.untilCheckpoint(begun) > 0) return false;
    if (this.#options.book.isDirty) return true;
    return this.#passed(this.#tail) > (begun >= this.#checkpointAt + IDLE_MS ? 0 : IDLE_RECORDS);
  }

  /** Records that the tail has passed since the watermarks were written. */
  #passed(tail: Tail): number {
    let passed = 0;
    for (const [partition, watermark] of this.#options.book.watermarks.entries()) {
      passed += tail.next(partition) - watermark;
    }
    return passed;
  }
}
