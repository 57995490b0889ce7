// The bounds of an edge's memory (ARCHITECTURE §6.7), as a process of its own and as a Worker.

export interface MemoryBounds {
  /** All bodies that are being read or on their way to the core, bytes; at least four of the longest. */
  readonly bodiesBytes: number;
  /** A body up to this size is not counted, bytes. */
  readonly uncountedBytes: number;
  /** Keys of each rate limit, and hosts of the budget for verifications. */
  readonly keys: number;
  /** Tokens that were verified, with what they say. */
  readonly tokenBytes: number;
  /** Tokens that were refused. */
  readonly refusedTokenBytes: number;
  /** A request that has held places of a limit for so long was dropped by the runtime, ms; they are free again. Infinity: never. */
  readonly lostAfterMs: number;
}

/** A process: the server's limit on connections bounds the bodies that are not counted. */
export const PROCESS_MEMORY: MemoryBounds = {
  bodiesBytes: 128 * 1_024 * 1_024,
  uncountedBytes: 4_096,
  keys: 100_000,
  tokenBytes: 16 * 1_024 * 1_024,
  refusedTokenBytes: 1_024 * 1_024,
  lostAfterMs: Infinity,
};

/**
 * A Worker's isolate has 128 MB in all, and nothing bounds its connections. A body is held up to four times while it goes to the core
 * (as read, framed, under its MAC, by fetch), which makes 32 MiB, and as much again is garbage that is not collected yet. The three
 * tables of keys take up to 12 MB with the longest names, the tokens 10 MB, the code and the engine about 15 MB.
 */
export const WORKER_MEMORY: MemoryBounds = {
  bodiesBytes: 8 * 1_024 * 1_024,
  uncountedBytes: 0,
  keys: 8_192,
  tokenBytes: 4 * 1_024 * 1_024,
  refusedTokenBytes: 256 * 1_024,
  // Longer than a request waits for its core or its issuer, and than the 30 s that workerd lets it go on without its client.
  lostAfterMs: 120_000,
};

/** The longest body on a Worker, bytes: its bound has room for four. */
export const WORKER_MESSAGE_MAX_BYTES = WORKER_MEMORY.bodiesBytes / 4;
