// The lanes of one shard, and what the log says of their positions: one watermark for all, a record only for each lane that
// is behind it (A4.3).
import type { Addresses } from "../delivery/lane/addresses.ts";
import type { Delivery } from "../delivery/delivery.ts";
import { Lane, type LaneTerms } from "../delivery/lane/lane.ts";
import type { Quiet } from "../delivery/reading/reading.ts";
import { createTarget, type TargetOptions } from "../delivery/lane/target.ts";
import { topicIdOf } from "../state/ids.ts";
import type { ShardRecord } from "../log/log.ts";
import { PositionRecords } from "./checkpoint.ts";
import type { CursorRecord, SubscriptionRecord } from "../state/records.ts";

export interface LaneBookOptions {
  readonly shard: number;
  readonly addresses: Addresses;
  /** The subscription of a lane, as its record says it now. */
  readonly recipientOf: TargetOptions["recipientOf"];
  /** Default: computed each time. */
  readonly topicIdOf?: (topic: string) => string;
  /** The partition of `messages` that a topic is in. */
  readonly partitionOf: (topicId: string) => number;
  /** As the log has them. */
  readonly cursors: ReadonlyMap<string, CursorRecord>;
  readonly watermarks: readonly number[];
}

/** What a round of checkpoints still has to say, before the watermarks may move (A4.3). */
interface Round {
  /** Where they move to: what had been offered when it began. */
  readonly watermarks: readonly number[];
  /** Lanes that had moved by then; those that are behind get a record first. */
  readonly left: Set<Lane>;
}

/** Most lanes that moved need no record: so many are looked at for one that does. */
const LOOKS_A_RECORD = 20;

export class LaneBook {
  readonly #options: LaneBookOptions;
  readonly #lanes = new Map<string, Lane>();
  readonly #written: PositionRecords;
  /** Moved since the round began. */
  #dirty = new Set<Lane>();
  #round: Round | undefined;
  /** Done up to the watermarks of the round, and of the log once it is over: then their records are removed. */
  readonly #settled = new Set<Lane>();
  /** Their positions belong into the next batch, whatever round it is in: it holds their dead letters. */
  readonly #urgent = new Set<Lane>();
  #watermarks: readonly number[];
  #delivery: Delivery | undefined;

  constructor(options: LaneBookOptions) {
    this.#options = options;
    this.#watermarks = options.watermarks;
    this.#written = new PositionRecords(options.cursors);
  }

  /** As last composed for the log. */
  get watermarks(): readonly number[] {
    return this.#watermarks;
  }
  get size(): number {
    return this.#lanes.size;
  }
  /** There is something to checkpoint. */
  get dirty(): boolean {
    return this.#dirty.size > 0 || this.isInRound;
  }
  /** A checkpoint was cut: the next goes on with it. */
  get isInRound(): boolean {
    return this.#round !== undefined || this.#settled.size > 0;
  }
  lanes(): Iterable<Lane> {
    return this.#lanes.values();
  }
  lane(id: string): Lane | undefined {
    return this.#lanes.get(id);
  }
  /** From now on lanes run. */
  attach(delivery: Delivery): void {
    this.#delivery = delivery;
  }

  /** The shard is another's now: its lanes vanish, whatever comes of their attempts moves nothing. */
  detach(): void {
    this.#delivery?.forget(this.#options.shard, this.#lanes.values());
    this.#delivery = undefined;
    this.#lanes.clear();
    this.#dirty.clear();
    this.#settled.clear();
    this.#urgent.clear();
    this.#round = undefined;
  }

  /**
   * Makes and starts the lane of an active subscription from what the log says: its record, else the watermark. `quiet`: what is
   * known of the log between there and the tail, while the lanes of a shard just taken join as a group (A4.1).
   */
  open(id: string, subscription: SubscriptionRecord, quiet?: Quiet): void {
    const settling = this.#lanes.get(id);
    if (settling !== undefined && settling.life === subscription.life) {
      // Its lease was over while an attempt was under way: the same lane goes on, so that nothing is sent twice.
      settling.renew(this.#termsOf(id, subscription));
      this.#delivery!.add(settling);
      return;
    }
    const topicId = this.#options.topicIdOf?.(subscription.topic) ?? topicIdOf(subscription.topic);
    const partition = this.#options.partitionOf(topicId);
    const record = this.#written.get(id);
    const lane = new Lane({
      id,
      shard: this.#options.shard,
      topicId,
      partition,
      life: subscription.life,
      ...this.#termsOf(id, subscription),
      // Done up to the watermark if there is no record, but never from before its own start.
      position: Math.max(this.#watermarks[partition] ?? 0, subscription.start),
    });
    // A record of an earlier life says nothing about this one.
    if (record !== undefined && record.life === subscription.life) lane.restore(record);
    this.#lanes.set(id, lane);
    this.#delivery!.add(lane, quiet);
    // One that is done up to the tail and has no record needs none (A4.3).
    if (record !== undefined || !lane.onTail || lane.busy) this.#dirty.add(lane);
  }

  /** Renewed while it runs: new secret, lease and concurrency at once, the position stays. */
  renew(lane: Lane, subscription: SubscriptionRecord): void {
    this.#delivery!.renew(lane, this.#termsOf(lane.id, subscription));
  }

  #termsOf(subscriptionId: string, { concurrency, expiresAt }: SubscriptionRecord): LaneTerms {
    const { addresses, recipientOf } = this.#options;
    return { target: createTarget({ addresses, subscriptionId, recipientOf }), concurrency, expiresAt };
  }

  /** The lease is over: the lane stops, its position is kept. Returns the record for the batch that says so. */
  expire(id: string): ShardRecord[] {
    const lane = this.#lanes.get(id);
    if (lane === undefined) return [];
    this.#delivery!.expire(lane);
    const records = this.#compose(lane);
    this.#forgetIfOver(lane);
    return records;
  }

  /** The subscription ended: nothing starts any more, and its position is of no use. */
  end(id: string): ShardRecord[] {
    const lane = this.#lanes.get(id);
    if (lane !== undefined) {
      this.#delivery?.end(lane);
      this.#forget(lane);
    }
    return this.#written.remove(id);
  }

  /** The record with which a life begins, for the batch that creates it (A4.3). */
  begin(id: string, life: number, position: number): ShardRecord[] {
    return this.#written.put(id, { life, position });
  }

  /** Everything before this offset is done, the subscriber says. The record goes into the batch that says so. */
  advance(id: string, subscription: SubscriptionRecord, next: number): ShardRecord[] {
    const lane = this.#lanes.get(id);
    if (lane !== undefined && lane.life === subscription.life) {
      this.#delivery!.advance(lane, next);
      return this.#settle(lane);
    }
    const { health, ...kept } = this.#standing(id, subscription);
    if (next <= kept.position) return [];
    const beyond = kept.beyond?.filter((offset) => offset >= next) ?? [];
    const failing = health !== undefined && health.offset >= next ? { health } : {};
    return this.#written.put(id, { ...kept, ...failing, position: next, beyond });
  }

  /** Push again from this offset, or from where it stands. */
  rewind(id: string, subscription: SubscriptionRecord, from: number | undefined): ShardRecord[] {
    const start = from === undefined ? undefined : Math.max(from, subscription.start);
    const lane = this.#lanes.get(id);
    if (lane !== undefined && lane.life === subscription.life) {
      this.#delivery!.rewind(lane, start);
      return this.#settle(lane);
    }
    const { health: _, beyond, ...kept } = this.#standing(id, subscription);
    return this.#written.put(
      id,
      start === undefined ? { ...kept, beyond: beyond ?? [] } : { ...kept, position: start },
    );
  }

  /** What the log says of a lane that is not here: its record, else the watermark. */
  #standing(id: string, { topic, life, start }: SubscriptionRecord): CursorRecord {
    const written = this.#written.get(id);
    if (written?.life === life) return written;
    const partition = this.#options.partitionOf(topicIdOf(topic));
    return { life, position: Math.max(this.#watermarks[partition] ?? 0, start) };
  }

  /** The record of a lane that was just moved, also where it is done: only a checkpoint's watermark says that without one. */
  #settle(lane: Lane): ShardRecord[] {
    const tailNext = this.#delivery!.tail.next(lane.partition);
    const record = lane.record(tailNext) ?? { life: lane.life, position: lane.position(tailNext) };
    this.moved(lane);
    return this.#written.put(lane.id, record);
  }

  /** The lane's position or health may have changed. */
  moved(lane: Lane): void {
    if (this.#round?.left.has(lane) === true || this.#lanes.get(lane.id) !== lane) return;
    this.#dirty.add(lane);
  }

  /** The next batch must say where this lane stands: it says what was given up. */
  owe(lane: Lane): void {
    this.moved(lane);
    if (this.#lanes.get(lane.id) === lane) this.#urgent.add(lane);
  }

  /**
   * In one synchronous step: the watermarks, and the record of every lane that is not done up to them. Where that would be more than
   * about `most` records it is a part of them, and the next call goes on. The watermarks move with the last part: until they pass
   * a lane its record may be there already, and it is removed only after.
   */
  checkpoint(most = Infinity): ShardRecord[] {
    if (this.#delivery === undefined) return [];
    const records: ShardRecord[] = [];
    // All that is to be said means also what moved since a round that is not over began.
    if (most === Infinity && this.isInRound) this.#goOn(most, records);
    this.#goOn(most, records);
    for (const lane of this.#urgent) records.push(...this.#settle(lane));
    this.#urgent.clear();
    return records;
  }

  #goOn(most: number, records: ShardRecord[]): void {
    let looks = most * LOOKS_A_RECORD;
    const take = (lanes: Set<Lane>, visit: (lane: Lane) => void) => {
      for (const lane of lanes) {
        if (records.length >= most || looks-- <= 0) return;
        lanes.delete(lane);
        visit(lane);
      }
    };
    const unsay = (lane: Lane) => records.push(...this.#compose(lane));
    // What the last round has settled, before another one moves the watermarks on.
    if (this.#round === undefined) take(this.#settled, unsay);
    if (this.#round === undefined && this.#settled.size > 0) return;
    const round = this.#round ??= this.#begin(this.#delivery!);
    take(round.left, (lane) => this.#visit(lane, round, records));
    if (round.left.size > 0) return;
    this.#watermarks = round.watermarks;
    this.#round = undefined;
    take(this.#settled, unsay);
  }

  #begin(delivery: Delivery): Round {
    // Never back: at first the tail of all shards may be behind what this one has offered already.
    const watermarks = this.#watermarks.map((before, partition) => Math.max(before, delivery.tail.next(partition)));
    const left = this.#dirty;
    this.#dirty = new Set();
    return { watermarks, left };
  }

  #visit(lane: Lane, { watermarks }: Round, records: ShardRecord[]): void {
    const record = this.#recordOf(lane, watermarks);
    if (record !== undefined) records.push(...this.#written.put(lane.id, record));
    else if (this.#written.has(lane.id)) this.#settled.add(lane);
    if (this.#forgetIfOver(lane)) return;
    // One that is ahead needs its record until the tail has passed it, and not for ever.
    if (!lane.onTail || lane.readFrom > watermarks[lane.partition]!) this.#dirty.add(lane);
  }

  /** What the log must say of a lane while these are the watermarks. */
  #recordOf(lane: Lane, watermarks: readonly number[]): CursorRecord | undefined {
    const watermark = watermarks[lane.partition]!;
    // What the tail has offered since is no part of what they say.
    return lane.record(Math.min(this.#delivery!.tail.next(lane.partition), watermark), watermark);
  }

  #compose(lane: Lane): ShardRecord[] {
    const record = this.#recordOf(lane, this.#watermarks);
    return record === undefined ? this.#written.remove(lane.id) : this.#written.put(lane.id, record);
  }

  /** An expired lane is kept only until its last attempt is answered. */
  #forgetIfOver(lane: Lane): boolean {
    const isOver = lane.state === "expired" && lane.inFlight === 0;
    if (isOver) this.#forget(lane);
    return isOver;
  }

  #forget(lane: Lane): void {
    this.#lanes.delete(lane.id);
    this.#dirty.delete(lane);
    this.#settled.delete(lane);
    this.#urgent.delete(lane);
    this.#round?.left.delete(lane);
  }
}
