// The pure fold of a topic: replays and duplicates change nothing.
import type { TopicEvent } from "./events.ts";
import { recordedClient } from "./ids.ts";
import { hasOperation, withOperation } from "./recent-operations.ts";
import type { Fetched, TopicRecord } from "./records.ts";

/** The record after an event at this `events` offset; the same object if the event changes nothing. */
export function foldTopic(record: TopicRecord | undefined, event: TopicEvent, offset: number): TopicRecord | undefined {
  if (record !== undefined && (record.version >= offset || hasOperation(record.operations, event.id))) return record;
  const operations = withOperation(record?.operations ?? [], event.id, event.time);
  switch (event.type) {
    case "register":
      // A register after a deregister begins anew: `earliest` reaches back to this register only (WIRE §1).
      return record === undefined || record.endedAt !== undefined
        ? {
          topic: event.topic,
          version: offset,
          start: event.end,
          operations,
          ...(event.client === undefined ? {} : { client: recordedClient(event.client) }),
        }
        : { ...record, version: offset, operations };
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
      return { ...record, version: offset, fetchOwed: { ping: offset, since }, operations };
    }
  }
}

/** The owner made the fetch that answers the pings up to this one, or gave it up. A newer ping is still owed. */
export function foldFetched(record: TopicRecord, ping: number, fetched: Fetched | undefined, now: number): TopicRecord {
  const { fetchOwed, ...rest } = record;
  // The topic that was pinged has ended meanwhile: its content says nothing about a topic that was registered since.
  if (fetchOwed === undefined) return record;
  const owed = fetchOwed.ping > ping ? { fetchOwed: { ping: fetchOwed.ping, since: now } } : {};
  return { ...rest, ...owed, ...(fetched === undefined ? {} : { fetched }) };
}
