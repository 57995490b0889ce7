// What a reader of missed messages or dead letters asks for (WIRE §5), and which offsets of the log that means.
import type { Caller } from "../../shared/core-api.ts";
import type { Log } from "../log/log.ts";
import type { Replica } from "../replica/replica.ts";
import { type Admit, type KnownSubscription, refuseEnded } from "../requests/admission.ts";
import {
  AFTER,
  LAST_EVENT_ID,
  type NamedPosition,
  offsetOf,
  parsePosition,
  SINCE,
} from "../requests/named-position.ts";
import { Refusal } from "../requests/refusal.ts";
import { coversHeaders } from "../requests/subscriber-signature.ts";
import type { StandingOf } from "../requests/standing.ts";
import type { Topic, Topics } from "../requests/topics.ts";

export interface MissedQuery {
  readonly topic: string;
  readonly callback: string;
  readonly caller: Caller;
  /** `after`, `since`, `limit`, `lastEventId` as they came. */
  readonly query: URLSearchParams;
}

/** The offsets `from` up to `end`, without it. */
export interface MissedRange {
  readonly subscription: KnownSubscription;
  readonly from: number;
  readonly end: number;
  readonly limit: number;
}

export interface QueryOptions {
  readonly log: Pick<Log, "end" | "positionAt">;
  readonly replica: Pick<Replica, "topic">;
  readonly topics: Topics;
  readonly admit: Admit;
  readonly standingOf: StandingOf;
  /** Wall clock, ms. */
  readonly clock: () => number;
}

/** Checks all of a query. @throws {Refusal | LogError} */
export type ResolveQuery = (query: MissedQuery) => Promise<MissedRange>;

const LAST = "lastEventId";
const DEFAULT_LIMIT = 100;
const MOST = 1_000;

/** @throws {Refusal} "invalid_request" if it is not a whole number from 1 to 1,000; default 100 */
export function parseLimit(text: string | null): number {
  if (text === null) return DEFAULT_LIMIT;
  const limit = /^[0-9]{1,9}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > MOST) throw new Refusal("invalid_request", `limit must be a whole number from 1 to ${MOST}`);
  return limit;
}

const DEFAULT_ROWS = 10;

/**
 * Reads `pageindex`, which counts rows, and `messageCount`; one without a value is as if it were not there.
 * @throws {Refusal} "invalid_request" naming the parameter
 */
export function parseRows(pageindex: string | null, messageCount: string | null): { skip: number; limit: number } {
  const skip = pageindex || "0";
  if (!/^[0-9]{1,9}$/.test(skip)) {
    throw new Refusal("invalid_request", "pageindex must be a whole number from 0 to 999999999: the rows to skip");
  }
  const limit = /^[0-9]{1,9}$/.test(messageCount || String(DEFAULT_ROWS)) ? Number(messageCount || DEFAULT_ROWS) : 0;
  if (limit < 1 || limit > MOST) {
    throw new Refusal("invalid_request", `messageCount must be a whole number from 1 to ${MOST}`);
  }
  return { skip: Number(skip), limit };
}

/**
 * Reads `after` and `since`, the later of which counts; `lastEventId` overrides both, if it may. `time` is ms since 1970.
 * @throws {Refusal} "invalid_request" naming the parameter
 */
export function parseFrom(query: URLSearchParams, topic: Topic, time: number, lastWins = true): NamedPosition[] {
  const last = parseLastEventId(query, topic, time);
  if (last !== undefined && lastWins) return [last];
  return [AFTER, SINCE].flatMap((parameter) => {
    const text = query.get(parameter.name);
    return text === null ? [] : [parsePosition(parameter, text, topic, time)];
  });
}

function parseLastEventId(query: URLSearchParams, topic: Topic, time: number): NamedPosition | undefined {
  const last = query.get(LAST);
  return last === null ? undefined : parsePosition(LAST_EVENT_ID, last, topic, time);
}

/** Whether the caller vouches for Last-Event-ID: a signature `v1=` does not cover it (WIRE §5). */
function vouchesForLast(caller: Caller): boolean {
  return caller.kind !== "signature" || coversHeaders(caller);
}

export function createResolveQuery(
  { log, replica, topics, admit, standingOf, clock }: QueryOptions,
): ResolveQuery {
  return async ({ topic: name, callback, caller, query }) => {
    const limit = parseLimit(query.get("limit"));
    const asked = topics.identify(name);
    const lastWins = vouchesForLast(caller);
    const positions = parseFrom(query, asked, clock(), lastWins);
    // WIRE §5: where no signature covers Last-Event-ID, it only leads on from what is signed.
    const last = lastWins ? undefined : parseLastEventId(query, asked, clock());
    const subscription = await admit(name, callback, caller);
    refuseEnded(subscription);
    const { topic, record } = subscription;
    const end = await log.end("messages", topic.partition);
    const offsets = await Promise.all(positions.map((position) => offsetOf(position, topic, log, end)));
    const start = Math.max(record.start, (await replica.topic(topic.id))?.start ?? 0);
    const named = offsets.length === 0 ? (await standingOf(subscription)).position : Math.max(...offsets);
    const onwards = last === undefined ? 0 : await offsetOf(last, topic, log, end);
    // WIRE §5: never before the subscription's start.
    return { subscription, from: Math.max(start, named, onwards), end, limit };
  };
}
