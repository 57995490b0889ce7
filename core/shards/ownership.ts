// Knows which shards are here, and whether that is certain. Delivery, the block index and the answers to requests ask it, while shards
// come and go (A3.2 to A3.4).
import type { LaneOwner } from "../delivery/sending/apply-outcome.ts";
import { type Log, type Membership, shardThatWrites } from "../log/log.ts";
import type { BlockToWrite } from "../messages/recent-blocks.ts";
import type { Shard } from "./shard.ts";

/** A confirmation counts for this long of a session's 10 s (A3.4); the rest is for the attempts under way. */
const CONFIRMED_WITHIN_MS = 8_000;

export interface OwnershipOptions {
  readonly log: Pick<Log, "partitionOf" | "partitions" | "supports">;
  /** Monotonic clock, ms, the log's too: the age of the session is measured by it (A3.4). */
  readonly now: () => number;
}

export class Ownership {
  readonly #options: OwnershipOptions;
  readonly #shards = new Map<number, Shard>();
  #membership: Membership | undefined;

  constructor(options: OwnershipOptions) {
    this.#options = options;
  }

  // ── what others ask ────────────────────────────────────────────────────────────────────────────────────────────────

  /** In the order of their numbers. */
  get shards(): readonly Shard[] {
    return [...this.#shards.values()].toSorted((a, b) => a.number - b.number);
  }
  shard(number: number): Shard | undefined {
    return this.#shards.get(number);
  }
  /** The shard of a subscription id; undefined if it is not here. */
  shardOf(subscriptionId: string): Shard | undefined {
    return this.#shards.get(this.#options.log.partitionOf("subscriptions", subscriptionId));
  }

  /** A3.4: whether no other process can have been given these shards. */
  isConfirmed(): boolean {
    return !this.#options.log.supports.group || (this.confirmedAgoMs ?? Infinity) < CONFIRMED_WITHIN_MS;
  }
  /** How long ago the heartbeat was sent that confirmed the shards last, ms; undefined where there is no group. */
  get confirmedAgoMs(): number | undefined {
    const confirmedAt = this.#membership?.confirmedAt();
    return confirmedAt === undefined ? undefined : this.#options.now() - confirmedAt;
  }

  /** Whether one of these shards writes the blocks of a partition of `messages` (A3.1). */
  ownsBlocks(partition: number): boolean {
    return this.#writerOfBlocks(partition) !== undefined;
  }
  /** Writes a block with its shard's next batch, if the shard is here. */
  writeBlock(block: BlockToWrite): void {
    this.#writerOfBlocks(block.partition)?.put(block);
  }
  #writerOfBlocks(partition: number): Shard | undefined {
    return this.#shards.get(shardThatWrites(this.#options.log, partition));
  }

  /** Passes on what lanes report to their shards. */
  readonly lanes: LaneOwner = {
    moved: (lane) => this.#shards.get(lane.shard)?.moved(lane),
    gone: (lane) => this.#shards.get(lane.shard)?.gone(lane),
    parked: (lane) => this.#shards.get(lane.shard)?.parked(lane),
    recovered: (lane, failingSince) => this.#shards.get(lane.shard)?.recovered(lane, failingSince),
    leaseOver: (lane) => this.#shards.get(lane.shard)?.leaseOver(lane),
    deadLetter: (lane, letter) => this.#shards.get(lane.shard)?.deadLetter(lane, letter),
  };

  // ── what the claims to shards tell ─────────────────────────────────────────────────────────────────────────────────

  /** The process has joined the group that shares the shards out. */
  joined(membership: Membership): void {
    this.#membership = membership;
  }
  opened(shard: Shard): void {
    this.#shards.set(shard.number, shard);
  }
  closed(number: number): void {
    this.#shards.delete(number);
  }
}
