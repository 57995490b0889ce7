// The log port. Publishing appends to it, delivering moves a cursor on it, recovery reads it back.
// Two adapters pass one contract suite (test/contract/log.ts): libsql/ (one file) and kafka/ (a real broker).

/** The streams of ARCHITECTURE §2. `messages` and `events` take appends from outside; the rest belong to a shard's writer. */
export type Stream = AppendStream | ShardStream;
export type AppendStream = "messages" | "events";
export type ShardStream = "topics" | "subscriptions" | "cursors" | "dead-letters" | "blocks";

const SHARD_STREAMS: readonly ShardStream[] = ["topics", "subscriptions", "cursors", "dead-letters", "blocks"];
export const STREAMS: readonly Stream[] = ["messages", "events", ...SHARD_STREAMS];
/** Streams that keep the newest record of each key; a null value is a tombstone. */
export const COMPACTED: readonly Stream[] = ["topics", "subscriptions", "cursors", "blocks"];

/** A position in a stream: the offset of the record that stands there, or will stand there. */
export interface Position {
  readonly partition: number;
  readonly offset: number;
}

/** A record to append. `headers` are short UTF-8 strings; `value` is kept byte for byte, null is a tombstone. */
export interface NewRecord {
  readonly key: string;
  readonly value: Uint8Array | null;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A record as read. `time` is milliseconds since 1970 by the log's own clock, never the client's. */
export interface LogRecord extends Position {
  readonly key: string;
  readonly value: Uint8Array | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly time: number;
}

/** The text of a record's value. The bytes are not copied first. */
export function textOf(value: Uint8Array): string {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString();
}

/** A record that a shard's writer commits. Its partition is the shard's own, unless it names another (`blocks`). */
export interface ShardRecord extends NewRecord {
  readonly stream: ShardStream;
  readonly partition?: number;
}

/** Records that were asked for but are no longer kept: `from` is the offset asked for, `to` is where the log starts now. */
export interface Gap {
  readonly from: number;
  readonly to: number;
}

/** What one read brought. `next` is where to read on, beyond control records, compacted holes and records of other keys. */
export interface Chunk {
  readonly records: readonly LogRecord[];
  readonly next: number;
  readonly gap?: Gap;
}

/** What a follower brought: a chunk, and where it is from. `records` is empty if only `next` moved. */
export interface Batch extends Chunk {
  readonly stream: Stream;
  readonly partition: number;
}

export interface ReadLimits {
  /** Stop after about this many bytes of values; at least one record is returned if there is one. */
  readonly maxBytes: number;
  /** Only records with one of these keys. An adapter with an index skips the rest cheaply; every adapter filters. */
  readonly keys?: ReadonlySet<string>;
}

/** A long-lived reader of several partitions. Handlers of one follower run one at a time, in order within a partition. */
export interface Follower {
  /** Follows one more partition, or follows this one from another offset. */
  add(stream: Stream, partition: number, from: number): void;
  /** No handler is called for this partition from now on; one that is running ends. */
  remove(stream: Stream, partition: number): void;
  /** Stops reading; resolves after the running handler has ended. Idempotent. */
  close(): Promise<void>;
}

/** Where to begin following, per stream: the next offset wanted of each partition, by its number. Empty if `add` names partitions later. */
export type FollowFrom = Partial<Record<Stream, readonly number[]>>;

/** Writes everything that one owner writes for one shard, one transaction after the other (A3.1). */
export interface ShardWriter {
  /**
   * Writes all records or none; resolves when they are durable, so that `follow` yields them. If the outcome of a commit is
   * unknown, the adapter repeats it (all shard records are whole states, so a second write changes nothing) until it is durable,
   * the writer is closed, or another owner has taken the shard.
   * @throws {LogError} "fenced", "closed", "full" (embedded log: no room on the disk), "too_large" (Kafka); nothing was written
   */
  commit(records: readonly ShardRecord[]): Promise<void>;
  close(): Promise<void>;
}

/** A process as the group sees it: the group shares the shards among its processes (ARCHITECTURE §3). */
export interface Member {
  /** The shards that it has now or is taking. The assigner gets them, so that few shards move (A3.3). */
  held(): readonly number[];
  /**
   * Assigns the shards that are its own from now on: it releases the others that it holds, and takes those that it lacks. Every
   * rebalance calls this, also with the same shards; nobody awaits it. An empty list may also mean that the group has removed it.
   */
  assigned(shards: readonly number[]): void;
  /** The id under which a dead process with the same data directory was a member: it leaves the group first. */
  readonly predecessor?: string | undefined;
  /** Tells the id under which this process is a member from now on. */
  joinedAs?(id: string): void;
  /** The brokers do not allow it to join. It keeps trying until somebody allows it. */
  forbidden?(error: LogError): void;
}

export interface Membership {
  /**
   * When the last acknowledged Heartbeat or SyncGroup was *sent*, ms of the monotonic clock (A3.4); -Infinity while it is not a
   * member. For 10 s from then on nobody else gets its shards, unless `assigned` has told it so.
   */
  confirmedAt(): number;
  /** Joins again with the shards that it holds now; `assigned` follows. For an owner that was fenced (A3.4). */
  rejoin(): void;
  /** Leaves, so that its shards move at once; `assigned` is not called after it. Never rejects. Idempotent. */
  leave(): Promise<void>;
}

export interface Log {
  readonly kind: "libsql" | "kafka";
  /** Identifies this log for as long as it exists (cluster id and prefix; the file's own id): a copy of its state names it. */
  readonly identity: string;
  readonly supports: {
    /** Reads by key use an index, so they cost what they return. */
    readonly keyIndex: boolean;
    /** Several processes share its shards, and `join` says who has which. Otherwise the one process that has it open has all. */
    readonly group: boolean;
  };

  partitions(stream: Stream): number;
  /** The partition of a key. All co-partitioned streams put the same key into the same one. */
  partitionOf(stream: Stream, key: string): number;

  /**
   * Appends one record; resolves when it is durable on all in-sync replicas (A2.1). Calls are batched.
   * @throws {LogError} "too_large", "unavailable" (it may be written or not: retry with the same id), "full", "closed"
   */
  append(stream: AppendStream, record: NewRecord, partition?: number): Promise<Position & { readonly time: number }>;

  /** The offset of the oldest record kept, or of the next one if there is none. */
  start(stream: Stream, partition: number): Promise<number>;
  /** The offset that the next record will have (on Kafka the last stable offset). Calls of the same few ms share one request. */
  end(stream: Stream, partition: number): Promise<number>;
  /** The offset of the first record at or after `time` (ms), or the end. */
  positionAt(stream: Stream, partition: number, time: number): Promise<number>;

  /**
   * Reads once from `from`. Does not wait for new records: an empty chunk with `next >= end` means caught up.
   * @throws {LogError} "unavailable", "closed"
   */
  read(stream: Stream, partition: number, from: number, limits: ReadLimits): Promise<Chunk>;

  /**
   * Counts the records of a key from an offset on, and reads the time of the first; only with `supports.keyIndex`. It does not step over
   * all of them each time.
   */
  count?(
    stream: "messages",
    partition: number,
    key: string,
    from: number,
  ): Promise<{ readonly count: number; readonly firstTime: number | undefined }>;

  /** Follows partitions from given positions, for ever. A handler's promise is awaited before its follower reads on. */
  follow(from: FollowFrom, handle: (batch: Batch) => void | Promise<void>): Follower;

  /**
   * Opens the writer of a shard: fences the one before it, writes the marks under `~owner`, and resolves when they can be read
   * (A3.1, A3.2). `mayOpen` is asked right before each request that fences (A3.4): now, and after a commit whose outcome is
   * unknown, which is repeated only if it says yes.
   * @throws {LogError} "fenced": another owner has taken it meanwhile, or `mayOpen` said no; "unavailable", "closed",
   * "misconfigured"
   */
  openWriter(shard: number, mayOpen?: () => boolean): Promise<ShardWriter>;

  /** Joins the group that shares the shards, and stays in it until `leave`; only with `supports.group`. */
  join?(member: Member): Membership;

  /** Resolves if the log can be reached now. @throws {LogError} "unavailable", "closed" */
  ping(): Promise<void>;
  /** Ends everything; pending appends and waits reject with "closed" unless they can still be made durable. Idempotent. */
  close(): Promise<void>;
}

/** How an adapter checks a record before it appends it. @throws {LogError} "too_large" */
export function checkValueSize({ value }: NewRecord, maxBytes: number): void {
  const size = value?.byteLength ?? 0;
  if (size > maxBytes) {
    throw new LogError("too_large", `The record has ${size} bytes; at most ${maxBytes} are allowed`);
  }
}

/** The numbers of a stream's partitions; those of `events` are also the numbers of the shards. */
export function partitionsOf(log: Pick<Log, "partitions">, stream: Stream): number[] {
  return Array.from({ length: log.partitions(stream) }, (_, partition) => partition);
}

/** The shard that writes a partition of a shard's streams. Only `blocks` can have more partitions than there are shards (A3.1). */
export function shardThatWrites(log: Pick<Log, "partitions">, partition: number): number {
  return partition % log.partitions("events");
}

export type LogErrorCode = "unavailable" | "too_large" | "full" | "fenced" | "closed" | "misconfigured" | "locked";

export class LogError extends Error {
  readonly code: LogErrorCode;
  constructor(code: LogErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "LogError";
    this.code = code;
  }
}
