// The pure fold of a topic: replays and duplicates change nothing.
import { NOBODY, requesterOf } from "../../shared/shares/requester.ts";
import type { PingEvent, RegisterEvent, TopicEvent } from "./events.ts";
import { recordedClient } from "./ids.ts";
import { hasOperation, withOperation } from "./recent-operations.ts";
import type { Fetched, FetchOwed, RecentOperations, TopicRecord } from "./records.ts";
import { isUse, used, wasMadeByUse } from "./topic-use.ts";

/** The record after an event at this `events` offset; the same object if the event changes nothing. */
export function foldTopic(record: TopicRecord | undefined, event: TopicEvent, offset: number): TopicRecord | undefined {
  if (record !== undefined && (record.version >= offset || hasOperation(record.operations, event.id))) return record;
  const operations = withOperation(record?.operations ?? [], event.id, event.time);
  switch (event.type) {
    case "register":
      return foldRegister(record, event, offset, operations);
    case "deregister": {
      if (record === undefined) return undefined;
      // The operation is remembered even if nothing changes: a second copy must not end a topic that is registered between the two.
      if (record.endedAt !== undefined) return { ...record, version: offset, operations };
      const { topic, start } = record;
      return { topic, start, version: offset, endedAt: event.time, operations };
    }
    case "ping": {
      if (record === undefined) return undefined;
      if (record.endedAt !== undefined) return { ...record, version: offset, operations };
      // Pings that wait for the same fetch are one (WIRE §3).
      const since = record.fetchOwed?.since ?? event.time;
      const requesters = withPinger(record.fetchOwed?.requesters, event);
      return {
        ...used(record, event.time),
        version: offset,
        fetchOwed: { ping: offset, since, ...requesters },
        operations,
      };
    }
  }
}

function foldRegister(
  record: TopicRecord | undefined,
  { id, time, topic, end, client }: RegisterEvent,
  version: number,
  operations: RecentOperations,
): TopicRecord {
  // A register after a deregister begins anew: `earliest` reaches back to this register only (WIRE §1).
  if (record === undefined || record.endedAt !== undefined) {
    const by = client === undefined ? {} : { client: recordedClient(client) };
    return { topic, version, start: end, operations, ...by, ...(isUse(id) ? { usedAt: time } : {}) };
  }
  if (isUse(id)) {
    // The register that makes this topic stay is remembered, also of records that say so by their operations only.
    const stays = !wasMadeByUse(record);
    return { ...used(record, time), version, operations: stays ? record.operations : operations };
  }
  // From here on the topic stays until it is deregistered.
  const { usedAt: _, ...registered } = record;
  return { ...registered, version, operations };
}

/** The owner made the fetch that answers the pings up to this one, or gave it up. A newer ping is still owed. */
export function foldFetched(record: TopicRecord, ping: number, fetched: Fetched | undefined, now: number): TopicRecord {
  const { fetchOwed, ...rest } = record;
  // The topic that was pinged has ended meanwhile: its content says nothing about a topic that was registered since.
  if (fetchOwed === undefined) return record;
  const owed = fetchOwed.ping > ping ? { fetchOwed: { ...fetchOwed, since: now } } : {};
  return used({ ...rest, ...owed, ...(fetched === undefined ? failedAfter(record) : { fetched }) }, now);
}

/** What the last fetch brought is kept. The next one is no longer among those that have always gone well. */
function failedAfter({ fetched }: TopicRecord): Pick<TopicRecord, "fetched"> {
  return fetched === undefined ? {} : { fetched: { ...fetched, slow: true } };
}

/** Requesters of a fetch that are remembered: any of them is enough to have a place for it. */
const MOST_PINGERS = 8;

function withPinger(known: readonly string[] = [], event: PingEvent): Pick<FetchOwed, "requesters"> {
  const pinger = requesterOf(event);
  const requesters = pinger === NOBODY || known.includes(pinger) || known.length >= MOST_PINGERS
    ? known
    : [...known, pinger];
  return requesters.length === 0 ? {} : { requesters };
}

/** Who is waiting for the topic's fetch, as shares know it. */
export function pingersOf({ fetchOwed }: Pick<TopicRecord, "fetchOwed">): readonly string[] {
  return fetchOwed?.requesters ?? [NOBODY];
}
