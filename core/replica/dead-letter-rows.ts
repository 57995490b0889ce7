// The replica's copy of `dead-letters`, indexed by subscription: Kafka has no such index (WIRE §5).
import type { SQL } from "drizzle-orm";
import type { LibSQLDatabase } from "drizzle-orm/libsql";
import { type Batch, textOf } from "../log/log.ts";
import { slicesOf } from "../sqlite/database.ts";
import type { DeadLetter } from "../state/records.ts";
import { and, eq, gt, gte, inArray, lt, lte, sql } from "./drizzle.ts";
import { deadLetters } from "./schema.ts";
import { nextTurn } from "../../shared/turn.ts";

/** A dead letter as the stream has it. */
interface DeadLetterRecord extends DeadLetter {
  /** The life of the subscription that gave the message up. */
  readonly life: number;
}

/** The record of a dead letter that was delivered after all, so that it is no longer one. */
interface ReplayedRecord {
  /** The dead letter's offset in its partition of `dead-letters`. */
  readonly replayed: number;
}

/** A dead letter, and its offset in its partition of `dead-letters`. */
export interface KeptDeadLetter extends DeadLetterRecord {
  readonly place: number;
}

export interface DeadLetterQuery {
  readonly subscriptionId: string;
  readonly life: number;
  /** The first offset in `dead-letters` that is wanted. */
  readonly from: number;
  /** Only dead letters of messages after this offset in `messages`; -1 for all. */
  readonly afterMessage: number;
  /** Only dead letters of the message with this id. */
  readonly messageId?: string;
  /** Only messages that were given up after this time, ms since 1970. */
  readonly since: number;
  readonly limit: number;
}

/** Rows that one statement looks at; other work has its turn between two (ARCHITECTURE §4). */
const ROWS_AT_ONCE = 10_000;

/** Dead letters of a subscription's life, in the order in which their messages were given up. */
export async function readDeadLetters(db: LibSQLDatabase, query: DeadLetterQuery): Promise<KeptDeadLetter[]> {
  if (query.afterMessage < 0) return await readPlaces(db, query, MOST_PLACE);
  // Those of earlier messages may lie anywhere among the others.
  const found: KeptDeadLetter[] = [];
  for (let from = query.from; found.length < query.limit;) {
    const slice = db.select({ place: deadLetters.offset }).from(deadLetters)
      .where(inLife(query, gte(deadLetters.offset, from)))
      .orderBy(deadLetters.offset).limit(ROWS_AT_ONCE).as("slice");
    const [seen] = await db.select({ last: sql<number | null>`max(${slice.place})`, count: sql<number>`count(*)` })
      .from(slice);
    const { last, count } = seen!;
    if (last === null) break;
    found.push(...await readPlaces(db, { ...query, from, limit: query.limit - found.length }, last));
    if (count < ROWS_AT_ONCE) break;
    from = last + 1;
    await nextTurn();
  }
  return found;
}

const MOST_PLACE = Number.MAX_SAFE_INTEGER;

const inLife = ({ subscriptionId, life }: Pick<DeadLetterQuery, "subscriptionId" | "life">, ...more: SQL[]) =>
  and(eq(deadLetters.subscriptionId, subscriptionId), eq(deadLetters.life, life), ...more);

/** Those up to a place. */
async function readPlaces(db: LibSQLDatabase, query: DeadLetterQuery, to: number): Promise<KeptDeadLetter[]> {
  const { from, afterMessage, messageId, since, limit } = query;
  const { offset, message, time, record } = deadLetters;
  // An id finds its rows by itself. Without statistics SQLite takes an index with a range instead, unless a + hides the column.
  const place = messageId === undefined ? sql`${offset}` : sql`+${offset}`;
  const rows = await db.select({ place: offset, record }).from(deadLetters)
    .where(and(
      inLife(query, gte(place, from), lte(place, to)),
      gt(sql`+${message}`, afterMessage),
      gt(sql`+${time}`, since),
      messageId === undefined ? undefined : sql`json_extract(${record}, '$.id') = ${messageId}`,
    ))
    .orderBy(place).limit(limit);
  return rows.map(({ place, record }) => ({ ...JSON.parse(record) as DeadLetterRecord, place }));
}

/** Which dead letters' messages are wanted. */
export interface LetterMessageQuery {
  readonly subscriptionId: string;
  readonly life: number;
  /** Messages at this offset of `messages` and after it, before `before`. */
  readonly from: number;
  readonly before: number;
  /** Only messages that were given up after this time, ms since 1970. */
  readonly since: number;
  readonly skip: number;
  readonly limit: number;
}

export interface LetterMessages {
  /** How many of them were skipped, as far as there are so many. */
  readonly skipped: number;
  /** Their offsets in `messages`, in the order of the log. */
  readonly offsets: readonly number[];
}

/** The messages that are dead letters of a subscription's life: each once, however often it was given up. */
export async function readLetterMessages(
  db: LibSQLDatabase,
  { from, before, since, skip, limit, ...of }: LetterMessageQuery,
): Promise<LetterMessages> {
  const messagesFrom = (first: number, most: number) =>
    db.selectDistinct({ offset: deadLetters.message }).from(deadLetters)
      .where(inLife(of, gte(deadLetters.message, first), lt(deadLetters.message, before), gt(deadLetters.time, since)))
      .orderBy(deadLetters.message).limit(most);
  let next = from;
  let skipped = 0;
  while (skipped < skip) {
    const most = Math.min(ROWS_AT_ONCE, skip - skipped);
    const slice = messagesFrom(next, most).as("slice");
    const [seen] = await db.select({ last: sql<number | null>`max(${slice.offset})`, count: sql<number>`count(*)` })
      .from(slice);
    const { last, count } = seen!;
    skipped += count;
    if (last === null || count < most) return { skipped, offsets: [] };
    next = last + 1;
    await nextTurn();
  }
  const slice = messagesFrom(next, limit).as("slice");
  // One text: a row of the driver's for each number costs more than parsing it.
  const [found] = await db.select({ offsets: sql<string>`json_group_array(${slice.offset})` }).from(slice);
  return { skipped, offsets: JSON.parse(found!.offsets) as number[] };
}

/** The statements that write a batch of the stream; a second time they change nothing. */
export function deadLetterStatements(db: LibSQLDatabase, { partition, records }: Batch) {
  const replayed: number[] = [];
  const rows = records.flatMap(({ key, offset, time, value }) => {
    if (value === null) return [];
    const record = textOf(value);
    const parsed = JSON.parse(record) as DeadLetterRecord | ReplayedRecord;
    if ("replayed" in parsed) {
      replayed.push(parsed.replayed);
      return [];
    }
    const { life, offset: message } = parsed;
    return [{ partition, offset, subscriptionId: key, life, message, time, record }];
  });
  return [
    ...slicesOf(rows).map((some) => db.insert(deadLetters).values(some).onConflictDoNothing()),
    ...slicesOf(replayed).map((offsets) =>
      db.delete(deadLetters).where(and(eq(deadLetters.partition, partition), inArray(deadLetters.offset, offsets)))
    ),
  ];
}

const SLICE_ROWS = 1_000;

/** Deletes the dead letters of messages that were given up before a time (ms since 1970), in slices. */
export async function sweepDeadLetters(db: LibSQLDatabase, before: number): Promise<void> {
  for (let deleted = SLICE_ROWS; deleted === SLICE_ROWS;) {
    const { rowsAffected } = await db.delete(deadLetters).where(
      sql`rowid IN (SELECT rowid FROM dead_letters WHERE time < ${before} LIMIT ${SLICE_ROWS})`,
    );
    deleted = rowsAffected;
    // The event loop has its turn between slices (ARCHITECTURE §4).
    await nextTurn();
  }
}
