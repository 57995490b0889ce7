// GET /websub/sync/failedmessage (WIRE §5): what MOSIP's client calls failed content. These are the dead letters of a subscription
// and its undelivered messages, in the order of the log, each once. Reading moves nothing.
import type { FailedContents, TextSigner } from "../../shared/core-api.ts";
import type { Log } from "../log/log.ts";
import { type Message, toMessage } from "../messages/message.ts";
import type { LetterMessages } from "../replica/dead-letter-rows.ts";
import type { Replica } from "../replica/replica.ts";
import { findLetterMessages } from "../requests/accepted.ts";
import { type Admit, type KnownSubscription, refuseEnded } from "../requests/admission.ts";
import { offsetOf, parsePosition, TIMESTAMP } from "../requests/named-position.ts";
import { Refusal } from "../requests/refusal.ts";
import type { Standing, StandingOf } from "../requests/standing.ts";
import type { Topics } from "../requests/topics.ts";
import { createTurns } from "../../shared/turn.ts";
import { type Page, PAGE_BYTES } from "./page.ts";
import { parseRows } from "./query.ts";
import type { ReadTopic } from "./topic-messages.ts";

export interface FailedQuery {
  readonly topic: string;
  readonly callback: string;
  readonly caller: TextSigner;
  /** `timestamp`, `pageindex` and `messageCount` as they came. */
  readonly query: URLSearchParams;
}

/** The rows that are asked for, and where they are. */
export interface FailedRange {
  readonly subscription: KnownSubscription;
  readonly standing: Standing;
  /** The offsets from `from` up to `end`, without it. */
  readonly from: number;
  readonly end: number;
  readonly skip: number;
  readonly limit: number;
}

export interface FailedOptions {
  readonly log: Pick<Log, "start" | "end" | "positionAt" | "read">;
  readonly replica: Pick<Replica, "topic" | "letterMessages">;
  readonly topics: Topics;
  readonly admit: Admit;
  readonly standingOf: StandingOf;
  readonly read: ReadTopic;
  /** Wall clock, ms. */
  readonly clock: () => number;
}

const CHUNK_BYTES = 1024 * 1024;
/** The most letters that are looked up after the position, where few are (A4.3). */
const MOST_LETTERS = 10_000;
/** Letters are read from the log so many at once. */
const AT_ONCE = 8;
/** A page ends after this time, ms, and is refused if it has found no row by then: the edge waits 7 s for an answer. */
const SEARCH_MS = 5_000;

/** Checks all of a query, and finds where its rows are. @throws {Refusal | LogError} */
export async function resolveFailed(
  { log, replica, topics, admit, standingOf, clock }: FailedOptions,
  { topic: name, callback, caller, query }: FailedQuery,
): Promise<FailedRange> {
  const rows = parseRows(query.get("pageindex"), query.get("messageCount"));
  const since = parsePosition(TIMESTAMP, query.get("timestamp") ?? "", topics.identify(name), clock());
  const subscription = await admit(name, callback, caller);
  refuseEnded(subscription);
  const { topic, record } = subscription;
  // Before the letters are read: a message that is given up meanwhile is then in both, and not in neither.
  const standing = await standingOf(subscription);
  const end = await log.end("messages", topic.partition);
  const [named, oldest, found] = await Promise.all([
    offsetOf(since, topic, log, end),
    log.start("messages", topic.partition),
    replica.topic(topic.id),
  ]);
  return { subscription, standing, from: Math.max(named, oldest, record.start, found?.start ?? 0), end, ...rows };
}

/** Composes a page, `FailedContents` as JSON; `now` is monotonic, ms. @throws {Refusal | LogError} */
export async function readFailedContent(
  options: FailedOptions,
  range: FailedRange,
  now: () => number,
): Promise<Page> {
  const until = now() + SEARCH_MS;
  const turn = createTurns();
  const rows: Uint8Array[] = [];
  let bytes = 0;
  for await (const message of failedMessages(options, range)) {
    await turn();
    if (now() > until) {
      // The next page begins after these rows.
      if (rows.length > 0) break;
      // Also when the reader asks for rows far into a long backlog: each that is skipped must be read.
      throw new Refusal("overloaded", "The hub cannot read so far in time; ask with a later timestamp");
    }
    if (message === undefined) continue;
    const row = asciiOf(`${rows.length === 0 ? "" : ","}${encodeRow(message)}`);
    if (rows.length > 0 && bytes + row.length > PAGE_BYTES) break;
    rows.push(row);
    bytes += row.length;
    if (rows.length === range.limit) break;
  }
  const [head, tail] = [Buffer.from('{"failedcontents":['), Buffer.from("]}")];
  return { parts: [head, ...rows, tail], bytes: bytes + head.length + tail.length };
}

/** The messages of the wanted rows, and more; undefined is a step on the way. */
async function* failedMessages(
  { log, replica, read }: FailedOptions,
  { subscription: { id, topic, record: { life } }, standing: { position, beyond }, from, end, skip, limit }:
    FailedRange,
): AsyncGenerator<Message | undefined, void, void> {
  const lettersIn = (range: { from: number; before: number; skip: number; limit: number }): Promise<LetterMessages> =>
    findLetterMessages(replica, { subscriptionId: id, life, ...range });
  // Before the position all is done but for the dead letters.
  const given = await lettersIn({ from, before: Math.min(position, end), skip, limit });
  for (let at = 0; at < given.offsets.length; at += AT_ONCE) {
    const some = given.offsets.slice(at, at + AT_ONCE);
    yield* await Promise.all(some.map((offset) => messageAt(log, topic.partition, offset)));
  }
  if (given.offsets.length === limit) return;
  let left = skip - given.skipped;
  const done = new Set(beyond);
  if (done.size > 0) {
    const before = Math.max(...beyond) + 1;
    const { offsets } = await lettersIn({ from: position, before, skip: 0, limit: MOST_LETTERS });
    for (const offset of offsets) done.delete(offset);
  }
  for (let next = Math.max(from, position); next < end;) {
    const chunk = await read(topic, next, end, CHUNK_BYTES);
    next = chunk.next;
    yield undefined;
    for (const message of chunk.messages) {
      if (done.has(message.offset)) continue;
      if (left > 0) left--;
      else yield message;
    }
  }
}

/** The message at an offset; undefined if retention has just removed it. */
async function messageAt(log: Pick<Log, "read">, partition: number, offset: number): Promise<Message | undefined> {
  const { records: [record] } = await log.read("messages", partition, offset, { maxBytes: 1 });
  return record?.offset === offset ? toMessage(record) : undefined;
}

function encodeRow({ body, publishedAt }: Message): string {
  const row: FailedContents["failedcontents"][number] = {
    message: body.toString("utf8"),
    timestamp: new Date(publishedAt).toISOString(),
  };
  return JSON.stringify(row);
}

/**
 * JSON in ASCII, all else escaped: Spring before 5.2, and so MOSIP's client 1.2, reads JSON without a charset as ISO-8859-1. It is made in
 * one buffer, since a megabyte of a text's characters one by one would take 200 ms.
 */
function asciiOf(json: string): Buffer {
  let size = 0;
  for (let at = 0; at < json.length; at++) size += json.charCodeAt(at) < DEL ? 1 : ESCAPE_BYTES;
  const ascii = Buffer.allocUnsafe(size);
  let to = 0;
  for (let at = 0; at < json.length; at++) {
    const unit = json.charCodeAt(at);
    if (unit < DEL) {
      ascii[to++] = unit;
      continue;
    }
    ascii[to++] = BACKSLASH;
    ascii[to++] = SMALL_U;
    for (let shift = 12; shift >= 0; shift -= 4) ascii[to++] = DIGITS[(unit >> shift) & 15]!;
  }
  return ascii;
}

const DEL = 0x7f;
const ESCAPE_BYTES = 6;
const BACKSLASH = 0x5c;
const SMALL_U = 0x75;
const DIGITS = Buffer.from("0123456789abcdef");
