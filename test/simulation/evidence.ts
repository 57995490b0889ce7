// Reads the log after a run without the code under test: the messages in order and which of them count, the events of each pair,
// and what owners found out themselves.
import { subscriptionIdOf, topicIdOf } from "../../core/state/ids.ts";
import type { LogRecord } from "../../core/log/log.ts";
import type { Books, Pair } from "./books.ts";
import { PREFIX } from "./core-process.ts";
import type { Broker } from "./kafka/broker.ts";
import type { EventFields, Found, Told } from "./lives.ts";

export interface Message {
  readonly partition: number;
  readonly offset: number;
  readonly time: number;
  readonly id: string;
  readonly body: string;
  /** A4.4: a message with the same id stands before it, so this one does not count. */
  readonly repeat: boolean;
}

/** A subscription's record in the hub's stream. */
export interface HubRecord {
  readonly phase: string;
  readonly life: number;
  readonly start: number;
  readonly verified: number;
  readonly secret?: string;
  readonly expiresAt: number;
  readonly unsubscribedAt?: number;
}

export interface DeadLetter {
  readonly life: number;
  readonly offset: number;
}

export interface Evidence {
  /** By topic, in the order of the log. */
  readonly messages: ReadonlyMap<string, readonly Message[]>;
  told(pair: Pair): readonly Told[];
  found(pair: Pair, problem: (what: string) => void): readonly Found[];
  /** The hub's last record of a pair. */
  last(pair: Pair): HubRecord | undefined;
  deadLetters(pair: Pair): readonly DeadLetter[];
  /** A3.2: when a pair's shard was taken, and by which life of a core, in the order of the log. */
  taken(pair: Pair): readonly { readonly time: number; readonly process: number | undefined }[];
  hasEvent(id: string): boolean;
  /** Whether every partition has an event with this id. */
  isEverywhere(id: string): boolean;
  /** Whether a message of a publish is in the log. */
  hasMessage(id: string, body: string): boolean;
}

export function gather(broker: Broker, books: Books): Evidence {
  const recordsOf = (stream: string) =>
    broker.partitions(`${PREFIX}.${stream}`).map((partition) => partition.committed());
  const messages = new Map<string, Message[]>();
  const bodies = new Set<string>();
  const topicsById = new Map(books.pairs.map(({ topic }) => [topicIdOf(topic), topic]));
  for (const records of recordsOf("messages")) {
    const ids = new Set<string>();
    for (const { key, partition, offset, time, headers, value } of records) {
      const id = headers["id"] ?? "";
      const body = textOf(value);
      const repeat = ids.has(id);
      ids.add(id);
      bodies.add(`${id} ${body}`);
      const topic = topicsById.get(key) ?? key;
      const ofTopic = messages.get(topic);
      const message = { partition, offset, time, id, body, repeat };
      if (ofTopic === undefined) messages.set(topic, [message]);
      else ofTopic.push(message);
    }
  }
  /** Replaces a sealed secret by the one that the subscriber gave. */
  const secretOf = ({ secret }: { readonly secret?: string }) =>
    secret === undefined ? {} : { secret: books.sealed.get(secret) ?? secret };
  const eventIds = new Set<string>();
  const events = recordsOf("events").map((records) =>
    records.map(({ offset, time, value }) => {
      const event = JSON.parse(textOf(value)) as EventFields & { topic: string; callback?: string };
      eventIds.add(event.id);
      return { offset, time, event: { ...event, ...secretOf(event) } };
    })
  );
  const subscriptions = recordsOf("subscriptions");
  const letters = recordsOf("dead-letters");

  const taken = recordsOf("topics").map((records) =>
    records.filter(({ key }) => key === "~owner")
      .map(({ time, value }) => ({ time, process: books.marks.get(textOf(value)) }))
  );

  /** The partition that a pair's id maps to. */
  function shardOf(pair: Pair): number {
    return broker.shardOf(subscriptionIdOf(pair.topic, pair.callback), events.length);
  }

  function historyOf(pair: Pair) {
    const id = subscriptionIdOf(pair.topic, pair.callback);
    let before = 0;
    const history: { record: HubRecord | undefined; before: number; time: number }[] = [];
    for (const { key, value, time } of subscriptions[shardOf(pair)] ?? []) {
      if (key === "~") before = (JSON.parse(textOf(value)) as { events: number }).events;
      if (key !== id) continue;
      const record = value === null ? undefined : JSON.parse(textOf(value)) as HubRecord;
      history.push({ record: record && { ...record, ...secretOf(record) }, before, time });
    }
    return history;
  }

  return {
    messages,
    told: (pair) =>
      (events[shardOf(pair)] ?? []).filter(({ event }) =>
        event.topic === pair.topic && (event.callback === pair.callback || event.type === "deregister")
      ),
    found(pair, problem) {
      const verifiedByEvent = new Set<string>();
      const intents = new Map<number, EventFields>();
      for (const { offset, event } of events[shardOf(pair)] ?? []) {
        if (event.type === "result" && event.verified === true) verifiedByEvent.add(event.intent!);
        if (event.type === "intent" && event.callback === pair.callback) intents.set(offset, event);
      }
      const found: Found[] = [];
      let last: HubRecord | undefined;
      for (const { record, before, time } of historyOf(pair)) {
        if (record !== undefined && record.phase === "gone" && last?.phase !== "gone") {
          found.push({ kind: "gone", before, time, stoodAt: record.unsubscribedAt ?? 0 });
          if (!pair.attempts.some(({ status, answeredAt }) => status === 410 && answeredAt! <= time + 1)) {
            problem("the hub holds it for gone, and it never answered 410");
          }
        }
        const { verified: intent = -1, expiresAt = 0, unsubscribedAt = 0 } = record ?? {};
        if (intent >= 0 && intent !== last?.verified) {
          const event = intents.get(intent);
          if (event === undefined) problem(`the hub holds intent ${intent} for verified, and there is none`);
          else if (!verifiedByEvent.has(event.id)) {
            const asked = books.challenged.findLast((one) =>
              one.callback === pair.callback && one.mode === event.mode && one.at <= time + 1
            );
            if (asked === undefined) problem(`the hub holds intent ${intent} for verified, and never asked`);
            // The owner folds it at once, and writes it a little later.
            found.push({ kind: "verified", before, time: asked?.at ?? time, intent, expiresAt, unsubscribedAt });
          }
        }
        last = record;
      }
      return found;
    },
    last: (pair) => historyOf(pair).at(-1)?.record,
    deadLetters(pair) {
      const id = subscriptionIdOf(pair.topic, pair.callback);
      return (letters[shardOf(pair)] ?? []).filter(({ key }) => key === id)
        .map(({ value }) => JSON.parse(textOf(value)) as DeadLetter)
        .filter(({ offset }) => offset !== undefined);
    },
    taken: (pair) => taken[shardOf(pair)] ?? [],
    hasEvent: (id) => eventIds.has(id),
    isEverywhere: (id) => events.every((records) => records.some(({ event }) => event.id === id)),
    hasMessage: (id, body) => bodies.has(`${id} ${body}`),
  };
}

function textOf(value: LogRecord["value"]): string {
  return value === null ? "null" : Buffer.from(value).toString();
}
