// The embedded log's tables: one a stream, so that offsets have no holes (A2.5).
import { randomUUID } from "node:crypto";
import { COMPACTED, type LogRecord, type Stream, STREAMS } from "../log.ts";
import { type Database, rowsOf, slicesOf, type Statement } from "../../sqlite/database.ts";

export function tableOf(stream: Stream): string {
  return `s_${stream.replaceAll("-", "_")}`;
}

/** What the tables hold when the log is opened. */
export interface TablesState {
  /** The offset of the next record of each stream. */
  readonly ends: ReadonlyMap<Stream, number>;
  /** The time of the newest record, ms since 1970; 0 if there is none. */
  readonly newestTime: number;
  /** The id that this file was given when it was made. */
  readonly identity: string;
}

/** Makes the tables that are missing. */
export async function prepareTables({ write }: Database): Promise<TablesState> {
  const ends = new Map<Stream, number>();
  let newestTime = 0;
  for (const stream of STREAMS) {
    const table = tableOf(stream);
    // A unique key makes INSERT OR REPLACE keep the newest record of a key only: compaction as it is written.
    const key = COMPACTED.includes(stream) ? "key TEXT NOT NULL UNIQUE" : "key TEXT NOT NULL";
    await write.execute(
      `CREATE TABLE IF NOT EXISTS ${table} (offset INTEGER PRIMARY KEY AUTOINCREMENT, ${key}, time INTEGER NOT NULL, headers TEXT NOT NULL, value BLOB)`,
    );
    const { rows } = await write.execute({ sql: "SELECT seq FROM sqlite_sequence WHERE name = ?", args: [table] });
    // Offset 0 is the first record, as on Kafka.
    ends.set(stream, rows[0] === undefined ? 0 : Number(rows[0]["seq"]) + 1);
    const newest = await write.execute(`SELECT time FROM ${table} ORDER BY offset DESC LIMIT 1`);
    newestTime = Math.max(newestTime, Number(newest.rows[0]?.["time"] ?? 0));
  }
  // A topic's records are read without the others' (A4.2), and so are a subscription's dead letters.
  await write.execute(`CREATE INDEX IF NOT EXISTS messages_key ON ${tableOf("messages")} (key, offset)`);
  await write.execute(`CREATE INDEX IF NOT EXISTS dead_letters_key ON ${tableOf("dead-letters")} (key, offset)`);
  await write.execute("CREATE TABLE IF NOT EXISTS identity (id TEXT NOT NULL)");
  await write.execute({
    sql: "INSERT INTO identity SELECT ? WHERE NOT EXISTS (SELECT 1 FROM identity)",
    args: [randomUUID()],
  });
  const { rows } = await write.execute("SELECT id FROM identity");
  return { ends, newestTime, identity: rows[0]!["id"] as string };
}

/** The statements that write the records of each stream with the offsets they have. */
export function insertStatements(byStream: ReadonlyMap<Stream, readonly LogRecord[]>): Statement[] {
  const statements: Statement[] = [];
  for (const [stream, records] of byStream) {
    const verb = COMPACTED.includes(stream) ? "INSERT OR REPLACE" : "INSERT";
    for (const rows of slicesOf(records)) {
      const args = [];
      for (const record of rows) {
        args.push(record.offset, record.key, record.time, JSON.stringify(record.headers), record.value);
      }
      statements.push({
        sql: `${verb} INTO ${tableOf(stream)} (offset, key, time, headers, value) VALUES ${rowsOf(rows.length, 5)}`,
        args,
      });
    }
  }
  return statements;
}
