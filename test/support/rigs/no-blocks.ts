// A store of blocks that has none: an index over it knows what it has passed itself.
import type { BlockStore } from "../../../core/messages/block.ts";

export const NO_BLOCKS: BlockStore = {
  newestBlock: () => Promise.resolve(undefined),
  keyed: () => Promise.resolve([]),
  repeats: () => Promise.resolve([]),
  countRepeats: () => Promise.resolve(0),
  topicsFrom: () => Promise.resolve([]),
  places: () => Promise.resolve([]),
  onBlock: () => () => {},
};
