// The consolidated state in the replica: a row a record, written as the compacted streams say, loaded by a shard's owner.
import type { LibSQLDatabase } from "drizzle-orm/libsql";
import type { CursorRecord, ShardRecordState, SubscriptionRecord, TopicRecord } from "../consolidator/records.ts";
import { SHARD_KEY } from "../consolidator/records.ts";
import { topicIdOf } from "../ids.ts";
import type { Batch } from "../log/log.ts";
import { and, eq, gt, inArray, sql } from "./drizzle.ts";
import { records } from "./schema.ts";

/** The streams whose state a replica keeps. */
export type StateStream = "topics" | "subscriptions" | "cursors";
export const STATES: readonly StateStream[] = ["topics", "subscriptions", "cursors"];

/** What a shard's owner loads. */
export interface ShardState {
  readonly topics: ReadonlyMap<string, TopicRecord>;
  readonly subscriptions: ReadonlyMap<string, SubscriptionRecord>;
  readonly cursors: ReadonlyMap<string, CursorRecord>;
  readonly shard: { readonly topics?: ShardRecordState; readonly cursors?: ShardRecordState };
}

/** What a batch of a stream of state changes. */
export function stateStatements(db: LibSQLDatabase, stream: StateStream, batch: Batch) {
  // Of several records of a key in one batch only the last counts.
  const newest = new Map(batch.records.map((record) => [record.key, record]));
  const gone: string[] = [];
  const rows = [];
  for (const [key, { value }] of newest) {
    if (value === null) {
      gone.push(key);
      continue;
    }
    const record = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString();
    const topicId = stream === "subscriptions" && !key.startsWith("~") ? topicIdOf(topicOf(record)) : null;
    rows.push({ stream, partition: batch.partition, key, record, topicId });
  }
  const statements = [];
  for (let i = 0; i < rows.length; i += 500) {
    statements.push(
      db.insert(records).values(rows.slice(i, i + 500)).onConflictDoUpdate({
        target: [records.stream, records.partition, records.key],
        set: { record: sql`excluded.record`, topicId: sql`excluded.topic_id` },
      }),
    );
  }
  for (let i = 0; i < gone.length; i += 500) {
    statements.push(
      db.delete(records).where(
        and(
          eq(records.stream, stream),
          eq(records.partition, batch.partition),
          inArray(records.key, gone.slice(i, i + 500)),
        ),
      ),
    );
  }
  return statements;
}

function topicOf(record: string): string {
  return (JSON.parse(record) as SubscriptionRecord).topic;
}

/** All that a shard's owner begins with. */
export async function loadShard(db: LibSQLDatabase, shard: number): Promise<ShardState> {
  const topics = new Map<string, TopicRecord>();
  const subscriptions = new Map<string, SubscriptionRecord>();
  const cursors = new Map<string, CursorRecord>();
  const state: { topics?: ShardRecordState; cursors?: ShardRecordState } = {};
  for (const stream of STATES) {
    const target: Map<string, unknown> = stream === "topics"
      ? topics
      : stream === "subscriptions"
      ? subscriptions
      : cursors;
    // A page at a time: each await lets the event loop breathe (ARCHITECTURE §4).
    for (let after = "";;) {
      const rows = await db.select({ key: records.key, record: records.record }).from(records)
        .where(and(eq(records.stream, stream), eq(records.partition, shard), gt(records.key, after)))
        .orderBy(records.key).limit(2_000);
      for (const { key, record } of rows) {
        if (key === SHARD_KEY) {
          if (stream !== "subscriptions") state[stream] = JSON.parse(record) as ShardRecordState;
        } else if (!key.startsWith("~")) target.set(key, JSON.parse(record));
      }
      if (rows.length < 2_000) break;
      after = rows.at(-1)!.key;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  return { topics, subscriptions, cursors, shard: state };
}
