// Where finished blocks are looked up once they were followed from the log: the replica has it (core/replica/blocks.ts).
import type { Keyed, TopicInBlock } from "./block.ts";

export interface BlockStore {
  /** The newest block of a partition; undefined if there is none. */
  newestBlock(partition: number): Promise<number | undefined>;
  /** Every message with one of these ids, as far as blocks are kept. */
  keyed(partition: number, ids: readonly string[]): Promise<Keyed[]>;
  /** The offsets of repeats from `from` on, before `to`. */
  repeats(partition: number, from: number, to: number): Promise<number[]>;
  /** How many repeats of a topic stand from an offset on, before another. */
  countRepeats(partition: number, topicId: string, from: number, before: number): Promise<number>;
  /** The blocks that have the topic, from a block on, in order, at most `limit`. */
  places(partition: number, topicId: string, fromBlock: number, limit: number): Promise<TopicInBlock[]>;
  /** The topics that have a message in a block of a partition from this one on; only where the log has no index by key. */
  topicsFrom(partition: number, fromBlock: number): Promise<string[]>;
  /** Calls back when a block can be found here. Returns the end of it. */
  onBlock(heard: (partition: number, block: number) => void): () => void;
}
