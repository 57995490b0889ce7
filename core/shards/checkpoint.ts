// Writes to the log where a shard's lanes stand: one watermark for all of them, and a record for each lane that is behind it (A4.3).
import type { Lane } from "../delivery/lane/lane.ts";
import type { ShardRecord } from "../log/log.ts";
import type { Tail } from "../messages/tail.ts";
import type { CursorRecord } from "../state/records.ts";

export interface CheckpointOptions {
  /** Records and watermarks as the log has them. */
  readonly cursors: ReadonlyMap<string, CursorRecord>;
  readonly watermarks: readonly number[];
}

/** What is still to be written before the watermarks may move. */
interface Round {
  /** What the tail had offered when the round began: the watermarks move to here. */
  readonly watermarks: readonly number[];
  /** Lanes that had moved by then; those that are behind get a record first. */
  readonly left: Set<Lane>;
}

/** A part looks at this many lanes for each record that it may have: most lanes that moved need none. */
const LOOKS_PER_RECORD = 20;

export class Checkpoint {
  /** The records as the log has them, as text: a million objects would be larger. */
  readonly #written = new Map<string, string>();
  #watermarks: readonly number[];
  #tail: Pick<Tail, "next"> | undefined;
  /** Lanes that moved since the round began. */
  #moved = new Set<Lane>();
  #round: Round | undefined;
  /** Lanes that are done up to the watermarks of the round. Once the log has these watermarks, their records are removed. */
  readonly #done = new Set<Lane>();
  /** Lanes whose dead letters are in the next batch: it must have their positions too, whether a round is under way or not. */
  readonly #urgent = new Set<Lane>();

  constructor({ cursors, watermarks }: CheckpointOptions) {
    this.#watermarks = watermarks;
    for (const [id, record] of cursors) this.#written.set(id, JSON.stringify(record));
  }

  /** The watermarks as last composed for the log. */
  get watermarks(): readonly number[] {
    return this.#watermarks;
  }
  /** There is something to write. */
  get isDirty(): boolean {
    return this.#moved.size > 0 || this.isInRound;
  }
  /** A checkpoint was cut into parts: the next call goes on with it. */
  get isInRound(): boolean {
    return this.#round !== undefined || this.#done.size > 0;
  }

  /** Lanes run from now on. */
  attach(tail: Pick<Tail, "next">): void {
    this.#tail = tail;
  }
  /** Forgets all lanes: nothing more is written of them. */
  detach(): void {
    this.#tail = undefined;
    this.#moved.clear();
    this.#done.clear();
    this.#urgent.clear();
    this.#round = undefined;
  }

  // ── the records ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Whether the log has a record of this subscription, of any life. */
  has(id: string): boolean {
    return this.#written.has(id);
  }
  /** The record that the log has of this life. A record of an earlier life says nothing about it. */
  recordOf(id: string, life: number): CursorRecord | undefined {
    const text = this.#written.get(id);
    const record = text === undefined ? undefined : JSON.parse(text) as CursorRecord;
    return record?.life === life ? record : undefined;
  }
  /** A life without a record is done up to the watermark, but begins at its own start. */
  positionWithoutRecord(partition: number, start: number): number {
    return Math.max(this.#watermarks[partition] ?? 0, start);
  }

  /** Returns the record for a batch; nothing if the log has it already. */
  put(id: string, record: CursorRecord): ShardRecord[] {
    const { beyond, ...rest } = record;
    const text = JSON.stringify(beyond?.length === 0 ? rest : record);
    if (text === this.#written.get(id)) return [];
    this.#written.set(id, text);
    return [{ stream: "cursors", key: id, value: Buffer.from(text) }];
  }
  /** Returns the removal for a batch; nothing if the log has no record. */
  remove(id: string): ShardRecord[] {
    return this.#written.delete(id) ? [{ stream: "cursors", key: id, value: null }] : [];
  }
  /** Returns a record for a batch, also if the lane is done: without a record only a checkpoint's watermark says where it stands. */
  putPosition(lane: Lane): ShardRecord[] {
    const tailNext = this.#tail!.next(lane.partition);
    return this.put(lane.id, lane.record(tailNext) ?? { life: lane.life, position: lane.position(tailNext) });
  }
  /** Returns, for a batch, the lane's record as the watermarks of the log demand it, or its removal. */
  update(lane: Lane): ShardRecord[] {
    const record = this.#demanded(lane, this.#watermarks);
    return record === undefined ? this.remove(lane.id) : this.put(lane.id, record);
  }

  // ── checkpoints ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The lane's position or health may have changed. */
  moved(lane: Lane): void {
    if (this.#round?.left.has(lane) !== true) this.#moved.add(lane);
  }
  /** The next batch must say where this lane stands, since it says what the lane gave up. */
  writeNext(lane: Lane): void {
    this.#urgent.add(lane);
  }
  forget(lane: Lane): void {
    this.#moved.delete(lane);
    this.#done.delete(lane);
    this.#urgent.delete(lane);
    this.#round?.left.delete(lane);
  }

  /**
   * Composes, in one synchronous step, the watermarks and the record of every lane that is not done up to them. If these are more than
   * about `most` records, it composes a part of them, and the next call goes on. The watermarks move with the last part. A lane may
   * have a record before they pass it; the record is removed only after they have passed it. `forgetIfOver` is asked about each lane
   * that has its record.
   */
  compose(most: number, forgetIfOver: (lane: Lane) => boolean): ShardRecord[] {
    if (this.#tail === undefined) return [];
    const records: ShardRecord[] = [];
    // Without a bound everything is written, also lanes that moved since an unfinished round began.
    if (most === Infinity && this.isInRound) this.#goOn(most, records, forgetIfOver);
    this.#goOn(most, records, forgetIfOver);
    for (const lane of this.#urgent) {
      records.push(...this.putPosition(lane));
      this.moved(lane);
    }
    this.#urgent.clear();
    return records;
  }

  #goOn(most: number, records: ShardRecord[], forgetIfOver: (lane: Lane) => boolean): void {
    let looks = most * LOOKS_PER_RECORD;
    const visitSome = (lanes: Set<Lane>, visit: (lane: Lane) => void) => {
      for (const lane of lanes) {
        if (records.length >= most || looks-- <= 0) return;
        lanes.delete(lane);
        visit(lane);
      }
    };
    const update = (lane: Lane) => records.push(...this.update(lane));
    // The lanes that the last round found done come first, before another round moves the watermarks on.
    if (this.#round === undefined) visitSome(this.#done, update);
    if (this.#round === undefined && this.#done.size > 0) return;
    const round = this.#round ??= this.#begin(this.#tail!);
    visitSome(round.left, (lane) => this.#visit(lane, round, records, forgetIfOver));
    if (round.left.size > 0) return;
    this.#watermarks = round.watermarks;
    this.#round = undefined;
    visitSome(this.#done, update);
  }

  #begin(tail: Pick<Tail, "next">): Round {
    // Watermarks never move back: at first the tail of all shards may be behind what this shard has offered already.
    const watermarks = this.#watermarks.map((before, partition) => Math.max(before, tail.next(partition)));
    const left = this.#moved;
    this.#moved = new Set();
    return { watermarks, left };
  }

  #visit(lane: Lane, { watermarks }: Round, records: ShardRecord[], forgetIfOver: (lane: Lane) => boolean): void {
    const record = this.#demanded(lane, watermarks);
    if (record !== undefined) records.push(...this.put(lane.id, record));
    else if (this.has(lane.id)) this.#done.add(lane);
    if (forgetIfOver(lane)) return;
    // A lane ahead of the tail needs its record until the tail has passed it. Then the record is removed.
    if (!lane.onTail || lane.readFrom > watermarks[lane.partition]!) this.#moved.add(lane);
  }

  /** The record that the log must have of a lane while these are the watermarks; undefined if none. */
  #demanded(lane: Lane, watermarks: readonly number[]): CursorRecord | undefined {
    const watermark = watermarks[lane.partition]!;
    // The watermarks do not speak for what the tail has offered since.
    return lane.record(Math.min(this.#tail!.next(lane.partition), watermark), watermark);
  }
}
