// The replica's tables (drizzle): what it keeps of the streams that it follows, and how far it has read them. The SQL that makes the
// tables is derived from them.
import type { SQL } from "drizzle-orm";
import type { SQLiteColumn, SQLiteTable } from "drizzle-orm/sqlite-core";
import { getTableConfig, index, integer, primaryKey, sql, SQLiteAsyncDialect, sqliteTable, text } from "./drizzle.ts";

/** One row per stream and key; `record` is the JSON of core/state/records.ts. */
export const records = sqliteTable("records", {
  stream: text("stream", { enum: ["topics", "subscriptions", "cursors"] }).notNull(),
  partition: integer("partition").notNull(),
  key: text("key").notNull(),
  record: text("record").notNull(),
  /** The id of the topic of a subscription that is live or waits for verification; null in other rows. */
  topicId: text("topic_id"),
  /** JSON: the names in `counts` that the row counts for (states.ts). */
  counted: text("counted"),
}, (table) => [
  primaryKey({ columns: [table.stream, table.partition, table.key] }),
  index("records_shard").on(table.stream, table.partition),
  index("records_topic").on(table.topicId).where(sql`topic_id IS NOT NULL`),
]);

/** How many rows of `records` have a name in their `counted`. Triggers keep it, so it is exact whatever statement wrote a row. */
export const counts = sqliteTable("counts", { name: text("name").primaryKey(), count: integer("count").notNull() });

/** One row per dead letter of the stream; `record` is its JSON. */
export const deadLetters = sqliteTable("dead_letters", {
  partition: integer("partition").notNull(),
  offset: integer("offset").notNull(),
  subscriptionId: text("subscription_id").notNull(),
  life: integer("life").notNull(),
  /** The offset of the message that was given up. */
  message: integer("message").notNull(),
  /** When the log took it, ms since 1970. */
  time: integer("time").notNull(),
  record: text("record").notNull(),
}, (table) => [
  primaryKey({ columns: [table.partition, table.offset] }),
  // Each question about them has an index that has all it looks at: a subscription may have a million (dead-letter-rows.ts).
  index("dead_letters_place").on(table.subscriptionId, table.life, table.offset, table.message, table.time),
  index("dead_letters_message").on(table.subscriptionId, table.life, table.message, table.time),
  index("dead_letters_id").on(table.subscriptionId, table.life, sql`json_extract(record, '$.id')`),
  index("dead_letters_time").on(table.time),
]);

/** One row per block of the stream. */
export const blocks = sqliteTable("blocks", {
  partition: integer("partition").notNull(),
  block: integer("block").notNull(),
  /** When its last message was appended, ms since 1970. */
  time: integer("time").notNull(),
}, (table) => [primaryKey({ columns: [table.partition, table.block] }), index("blocks_time").on(table.time)]);

/** One row per topic of a block, if the log has no index by key. `offsets` is JSON; null if the topic has many. */
export const blockTopics = sqliteTable("block_topics", {
  partition: integer("partition").notNull(),
  topicId: text("topic_id").notNull(),
  block: integer("block").notNull(),
  offsets: text("offsets"),
}, (table) => [
  primaryKey({ columns: [table.partition, table.topicId, table.block] }),
  index("block_topics_block").on(table.partition, table.block),
]);

/** One row per message with an idempotency key in a followed block. Only a repeat has `first`: the offset that it repeats. */
export const keyed = sqliteTable("keyed", {
  partition: integer("partition").notNull(),
  offset: integer("offset").notNull(),
  topicId: text("topic_id").notNull(),
  id: text("id").notNull(),
  /** When the log took it, ms since 1970. */
  time: integer("time").notNull(),
  sha256: text("sha256").notNull(),
  first: integer("first"),
}, (table) => [
  primaryKey({ columns: [table.partition, table.offset] }),
  index("keyed_id").on(table.partition, table.id),
  index("keyed_repeats").on(table.partition, table.offset, table.topicId).where(sql`first IS NOT NULL`),
]);

/** The next offset of each partition of each stream, written in the same transaction as the rows. */
export const positions = sqliteTable("positions", {
  stream: text("stream").notNull(),
  partition: integer("partition").notNull(),
  next: integer("next").notNull(),
}, (table) => [primaryKey({ columns: [table.stream, table.partition] })]);

/** Which log this is a copy of, and when it was last followed, ms since 1970 (A3.12). */
export const origin = sqliteTable("origin", {
  identity: text("identity").primaryKey(),
  followedAt: integer("followed_at").notNull(),
});

/**
 * The version of what is below: a file of another version is thrown away and rebuilt. Raise it with every change of a table, an
 * index or a trigger.
 */
export const SCHEMA_VERSION = 6;

const TABLES: readonly SQLiteTable[] = [records, counts, deadLetters, blocks, blockTopics, keyed, positions, origin];
/**
 * Tables that are kept in the order of their primary keys. `records` is kept in the order in which its rows came: its keys are
 * hashes, and in their order each row of 1 KB would be a page of its own to write.
 */
const WITHOUT_ROWID: ReadonlySet<SQLiteTable> = new Set([counts, blocks, blockTopics, keyed]);

const COUNT_OLD = `UPDATE counts SET count = count - 1 WHERE name IN (SELECT value FROM json_each(old.counted));
    DELETE FROM counts WHERE count = 0 AND name IN (SELECT value FROM json_each(old.counted));`;
const COUNT_NEW = `INSERT INTO counts SELECT value, 1 FROM json_each(new.counted) WHERE true
    ON CONFLICT (name) DO UPDATE SET count = count + 1;`;
/** drizzle cannot declare triggers. */
const TRIGGERS: readonly string[] = [
  `CREATE TRIGGER IF NOT EXISTS records_inserted AFTER INSERT ON records WHEN new.counted IS NOT NULL
    BEGIN ${COUNT_NEW} END`,
  `CREATE TRIGGER IF NOT EXISTS records_updated AFTER UPDATE OF counted ON records WHEN old.counted IS NOT new.counted
    BEGIN ${COUNT_OLD} ${COUNT_NEW} END`,
  `CREATE TRIGGER IF NOT EXISTS records_deleted AFTER DELETE ON records WHEN old.counted IS NOT NULL
    BEGIN ${COUNT_OLD} END`,
];

/** The statements that make what is missing in a file. */
export function createStatements(): string[] {
  return [...TABLES.flatMap((table) => [createTable(table), ...createIndexes(table)]), ...TRIGGERS];
}

function createTable(table: SQLiteTable): string {
  const { name, columns, primaryKeys } = getTableConfig(table);
  const parts = columns.map((column) => {
    const constraint = column.primary ? " PRIMARY KEY" : column.notNull ? " NOT NULL" : "";
    return `${column.name} ${column.getSQLType().toUpperCase()}${constraint}`;
  });
  for (const key of primaryKeys) parts.push(`PRIMARY KEY (${key.columns.map((column) => column.name).join(", ")})`);
  return `CREATE TABLE IF NOT EXISTS ${name} (${parts.join(", ")})${WITHOUT_ROWID.has(table) ? " WITHOUT ROWID" : ""}`;
}

function createIndexes(table: SQLiteTable): string[] {
  const dialect = new SQLiteAsyncDialect();
  const textOf = (part: SQLiteColumn | SQL) => "name" in part ? part.name : dialect.sqlToQuery(part).sql;
  const config = getTableConfig(table);
  return config.indexes.map(({ config: { name, columns, where } }) => {
    const condition = where === undefined ? "" : ` WHERE ${textOf(where)}`;
    return `CREATE INDEX IF NOT EXISTS ${name} ON ${config.name} (${columns.map(textOf).join(", ")})${condition}`;
  });
}
