// Where the tail of a process starts (A4.1).
import { aborted } from "../../shared/pause.ts";
import { type Log, partitionsOf } from "../log/log.ts";
import type { Replica } from "../replica/replica.ts";

export interface TailStartOptions {
  readonly log: Log;
  readonly replica: Replica;
  /** Ends the wait for a log that is silent. */
  readonly signal?: AbortSignal | undefined;
}

/** The tail starts at most this many records before the end; lanes further behind read the log. */
const MOST_BEHIND = 10_000;

/**
 * Waits until the replica is near the end of the log (A3.12): a process that joined the group before would hold up the shards that
 * it is given. The log may be silent for as long as it likes. Then finds, per partition of `messages`, the first offset that some
 * shard has not offered to its lanes yet. Rejects if `signal` aborts.
 */
export async function findTailStart({ log, replica, signal }: TailStartOptions): Promise<number[]> {
  const shards = partitionsOf(log, "events");
  await Promise.race([replica.nearEnd(), ...(signal === undefined ? [] : [aborted(signal)])]);
  signal?.throwIfAborted();
  // The one process of an embedded log loads all shards: it needs the watermarks exactly.
  if (!log.supports.group) await Promise.all(shards.map((shard) => replica.caughtUp(shard)));
  return await Promise.all(
    partitionsOf(log, "messages").map(async (partition) => {
      const end = await log.end("messages", partition);
      const behind = Math.min(end, ...shards.map((shard) => replica.watermark(shard, partition) ?? end));
      // Without an index by key, lanes that are further behind find in the blocks where their topics have messages.
      return log.supports.keyIndex ? behind : Math.max(behind, end - MOST_BEHIND);
    }),
  );
}
