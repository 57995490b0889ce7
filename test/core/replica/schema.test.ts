// The SQL that is derived from the replica's tables: files made before are used as they are (A3.12).
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { Client } from "@libsql/client/sqlite3";
import { openLibsqlLog } from "../../../core/log/libsql/libsql-log.ts";
import type { Log } from "../../../core/log/log.ts";
import { openReplica, type Replica } from "../../../core/replica/replica.ts";
import { createStatements } from "../../../core/replica/schema.ts";
import type { TopicRecord } from "../../../core/state/records.ts";
import { withDirectory } from "../../support/rigs/core-rig.ts";
import { inFile } from "../../support/sqlite-file.ts";

const COUNT_OLD = `UPDATE counts SET count = count - 1 WHERE name IN (SELECT value FROM json_each(old.counted));
    DELETE FROM counts WHERE count = 0 AND name IN (SELECT value FROM json_each(old.counted));`;
const COUNT_NEW = `INSERT INTO counts SELECT value, 1 FROM json_each(new.counted) WHERE true
    ON CONFLICT (name) DO UPDATE SET count = count + 1;`;
/** The statements that made the files of version 6, as they were written by hand. A change of the tables needs a new version. */
const VERSION_6 = [
  `CREATE TABLE records (stream TEXT NOT NULL, partition INTEGER NOT NULL, key TEXT NOT NULL,
    record TEXT NOT NULL, topic_id TEXT, counted TEXT, PRIMARY KEY (stream, partition, key))`,
  "CREATE TABLE counts (name TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID",
  `CREATE TRIGGER records_inserted AFTER INSERT ON records WHEN new.counted IS NOT NULL
    BEGIN ${COUNT_NEW} END`,
  `CREATE TRIGGER records_updated AFTER UPDATE OF counted ON records WHEN old.counted IS NOT new.counted
    BEGIN ${COUNT_OLD} ${COUNT_NEW} END`,
  `CREATE TRIGGER records_deleted AFTER DELETE ON records WHEN old.counted IS NOT NULL
    BEGIN ${COUNT_OLD} END`,
  "CREATE INDEX records_shard ON records (stream, partition)",
  "CREATE INDEX records_topic ON records (topic_id) WHERE topic_id IS NOT NULL",
  `CREATE TABLE dead_letters (partition INTEGER NOT NULL, offset INTEGER NOT NULL,
    subscription_id TEXT NOT NULL, life INTEGER NOT NULL, message INTEGER NOT NULL, time INTEGER NOT NULL,
    record TEXT NOT NULL, PRIMARY KEY (partition, offset))`,
  "CREATE INDEX dead_letters_place ON dead_letters (subscription_id, life, offset, message, time)",
  "CREATE INDEX dead_letters_message ON dead_letters (subscription_id, life, message, time)",
  "CREATE INDEX dead_letters_id ON dead_letters (subscription_id, life, json_extract(record, '$.id'))",
  "CREATE INDEX dead_letters_time ON dead_letters (time)",
  `CREATE TABLE blocks (partition INTEGER NOT NULL, block INTEGER NOT NULL, time INTEGER NOT NULL,
    PRIMARY KEY (partition, block)) WITHOUT ROWID`,
  "CREATE INDEX blocks_time ON blocks (time)",
  `CREATE TABLE block_topics (partition INTEGER NOT NULL, topic_id TEXT NOT NULL, block INTEGER NOT NULL,
    offsets TEXT, PRIMARY KEY (partition, topic_id, block)) WITHOUT ROWID`,
  "CREATE INDEX block_topics_block ON block_topics (partition, block)",
  `CREATE TABLE keyed (partition INTEGER NOT NULL, offset INTEGER NOT NULL, topic_id TEXT NOT NULL,
    id TEXT NOT NULL, time INTEGER NOT NULL, sha256 TEXT NOT NULL, first INTEGER,
    PRIMARY KEY (partition, offset)) WITHOUT ROWID`,
  "CREATE INDEX keyed_id ON keyed (partition, id)",
  "CREATE INDEX keyed_repeats ON keyed (partition, offset, topic_id) WHERE first IS NOT NULL",
  `CREATE TABLE positions (stream TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL,
    PRIMARY KEY (stream, partition))`,
  "CREATE TABLE origin (identity TEXT PRIMARY KEY, followed_at INTEGER NOT NULL)",
];

/** What stands in a file, each statement on one line. */
async function schemaOf(client: Client): Promise<string[]> {
  const { rows } = await client.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL");
  return rows.map((row) => (row["sql"] as string).replace(/\s+/g, " ")).toSorted();
}

async function inPlace(run: (log: Log, path: string, open: () => Promise<Replica>) => Promise<void>): Promise<void> {
  await withDirectory(async (directory) => {
    const log = await openLibsqlLog({ directory, retentionMs: 60_000, maxMessageBytes: 1_000, onFatal: assert.fail });
    const path = join(directory, "replica.db");
    try {
      await run(log, path, () => openReplica({ path, log, clock: Date.now, onFatal: assert.fail }));
    } finally {
      await log.close();
    }
  });
}

describe("A3.12 the replica's schema", () => {
  it("A3.12 is the one that files of the same version have", async () => {
    await inPlace(async (_log, path, open) => {
      await (await open()).close();
      const former = await inFile(`${path}.former`, async (client) => {
        for (const statement of VERSION_6) await client.execute(statement);
        return await schemaOf(client);
      });
      assert.equal(former.length, VERSION_6.length);
      assert.deepEqual(await inFile(path, schemaOf), former);
    });
  });

  it("A3.12 is left alone in a file that was made before, and the file is not rebuilt", async () => {
    await inPlace(async (log, path, open) => {
      const record: TopicRecord = { topic: "t", version: 0, start: 0, operations: [] };
      await inFile(path, async (client) => {
        for (const statement of VERSION_6) await client.execute(statement);
        await client.execute({ sql: "INSERT INTO origin VALUES (?, ?)", args: [`${log.identity} v6`, Date.now()] });
        await client.execute({
          sql: "INSERT INTO records (stream, partition, key, record) VALUES ('topics', 0, 'kept', ?)",
          args: [JSON.stringify(record)],
        });
      });
      const before = await inFile(path, schemaOf);
      const replica = await open();
      assert.deepEqual(await replica.topic("kept"), record);
      await replica.close();
      assert.deepEqual(await inFile(path, schemaOf), before);
    });
  });

  it("makes nothing that is there a second time", async () => {
    await inPlace((_log, path) =>
      inFile(path, async (client) => {
        for (const statement of [...createStatements(), ...createStatements()]) await client.execute(statement);
      })
    );
  });
});
