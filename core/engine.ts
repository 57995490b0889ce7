// Puts together the parts that move messages: the log's tail with its block index, the delivery lanes, and the consolidator that owns
// shards (the middle of ARCHITECTURE's picture). core.ts puts together what answers requests.
import { Delivery, type DeliveryDependencies } from "./delivery/delivery.ts";
import { type BlockIndex, openBlockIndex } from "./messages/block-index.ts";
import { type Consolidator, type ConsolidatorOptions, startConsolidator } from "./shards/consolidator.ts";
import { Ownership } from "./shards/ownership.ts";
import { findTailStart } from "./shards/tail-start.ts";
import { KEYS_KEPT_MS } from "./state/ids.ts";

export interface EngineOptions extends Omit<ConsolidatorOptions, "ownership" | "delivery" | "blocks"> {
  readonly delivery: Pick<DeliveryDependencies, "transport" | "recentIds" | "signers" | "settings">;
  /** Monotonic clock, ms, the log's too: the age of the session is measured by it (A3.4). Default `performance.now`. */
  readonly now?: () => number;
}

export interface Engine {
  readonly ownership: Ownership;
  readonly delivery: Delivery;
  readonly blocks: BlockIndex;
  readonly consolidator: Consolidator;
  /**
   * Finishes what is in flight within the deadline (1 s where others take over), writes where everything stands, and leaves the
   * group. Never rejects.
   */
  stop(deadlineMs: number): Promise<void>;
}

/**
 * Starts the engine. Resolves when the lanes of its first shards run, or after 15 s where a group may hold them up. Rejects if
 * `signal` aborts before the process has joined the group.
 */
export async function startEngine(options: EngineOptions): Promise<Engine> {
  const { log, replica, clock, random, now = () => performance.now() } = options;
  const from = await findTailStart(options);
  const ownership = new Ownership({ log, now });
  const blocks = await openBlockIndex({
    log,
    store: replica.blocks,
    rememberMs: Math.min(KEYS_KEPT_MS, options.retentionMs),
    owns: (partition) => ownership.ownsBlocks(partition),
    write: (block) => ownership.writeBlock(block),
  }, from);
  const isConfirmed = () => ownership.isConfirmed();
  const delivery = new Delivery(
    { ...options.delivery, log, blocks, clock, random, isConfirmed },
    ownership.lanes,
    from,
  );
  // The tail of an embedded log starts at the watermarks of all lanes: it feeds them, so they must be here first.
  if (log.supports.group) delivery.start();
  const consolidator = await startConsolidator({ ...options, ownership, delivery, blocks });
  if (!log.supports.group) delivery.start();
  return {
    ownership,
    delivery,
    blocks,
    consolidator,
    async stop(deadlineMs) {
      await consolidator.stop(deadlineMs);
      await delivery.stop(0);
      blocks.close();
    },
  };
}
