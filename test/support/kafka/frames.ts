// Which requests a client sends to a broker, as a proxy between them sees them.

/** Kafka's numbers of requests. */
export const API = {
  produce: 0,
  fetch: 1,
  listOffsets: 2,
  joinGroup: 11,
  createTopics: 19,
  initProducerId: 22,
  endTransaction: 26,
  describeConfigs: 32,
} as const;

const HEAD_BYTES = 6;

/** Takes one connection's bytes, chunk by chunk, and yields the number of each request that begins in it. */
export function createFrames(): (chunk: Buffer) => number[] {
  let head = Buffer.alloc(0);
  /** The bytes of the last request that have not arrived yet. */
  let rest = 0;
  return (chunk) => {
    const begun: number[] = [];
    let left = chunk;
    while (left.length > 0) {
      const skipped = Math.min(rest, left.length);
      rest -= skipped;
      left = left.subarray(skipped);
      const missing = HEAD_BYTES - head.length;
      head = Buffer.concat([head, left.subarray(0, missing)]);
      left = left.subarray(missing);
      if (head.length < HEAD_BYTES) break;
      begun.push(head.readInt16BE(4));
      rest = head.readInt32BE(0) + 4 - HEAD_BYTES;
      head = Buffer.alloc(0);
    }
    return begun;
  };
}
