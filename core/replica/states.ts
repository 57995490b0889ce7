// The consolidated state in the replica: a row a record, written as the compacted streams say, loaded by a shard's owner.
import type { LibSQLDatabase } from "drizzle-orm/libsql";
import type { CursorRecord, ShardRecordState, SubscriptionRecord, TopicRecord } from "../state/records.ts";
import { OWNER_KEY, SHARD_KEY } from "../state/records.ts";
import { withoutOldOperations } from "../state/recent-operations.ts";
import { Subscriptions } from "../state/subscriptions.ts";
import { topicIdOf } from "../state/ids.ts";
import { rowsOf, type Statement } from "../sqlite/database.ts";
import type { Batch } from "../log/log.ts";
import { countedOfSubscription, countedOfTopic } from "./counts.ts";
import { and, eq, gt, ne, sql } from "./drizzle.ts";
import { records } from "./schema.ts";
import { nextTurn } from "../../shared/turn.ts";

/** The streams whose state a replica keeps. */
export type StateStream = "topics" | "subscriptions" | "cursors";
export const STATES: readonly StateStream[] = ["topics", "subscriptions", "cursors"];

/** Of one statement. */
const ROWS = 500;

/** What a shard's owner loads. */
export interface ShardState {
  readonly topics: ReadonlyMap<string, TopicRecord>;
  /** Of whoever loads it: they are kept in it from then on. */
  readonly subscriptions: Subscriptions;
  readonly cursors: ReadonlyMap<string, CursorRecord>;
  readonly shard: { readonly topics?: ShardRecordState; readonly cursors?: ShardRecordState };
}

/** What a batch of a stream of state changes: as text, because to build 500 rows by drizzle takes longer than to write them. */
export function stateStatements(stream: StateStream, batch: Batch): Statement[] {
  // Of several records of a key in one batch only the last counts.
  const newest = new Map(batch.records.map((record) => [record.key, record]));
  const gone: string[] = [];
  const rows: (string | number | null)[][] = [];
  for (const [key, { value }] of newest) {
    if (value === null) {
      gone.push(key);
      continue;
    }
    const record = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString();
    rows.push([stream, batch.partition, key, record, ...columnsOf(stream, key, record)]);
  }
  const statements: Statement[] = [];
  for (let i = 0; i < rows.length; i += ROWS) {
    const some = rows.slice(i, i + ROWS);
    statements.push({ sql: upsertOf(some.length), args: some.flat() });
  }
  for (let i = 0; i < gone.length; i += ROWS) {
    const keys = gone.slice(i, i + ROWS);
    statements.push({
      sql: `DELETE FROM records WHERE stream = ? AND partition = ? AND key IN ${rowsOf(1, keys.length)}`,
      args: [stream, batch.partition, ...keys],
    });
  }
  return statements;
}

function upsertOf(rows: number): string {
  return `INSERT INTO records (stream, partition, key, record, topic_id, counted) VALUES ${rowsOf(rows, 6)}
    ON CONFLICT (stream, partition, key)
    DO UPDATE SET record = excluded.record, topic_id = excluded.topic_id, counted = excluded.counted`;
}

/** `topic_id` and `counted`. */
function columnsOf(stream: StateStream, key: string, record: string): [string | null, string | null] {
  // Marks are no records.
  if (stream === "cursors" || key.startsWith("~")) return [null, null];
  if (stream === "topics") return [null, countedOfTopic(JSON.parse(record) as TopicRecord)];
  const subscription = JSON.parse(record) as SubscriptionRecord;
  return [topicIdOf(subscription.topic), countedOfSubscription(subscription)];
}

/** All that a shard's owner begins with; `now`: wall clock, ms. */
export async function loadShard(db: LibSQLDatabase, shard: number, now: number): Promise<ShardState> {
  const topics = new Map<string, TopicRecord>();
  const subscriptions = new Subscriptions();
  const cursors = new Map<string, CursorRecord>();
  const state: { topics?: ShardRecordState; cursors?: ShardRecordState } = {};
  for (const stream of STATES) {
    const keep = (key: string, record: unknown): unknown => {
      switch (stream) {
        case "topics":
          return topics.set(key, record as TopicRecord);
        case "cursors":
          return cursors.set(key, record as CursorRecord);
        case "subscriptions":
          return subscriptions.set(key, withoutOldOperations(record as SubscriptionRecord, now));
      }
    };
    for (let after: number | undefined = 0;;) {
      const page: Page = await readPage(db, stream, shard, after);
      for (const [key, record] of page.rows) {
        if (key === SHARD_KEY) {
          if (stream !== "subscriptions") state[stream] = record as ShardRecordState;
        } else keep(key, record);
      }
      if (page.last === undefined) break;
      after = page.last;
      // Each page lets the event loop breathe (ARCHITECTURE §4).
      await nextTurn();
    }
  }
  return { topics, subscriptions, cursors, shard: state };
}

interface Page {
  readonly rows: readonly (readonly [key: string, record: unknown])[];
  /** The row after which the next one begins; undefined if there is none. */
  readonly last: number | undefined;
}

const PAGE = 1_000;
/** SQLite's own number of a row; one that is written again keeps it. */
const ROW = sql<number>`${records}.rowid`;

/** A page as one text of JSON: a row of the driver's for each record would cost more than to parse them all. */
async function readPage(db: LibSQLDatabase, stream: StateStream, shard: number, after: number): Promise<Page> {
  const page = db.select({ row: ROW.as("row"), key: records.key, record: records.record }).from(records)
    // An owner's mark is no record, and no JSON.
    .where(and(
      eq(records.stream, stream),
      eq(records.partition, shard),
      gt(ROW, after),
      ne(records.key, OWNER_KEY),
    ))
    .orderBy(ROW).limit(PAGE).as("page");
  const [found] = await db.select({
    // Keys are ids and `~`: none needs an escape.
    rows: sql<string>`'[' || coalesce(group_concat('["' || ${page.key} || '",' || ${page.record} || ']'), '') || ']'`,
    last: sql<number | null>`max(${page.row})`,
    count: sql<number>`count(*)`,
  }).from(page);
  const { rows, last, count } = found!;
  return { rows: JSON.parse(rows) as Page["rows"], last: count < PAGE ? undefined : last ?? undefined };
}
