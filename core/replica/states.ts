// The consolidated state in the replica: one row for each record of the compacted streams, read by requests and loaded by a
// shard's owner.
import { createHash } from "node:crypto";
import type { LibSQLDatabase } from "drizzle-orm/libsql";
import {
  type CursorRecord,
  isLive,
  type ShardProgress,
  type SubscriptionRecord,
  type TopicRecord,
} from "../state/records.ts";
import { OWNER_KEY, SHARD_KEY } from "../state/records.ts";
import { withoutOldOperations } from "../state/recent-operations.ts";
import { Subscriptions } from "../state/subscriptions.ts";
import { hasOldId, topicIdOf } from "../state/ids.ts";
import { clientKeyOf, formerClientOf } from "../../shared/client-key.ts";
import type { ClientIdentity } from "../../shared/core-api.ts";
import { rowsOf, slicesOf, type Statement } from "../sqlite/database.ts";
import { type Batch, textOf } from "../log/log.ts";
import { and, eq, gt, ne, sql } from "./drizzle.ts";
import { counts, records } from "./schema.ts";
import { nextTurn } from "../../shared/turn.ts";

/** The streams whose state a replica keeps. */
export type StateStream = "topics" | "subscriptions" | "cursors";
export const STATES: readonly StateStream[] = ["topics", "subscriptions", "cursors"];

/** What a shard's owner loads. */
export interface ShardState {
  readonly topics: ReadonlyMap<string, TopicRecord>;
  /** They belong to the caller, who keeps its changes in them. */
  readonly subscriptions: Subscriptions;
  readonly cursors: ReadonlyMap<string, CursorRecord>;
  readonly shard: { readonly topics?: ShardProgress; readonly cursors?: ShardProgress };
  /** Live topics and subscriptions whose ids are not those of their spelling; at most 1,000. */
  readonly oldRecords?: readonly OldRecord[];
}

/** A topic's record, or a subscription's, which has a callback. */
export interface OldRecord {
  readonly topic: string;
  readonly callback?: string;
}

const MOST_OLD = 1_000;

/**
 * The statements that write a batch of a stream of state. They are raw SQL: drizzle takes longer to build 500 rows than SQLite to write
 * them.
 */
export function stateStatements(stream: StateStream, batch: Batch): Statement[] {
  // If a batch has several records of a key, only the last counts.
  const newest = new Map(batch.records.map((record) => [record.key, record]));
  const gone: string[] = [];
  const rows: (string | number | null)[][] = [];
  for (const [key, { value }] of newest) {
    if (value === null) {
      gone.push(key);
      continue;
    }
    const record = textOf(value);
    rows.push([stream, batch.partition, key, record, ...columnsOf(stream, key, record)]);
  }
  return [
    ...slicesOf(rows).map((some) => ({ sql: upsertOf(some.length), args: some.flat() })),
    ...slicesOf(gone).map((keys) => ({
      sql: `DELETE FROM records WHERE stream = ? AND partition = ? AND key IN ${rowsOf(1, keys.length)}`,
      args: [stream, batch.partition, ...keys],
    })),
  ];
}

function upsertOf(rows: number): string {
  return `INSERT INTO records (stream, partition, key, record, topic_id, counted) VALUES ${rowsOf(rows, 6)}
    ON CONFLICT (stream, partition, key)
    DO UPDATE SET record = excluded.record, topic_id = excluded.topic_id, counted = excluded.counted`;
}

/** The columns `topic_id` and `counted` of a record. */
function columnsOf(stream: StateStream, key: string, record: string): [string | null, string | null] {
  // An owner's marks and positions are not records of a topic or subscription.
  if (stream === "cursors" || key.startsWith("~")) return [null, null];
  if (stream === "topics") return [null, countedOfTopic(JSON.parse(record) as TopicRecord)];
  const subscription = JSON.parse(record) as SubscriptionRecord;
  const waits = isLive(subscription.phase) || subscription.pending.length > 0;
  return [waits ? topicIdOf(subscription.topic) : null, countedOfSubscription(subscription)];
}

/**
 * What is counted of the state for each client. A row's `counted` names the sums that it is part of, and triggers of the replica's
 * file keep the sums in the transaction that writes the row. `subscriptions`: pairs that are live or wait for verification;
 * `pending`: pairs that wait for verification; `topics`: topics that are registered.
 */
type Counted = "subscriptions" | "pending" | "topics";

/** The name of a client's sum. */
export function countNameOf(counted: Counted, client: ClientIdentity): string {
  return `${counted} ${createHash("sha256").update(clientKeyOf(client)).digest("base64url")}`;
}

/** The names of all that counts for a client: what was recorded before claims were counts for every client that it may be of. */
export function countNamesOf(counted: Counted, client: ClientIdentity): readonly string[] {
  const former = formerClientOf(client);
  return [countNameOf(counted, client), ...(former === undefined ? [] : [countNameOf(counted, former)])];
}

/** The sums that a pair is part of, as JSON; null for none. It counts for its client, and for each client that asks for it. */
function countedOfSubscription({ phase, client, pending }: SubscriptionRecord): string | null {
  const names = new Set<string>();
  if (isLive(phase) && client !== undefined) names.add(countNameOf("subscriptions", client));
  for (const intent of pending) {
    if (intent.mode !== "subscribe" || intent.client === undefined) continue;
    names.add(countNameOf("subscriptions", intent.client)).add(countNameOf("pending", intent.client));
  }
  return names.size === 0 ? null : JSON.stringify([...names]);
}

function countedOfTopic({ client, endedAt }: TopicRecord): string | null {
  return client === undefined || endedAt !== undefined ? null : JSON.stringify([countNameOf("topics", client)]);
}

/** One of a client's sums, by its name. */
export async function readCount(db: LibSQLDatabase, name: string): Promise<number> {
  const [row] = await db.select({ count: counts.count }).from(counts).where(eq(counts.name, name));
  return row?.count ?? 0;
}

/** The newest record of a key, as JSON has it; undefined if there is none. */
export async function readRecord<T>(
  db: LibSQLDatabase,
  stream: StateStream,
  partition: number,
  key: string,
): Promise<T | undefined> {
  const [row] = await db.select({ record: records.record }).from(records).where(
    and(eq(records.stream, stream), eq(records.partition, partition), eq(records.key, key)),
  );
  return row === undefined ? undefined : JSON.parse(row.record) as T;
}

/** The records of several topics, by their ids: one question, however many they are. */
export async function readTopics(
  db: LibSQLDatabase,
  topics: readonly (readonly [id: string, partition: number])[],
): Promise<Map<string, TopicRecord>> {
  const rows = await db.select({ key: records.key, record: records.record })
    .from(sql`json_each(${JSON.stringify(topics)}) AS wanted`)
    .innerJoin(
      records,
      and(
        eq(records.stream, "topics"),
        sql`${records.partition} = json_extract(wanted.value, '$[1]')`,
        sql`${records.key} = json_extract(wanted.value, '$[0]')`,
      ),
    );
  return new Map(rows.map(({ key, record }) => [key, JSON.parse(record) as TopicRecord]));
}

/** Which of these topics have a subscription that is active, parked, expired or waits for verification. One question. */
export async function subscribedOf(db: LibSQLDatabase, topicIds: readonly string[]): Promise<Set<string>> {
  // The first row of each topic decides: a topic costs the same with one subscription and with a hundred thousand.
  const rows = await db.select({ id: sql<string>`wanted.value` })
    .from(sql`json_each(${JSON.stringify(topicIds)}) AS wanted`)
    .where(sql`EXISTS (SELECT 1 FROM ${records} WHERE ${records.topicId} = wanted.value)`);
  return new Set(rows.map(({ id }) => id));
}

/** The shards' own records of a stream, by shard. */
export async function readShardRecords(
  db: LibSQLDatabase,
  stream: StateStream,
): Promise<(readonly [shard: number, state: ShardProgress])[]> {
  const rows = await db.select({ partition: records.partition, record: records.record }).from(records).where(
    and(eq(records.stream, stream), eq(records.key, SHARD_KEY)),
  );
  return rows.map(({ partition, record }) => [partition, JSON.parse(record) as ShardProgress]);
}

/** Loads what a shard's owner begins with. `now`: wall clock, ms. */
export async function loadShard(db: LibSQLDatabase, shard: number, now: number): Promise<ShardState> {
  const topics = new Map<string, TopicRecord>();
  const subscriptions = new Subscriptions();
  const cursors = new Map<string, CursorRecord>();
  const state: { topics?: ShardProgress; cursors?: ShardProgress } = {};
  const oldRecords: OldRecord[] = [];
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
          if (stream !== "subscriptions") state[stream] = record as ShardProgress;
        } else {
          keep(key, record);
          if (oldRecords.length < MOST_OLD) oldRecords.push(...oldOf(stream, key, record));
        }
      }
      if (page.last === undefined) break;
      after = page.last;
      // The event loop has its turn between pages (ARCHITECTURE §4).
      await nextTurn();
    }
  }
  return { topics, subscriptions, cursors, shard: state, oldRecords };
}

function oldOf(stream: StateStream, key: string, record: unknown): OldRecord[] {
  if (stream === "cursors") return [];
  if (stream === "topics") {
    const { topic, endedAt } = record as TopicRecord;
    return endedAt === undefined && hasOldId(key, topic) ? [{ topic }] : [];
  }
  const { topic, callback, phase } = record as SubscriptionRecord;
  return isLive(phase) && hasOldId(key, topic, callback) ? [{ topic, callback }] : [];
}

interface Page {
  readonly rows: readonly (readonly [key: string, record: unknown])[];
  /** The row after which the next page begins; undefined if this is the last page. */
  readonly last: number | undefined;
}

const PAGE = 1_000;
/** SQLite's own number of a row. A row that is written again keeps it. */
const ROW = sql<number>`${records}.rowid`;

/** Reads a page as one JSON text: one row of the driver's for each record would cost more than parsing the text. */
async function readPage(db: LibSQLDatabase, stream: StateStream, shard: number, after: number): Promise<Page> {
  const page = db.select({ row: ROW.as("row"), key: records.key, record: records.record }).from(records)
    // An owner's mark is not JSON.
    .where(and(
      eq(records.stream, stream),
      eq(records.partition, shard),
      gt(ROW, after),
      ne(records.key, OWNER_KEY),
    ))
    .orderBy(ROW).limit(PAGE).as("page");
  const [found] = await db.select({
    // Keys are ids and `~`: no key needs an escape.
    rows: sql<string>`'[' || coalesce(group_concat('["' || ${page.key} || '",' || ${page.record} || ']'), '') || ']'`,
    last: sql<number | null>`max(${page.row})`,
    count: sql<number>`count(*)`,
  }).from(page);
  const { rows, last, count } = found!;
  return { rows: JSON.parse(rows) as Page["rows"], last: count < PAGE ? undefined : last ?? undefined };
}
