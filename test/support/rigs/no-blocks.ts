// An empty store of blocks: an index over it knows only the messages that it has passed itself.
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
