// What deliveries came to, for metrics and the bench.

/** Counts since start. */
export interface DeliveryCounts {
  delivered: number;
  retried: number;
  gone: number;
  deadLettered: number;
  /** Dead letters that were sent again and taken. */
  replayed: number;
  /** Seconds from append to 2xx, summed. */
  delaySum: number;
}

export const createCounts = (): DeliveryCounts => ({
  delivered: 0,
  retried: 0,
  gone: 0,
  deadLettered: 0,
  replayed: 0,
  delaySum: 0,
});
