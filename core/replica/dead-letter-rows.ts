// The replica's copy of `dead-letters`, indexed by subscription: Kafka has no such index (WIRE §5).
import type { LibSQLDatabase } from "drizzle-orm/libsql";
import { type Batch, textOf } from "../log/log.ts";
import { slicesOf } from "../sqlite/database.ts";
import type { DeadLetter } from "../state/records.ts";
import { and, eq, gt, gte, inArray, lt, sql } from "./drizzle.ts";
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

/** Dead letters of a subscription's life, in the order in which their messages were given up. */
export async function readDeadLetters(
  db: LibSQLDatabase,
  { subscriptionId, life, from, afterMessage, messageId, since, limit }: DeadLetterQuery,
): Promise<KeptDeadLetter[]> {
  const rows = await db.select({ place: deadLetters.offset, record: deadLetters.record }).from(deadLetters)
    .where(and(
      eq(deadLetters.subscriptionId, subscriptionId),
      gte(deadLetters.offset, from),
      eq(deadLetters.life, life),
      gt(deadLetters.message, afterMessage),
      gt(deadLetters.time, since),
      messageId === undefined ? undefined : sql`json_extract(${deadLetters.record}, '$.id') = ${messageId}`,
    ))
    .orderBy(deadLetters.offset).limit(limit);
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
  /** How many messages there are, also those that were skipped. */
  readonly count: number;
  /** Their offsets in `messages`, in the order of the log. */
  readonly offsets: readonly number[];
}

/** The messages that are dead letters of a subscription's life: each once, however often it was given up. */
export async function readLetterMessages(
  db: LibSQLDatabase,
  { subscriptionId, life, from, before, since, skip, limit }: LetterMessageQuery,
): Promise<LetterMessages> {
  const wanted = and(
    eq(deadLetters.subscriptionId, subscriptionId),
    eq(deadLetters.life, life),
    gte(deadLetters.message, from),
    lt(deadLetters.message, before),
    gt(deadLetters.time, since),
  );
  const [counted] = await db.select({ count: sql<number>`count(DISTINCT ${deadLetters.message})` }).from(deadLetters)
    .where(wanted);
  const count = counted?.count ?? 0;
  if (count <= skip) return { count, offsets: [] };
  const rows = await db.selectDistinct({ offset: deadLetters.message }).from(deadLetters).where(wanted)
    .orderBy(deadLetters.message).limit(limit).offset(skip);
  return { count, offsets: rows.map(({ offset }) => offset) };
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
