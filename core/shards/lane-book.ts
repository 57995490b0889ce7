// The lanes of one shard, from the subscriptions that call for them. A method that changes a lane's position returns the record that
// says so, for the batch that says why.
import type { Delivery } from "../delivery/delivery.ts";
import { Lane, type LaneTerms } from "../delivery/lane/lane.ts";
import type { Outcome } from "../delivery/lane/outcome.ts";
import { type Addresses, createTarget, type TargetOptions } from "../delivery/lane/target.ts";
import type { QuietTopics } from "../delivery/reading/reading.ts";
import type { ShardRecord } from "../log/log.ts";
import type { Message } from "../messages/message.ts";
import { topicIdOf } from "../state/ids.ts";
import type { CursorRecord, SubscriptionRecord } from "../state/records.ts";
import { Checkpoint, type CheckpointOptions } from "./checkpoint.ts";

export interface LaneBookOptions extends CheckpointOptions {
  readonly shard: number;
  readonly addresses: Addresses;
  /** The subscription of a lane, as its record says it now. */
  readonly recipientOf: TargetOptions["recipientOf"];
  /** Default: computed each time. */
  readonly topicIdOf?: (topic: string) => string;
  /** The partition of `messages` that a topic is in. */
  readonly partitionOf: (topicId: string) => number;
}

export class LaneBook {
  readonly #options: LaneBookOptions;
  readonly #lanes = new Map<string, Lane>();
  readonly #checkpoint: Checkpoint;
  #delivery: Delivery | undefined;

  constructor(options: LaneBookOptions) {
    this.#options = options;
    this.#checkpoint = new Checkpoint(options);
  }

  get size(): number {
    return this.#lanes.size;
  }
  lanes(): Iterable<Lane> {
    return this.#lanes.values();
  }
  lane(id: string): Lane | undefined {
    return this.#lanes.get(id);
  }

  /** Lanes run from now on. */
  attach(delivery: Delivery): void {
    this.#delivery = delivery;
    this.#checkpoint.attach(delivery.tail);
  }
  /** The shard is no longer here: its lanes vanish, and the outcomes of their attempts move nothing. */
  detach(): void {
    this.#delivery?.forget(this.#options.shard, this.#lanes.values());
    this.#delivery = undefined;
    this.#lanes.clear();
    this.#checkpoint.detach();
  }

  // ── what a subscription calls for ──────────────────────────────────────────────────────────────────────────────────

  /** The record with which a life begins, for the batch that creates it (A4.3). */
  begin(id: string, life: number, position: number): ShardRecord[] {
    return this.#checkpoint.put(id, { life, position });
  }

  /**
   * Makes and starts the lane of an active subscription from what the log says: its record, else the watermark. `taken`: the shard was
   * just taken, and its lanes join as a group (A4.1); with what is known of the log between there and the tail.
   */
  open(id: string, subscription: SubscriptionRecord, taken?: { readonly quiet: QuietTopics | undefined }): void {
    const { life, start } = subscription;
    const settling = this.#lanes.get(id);
    if (settling !== undefined && settling.life === life) {
      // Its lease was over while an attempt was under way: the same lane goes on, so that nothing is sent twice.
      settling.renew(this.#termsOf(id, subscription));
      this.#delivery!.add(settling);
      return;
    }
    const topicId = this.#options.topicIdOf?.(subscription.topic) ?? topicIdOf(subscription.topic);
    const partition = this.#options.partitionOf(topicId);
    const position = this.#checkpoint.positionWithoutRecord(partition, start);
    const terms = this.#termsOf(id, subscription);
    const { shard } = this.#options;
    const isNew = taken === undefined;
    const lane = new Lane({ id, shard, topicId, partition, life, position, isNew, ...terms });
    const record = this.#checkpoint.recordOf(id, life);
    if (record !== undefined) lane.restore(record);
    this.#lanes.set(id, lane);
    this.#delivery!.add(lane, taken?.quiet);
    // A lane that is done up to the tail and has no record needs none (A4.3).
    if (this.#checkpoint.has(id) || !lane.onTail || lane.busy) this.moved(lane);
  }

  /** Renewed while it runs: new secret, lease and concurrency at once, the position stays. */
  renew(lane: Lane, subscription: SubscriptionRecord): void {
    this.#delivery!.renew(lane, this.#termsOf(lane.id, subscription));
  }

  /** The lease is over: the lane stops, its position is kept. Returns the record for the batch that says so. */
  expire(id: string): ShardRecord[] {
    const lane = this.#lanes.get(id);
    if (lane === undefined) return [];
    this.#delivery!.expire(lane);
    const records = this.#checkpoint.update(lane);
    this.#forgetIfOver(lane);
    return records;
  }

  /** The subscription ended: nothing more starts, and its position is of no use. */
  end(id: string): ShardRecord[] {
    const lane = this.#lanes.get(id);
    if (lane !== undefined) {
      this.#delivery?.end(lane);
      this.#forget(lane);
    }
    return this.#checkpoint.remove(id);
  }

  /** The subscriber has everything before this offset. Returns the record for the batch that says so. */
  advance(id: string, subscription: SubscriptionRecord, next: number): ShardRecord[] {
    const lane = this.#lanes.get(id);
    if (lane !== undefined && lane.life === subscription.life) {
      this.#delivery!.advance(lane, next);
      return this.#putMoved(lane);
    }
    const { health, ...kept } = this.#recordOf(id, subscription);
    if (next <= kept.position) return [];
    const beyond = kept.beyond?.filter((offset) => offset >= next) ?? [];
    const failing = health !== undefined && health.offset >= next ? { health } : {};
    return this.#checkpoint.put(id, { ...kept, ...failing, position: next, beyond });
  }

  /** Sends again from this offset, or from where the lane stands. Returns the record for the batch that says so. */
  rewind(id: string, subscription: SubscriptionRecord, from: number | undefined): ShardRecord[] {
    const start = from === undefined ? undefined : Math.max(from, subscription.start);
    const lane = this.#lanes.get(id);
    if (lane !== undefined && lane.life === subscription.life) {
      this.#delivery!.rewind(lane, start);
      return this.#putMoved(lane);
    }
    const { health: _, beyond, ...kept } = this.#recordOf(id, subscription);
    return this.#checkpoint.put(
      id,
      start === undefined ? { ...kept, beyond: beyond ?? [] } : { ...kept, position: start },
    );
  }

  /** One attempt with a dead letter beside the lane of this life; undefined if none may start now. */
  replay(id: string, life: number, message: Message): Promise<Outcome> | undefined {
    const lane = this.#lanes.get(id);
    if (lane === undefined || lane.life !== life || lane.isOver) return undefined;
    return this.#delivery?.replay(lane, message);
  }

  // ── checkpoints ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The watermarks as last composed for the log. */
  get watermarks(): readonly number[] {
    return this.#checkpoint.watermarks;
  }
  /** There is something to checkpoint. */
  get isDirty(): boolean {
    return this.#checkpoint.isDirty;
  }
  /** A checkpoint was cut into parts: the next one goes on with it. */
  get isInRound(): boolean {
    return this.#checkpoint.isInRound;
  }

  /** The lane's position or health may have changed. */
  moved(lane: Lane): void {
    if (this.#lanes.get(lane.id) === lane) this.#checkpoint.moved(lane);
  }
  /** The next batch must say where this lane stands, since it says what the lane gave up. */
  gaveUp(lane: Lane): void {
    if (this.#lanes.get(lane.id) !== lane) return;
    this.#checkpoint.moved(lane);
    this.#checkpoint.writeNext(lane);
  }

  /** The watermarks and the records of lanes behind them, about `most` of these at once; see `Checkpoint.compose`. */
  checkpoint(most = Infinity): ShardRecord[] {
    return this.#checkpoint.compose(most, (lane) => this.#forgetIfOver(lane));
  }

  #putMoved(lane: Lane): ShardRecord[] {
    this.moved(lane);
    return this.#checkpoint.putPosition(lane);
  }

  /** What the log says of a lane that is not here: its record, else the watermark. */
  #recordOf(id: string, { topic, life, start }: SubscriptionRecord): CursorRecord {
    const written = this.#checkpoint.recordOf(id, life);
    if (written !== undefined) return written;
    const partition = this.#options.partitionOf(topicIdOf(topic));
    return { life, position: this.#checkpoint.positionWithoutRecord(partition, start) };
  }

  #termsOf(subscriptionId: string, { concurrency, expiresAt }: SubscriptionRecord): LaneTerms {
    const { addresses, recipientOf } = this.#options;
    return { target: createTarget({ addresses, subscriptionId, recipientOf }), concurrency, expiresAt };
  }

  /** An expired lane is kept only until its last attempt is answered. */
  #forgetIfOver(lane: Lane): boolean {
    const isOver = lane.state === "expired" && lane.inFlight === 0;
    if (isOver) this.#forget(lane);
    return isOver;
  }

  #forget(lane: Lane): void {
    this.#lanes.delete(lane.id);
    this.#checkpoint.forget(lane);
  }
}
