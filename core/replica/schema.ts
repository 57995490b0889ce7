// The replica's tables (drizzle): the compacted streams as they stand, and how far they were read.
import { index, integer, primaryKey, sqliteTable, text } from "./drizzle.ts";

/** One row per stream and key; `record` is the JSON of core/state/records.ts. */
export const records = sqliteTable("records", {
  stream: text("stream", { enum: ["topics", "subscriptions", "cursors"] }).notNull(),
  partition: integer("partition").notNull(),
  key: text("key").notNull(),
  record: text("record").notNull(),
  /** Of a subscription: its topic's id. */
  topicId: text("topic_id"),
  /** JSON: the names in `counts` that it is part of (counts.ts). */
  counted: text("counted"),
}, (table) => [
  primaryKey({ columns: [table.stream, table.partition, table.key] }),
  index("records_shard").on(table.stream, table.partition),
  index("records_topic").on(table.topicId),
]);

/** How many rows of `records` name each name in their `counted`: kept by triggers, so exact whatever wrote the row. */
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
  index("dead_letters_subscription").on(table.subscriptionId, table.offset),
  index("dead_letters_time").on(table.time),
]);

/** One row per block of the stream. */
export const blocks = sqliteTable("blocks", {
  partition: integer("partition").notNull(),
  block: integer("block").notNull(),
  /** When its last message was appended, ms since 1970. */
  time: integer("time").notNull(),
}, (table) => [primaryKey({ columns: [table.partition, table.block] }), index("blocks_time").on(table.time)]);

/** One row per topic of a block, where the log has no index of its own; `offsets` is JSON, null for many. */
export const blockTopics = sqliteTable("block_topics", {
  partition: integer("partition").notNull(),
  topicId: text("topic_id").notNull(),
  block: integer("block").notNull(),
  offsets: text("offsets"),
}, (table) => [
  primaryKey({ columns: [table.partition, table.topicId, table.block] }),
  index("block_topics_block").on(table.partition, table.block),
]);

/** One row per message with an idempotency key, of followed blocks; `first` only of a repeat. */
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
  index("keyed_repeats").on(table.partition, table.offset, table.topicId),
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

/** The tables above, as SQL: the file is thrown away and rebuilt when they change. */
export const SCHEMA_VERSION = 4;
const COUNT_OLD = `UPDATE counts SET count = count - 1 WHERE name IN (SELECT value FROM json_each(old.counted));
    DELETE FROM counts WHERE count = 0 AND name IN (SELECT value FROM json_each(old.counted));`;
const COUNT_NEW = `INSERT INTO counts SELECT value, 1 FROM json_each(new.counted) WHERE true
    ON CONFLICT (name) DO UPDATE SET count = count + 1;`;
export const CREATE = [
  // In the order in which they came: keys are hashes, and rows of 1 KB in their order would each be a page of its own to write.
  `CREATE TABLE IF NOT EXISTS records (stream TEXT NOT NULL, partition INTEGER NOT NULL, key TEXT NOT NULL,
    record TEXT NOT NULL, topic_id TEXT, counted TEXT, PRIMARY KEY (stream, partition, key))`,
  "CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID",
  `CREATE TRIGGER IF NOT EXISTS records_inserted AFTER INSERT ON records WHEN new.counted IS NOT NULL
    BEGIN ${COUNT_NEW} END`,
  `CREATE TRIGGER IF NOT EXISTS records_updated AFTER UPDATE OF counted ON records WHEN old.counted IS NOT new.counted
    BEGIN ${COUNT_OLD} ${COUNT_NEW} END`,
  `CREATE TRIGGER IF NOT EXISTS records_deleted AFTER DELETE ON records WHEN old.counted IS NOT NULL
    BEGIN ${COUNT_OLD} END`,
  "CREATE INDEX IF NOT EXISTS records_shard ON records (stream, partition)",
  "CREATE INDEX IF NOT EXISTS records_topic ON records (topic_id) WHERE topic_id IS NOT NULL",
  `CREATE TABLE IF NOT EXISTS dead_letters (partition INTEGER NOT NULL, offset INTEGER NOT NULL,
    subscription_id TEXT NOT NULL, life INTEGER NOT NULL, message INTEGER NOT NULL, time INTEGER NOT NULL,
    record TEXT NOT NULL, PRIMARY KEY (partition, offset))`,
  "CREATE INDEX IF NOT EXISTS dead_letters_subscription ON dead_letters (subscription_id, offset)",
  "CREATE INDEX IF NOT EXISTS dead_letters_time ON dead_letters (time)",
  `CREATE TABLE IF NOT EXISTS blocks (partition INTEGER NOT NULL, block INTEGER NOT NULL, time INTEGER NOT NULL,
    PRIMARY KEY (partition, block)) WITHOUT ROWID`,
  "CREATE INDEX IF NOT EXISTS blocks_time ON blocks (time)",
  `CREATE TABLE IF NOT EXISTS block_topics (partition INTEGER NOT NULL, topic_id TEXT NOT NULL, block INTEGER NOT NULL,
    offsets TEXT, PRIMARY KEY (partition, topic_id, block)) WITHOUT ROWID`,
  "CREATE INDEX IF NOT EXISTS block_topics_block ON block_topics (partition, block)",
  `CREATE TABLE IF NOT EXISTS keyed (partition INTEGER NOT NULL, offset INTEGER NOT NULL, topic_id TEXT NOT NULL,
    id TEXT NOT NULL, time INTEGER NOT NULL, sha256 TEXT NOT NULL, first INTEGER,
    PRIMARY KEY (partition, offset)) WITHOUT ROWID`,
  "CREATE INDEX IF NOT EXISTS keyed_id ON keyed (partition, id)",
  "CREATE INDEX IF NOT EXISTS keyed_repeats ON keyed (partition, offset, topic_id) WHERE first IS NOT NULL",
  `CREATE TABLE IF NOT EXISTS positions (stream TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL,
    PRIMARY KEY (stream, partition))`,
  "CREATE TABLE IF NOT EXISTS origin (identity TEXT PRIMARY KEY, followed_at INTEGER NOT NULL)",
];
