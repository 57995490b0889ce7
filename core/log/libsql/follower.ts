// A follower of the embedded log: fed from memory after each commit, from the file while it is behind.
import type { Batch, Chunk, FollowFrom, LogRecord, Stream } from "../log.ts";
import { nextTurn } from "../../../shared/turn.ts";

const CHUNK_BYTES = 1024 * 1024;

export interface LibsqlFollower {
  /** Something was committed. */
  wake(): void;
  add(stream: Stream, from: number): void;
  remove(stream: Stream): void;
  close(): Promise<void>;
}

export interface FollowerSource {
  end(stream: Stream): number;
  /** From memory; undefined if it reaches not far enough back. */
  recent(stream: Stream, from: number, maxBytes: number): LogRecord[] | undefined;
  read(stream: Stream, from: number, maxBytes: number): Promise<Chunk>;
}

export function createFollower(
  from: FollowFrom,
  handle: (batch: Batch) => void | Promise<void>,
  source: FollowerSource,
  onError: (error: Error) => void,
): LibsqlFollower {
  const positions = new Map<Stream, number>();
  for (const [stream, offsets] of Object.entries(from)) {
    if (offsets[0] !== undefined) positions.set(stream as Stream, offsets[0]);
  }
  let closed = false;
  let woken = true;
  let wakeUp: (() => void) | undefined;

  const running = run().catch((error: unknown) => {
    if (!closed) onError(error instanceof Error ? error : new Error(String(error)));
  });

  async function run(): Promise<void> {
    while (!closed) {
      if (!woken) await new Promise<void>((resolve) => wakeUp = resolve);
      woken = false;
      for (const stream of positions.keys()) {
        // To the end of each stream in turn, a chunk at a time.
        while (!closed && (positions.get(stream) ?? Infinity) < source.end(stream)) await step(stream);
      }
    }
  }

  async function step(stream: Stream): Promise<void> {
    const position = positions.get(stream)!;
    const records = source.recent(stream, position, CHUNK_BYTES);
    const chunk = records === undefined ? await source.read(stream, position, CHUNK_BYTES) : {
      records,
      // Beyond the last one there may be more, if the chunk was cut.
      next: records.length === 0 ? source.end(stream) : records.at(-1)!.offset + 1,
    };
    // Removed, or sent to another place, while it read.
    if (closed || positions.get(stream) !== position) return;
    positions.set(stream, chunk.next);
    await handle({ stream, partition: 0, ...chunk });
    // Far behind it would never wait for anything: the event loop has its turn, and what the driver has done with is freed.
    if (records === undefined) await nextTurn();
  }

  const wake = () => {
    woken = true;
    wakeUp?.();
  };
  return {
    wake,
    add(stream, position) {
      positions.set(stream, position);
      wake();
    },
    remove: (stream) => void positions.delete(stream),
    async close() {
      closed = true;
      wakeUp?.();
      await running;
    },
  };
}
