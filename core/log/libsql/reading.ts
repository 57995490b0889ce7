// Reads from the embedded log's tables. Every query is short, so that the WAL can shrink (A2.5).
import type { Client, Row } from "@libsql/client/sqlite3";
import { type Chunk, COMPACTED, type LogRecord, type ReadLimits, type Stream } from "../log.ts";
import { tableOf } from "./tables.ts";

const PAGE_ROWS = 512;

/** The oldest offset kept, or `end`. */
export async function startOf(client: Client, stream: Stream, end: number): Promise<number> {
  const { rows } = await client.execute(`SELECT min(offset) AS first FROM ${tableOf(stream)}`);
  const first = rows[0]?.["first"];
  return first === null || first === undefined ? end : Number(first);
}

/** The first offset at or after a time. Times never fall within a stream, so a binary search works without an index. */
export async function positionAt(client: Client, stream: Stream, time: number, end: number): Promise<number> {
  let low = await startOf(client, stream, end);
  let high = end;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const { rows } = await client.execute({
      sql: `SELECT offset, time FROM ${tableOf(stream)} WHERE offset >= ? ORDER BY offset LIMIT 1`,
      args: [middle],
    });
    const row = rows[0];
    if (row === undefined || Number(row["time"]) >= time) high = middle;
    else low = Number(row["offset"]) + 1;
  }
  return low;
}

/** One chunk from `from`; `end` is the stream's next offset. Compacted streams have holes; in the others a hole is a gap. */
export async function readChunk(
  client: Client,
  stream: Stream,
  from: number,
  end: number,
  limits: ReadLimits,
): Promise<Chunk> {
  const start = COMPACTED.includes(stream) ? from : await startOf(client, stream, end);
  const gap = from < start ? { gap: { from, to: start } } : {};
  const begin = Math.max(from, start);
  const keys = limits.keys === undefined ? [] : [...limits.keys];
  if (limits.keys?.size === 0 || begin >= end) return { records: [], next: Math.max(begin, end), ...gap };
  const filter = keys.length === 0 ? "" : `AND key IN (${keys.map(() => "?").join()})`;
  const page = await client.execute({
    sql: `SELECT offset, length(value) AS size FROM ${
      tableOf(stream)
    } WHERE offset >= ? AND offset < ? ${filter} ORDER BY offset LIMIT ${PAGE_ROWS}`,
    args: [begin, end, ...keys],
  });
  if (page.rows.length === 0) return { records: [], next: end, ...gap };
  let last = 0;
  for (let bytes = 0; last < page.rows.length; last++) {
    bytes += Number(page.rows[last]!["size"] ?? 0);
    if (last > 0 && bytes > limits.maxBytes) break;
  }
  const lastOffset = Number(page.rows[last - 1]!["offset"]);
  const all = last === page.rows.length && page.rows.length < PAGE_ROWS;
  const { rows } = await client.execute({
    sql: `SELECT offset, key, time, headers, value FROM ${
      tableOf(stream)
    } WHERE offset >= ? AND offset <= ? ${filter} ORDER BY offset`,
    args: [begin, lastOffset, ...keys],
  });
  return { records: rows.map(toRecord), next: all ? end : lastOffset + 1, ...gap };
}

/** When the first record of a key at or after an offset was appended. */
export async function firstTimeOf(
  client: Client,
  stream: Stream,
  key: string,
  from: number,
): Promise<number | undefined> {
  const { rows: [row] } = await client.execute({
    sql: `SELECT time FROM ${tableOf(stream)} WHERE key = ? AND offset >= ? ORDER BY offset LIMIT 1`,
    args: [key, from],
  });
  return row === undefined ? undefined : Number(row["time"]);
}

function toRecord(row: Row): LogRecord {
  const value = row["value"];
  return {
    partition: 0,
    offset: Number(row["offset"]),
    key: row["key"] as string,
    time: Number(row["time"]),
    headers: JSON.parse(row["headers"] as string) as Record<string, string>,
    value: value instanceof ArrayBuffer ? new Uint8Array(value) : null,
  };
}
