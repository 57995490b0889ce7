// Missed messages (WIRE §5): a subscription's position is a cursor on its topic's log, so "what did I miss" is a read.
import { createPacedBody } from "../../shared/paced-body.ts";
import type { Caller } from "../../shared/core-api.ts";
import type { Tail } from "../messages/tail.ts";
import { waitForMessages } from "../requests/accepted.ts";
import { type Admit, type KnownSubscription, refuseEnded } from "../requests/admission.ts";
import { isSameClient } from "../state/ids.ts";
import type { Secrets } from "../keys/secrets.ts";
import { Refusal } from "../requests/refusal.ts";
import type { StandingOf } from "../requests/standing.ts";
import type { Topics } from "../requests/topics.ts";
import type { Log } from "../log/log.ts";
import type { Replica } from "../replica/replica.ts";
import { eventStream } from "./event-stream.ts";
import { createMemoryBudget } from "./memory-budget.ts";
import { PAGE_BYTES, readPage } from "./page.ts";
import { offsetOf } from "../requests/position.ts";
import { parseFrom, parseLimit } from "./query.ts";
import { createStreams } from "./streams.ts";
import type { ReadTopic } from "./topic-messages.ts";

export interface MissedOptions {
  readonly log: Log;
  readonly replica: Pick<Replica, "topic" | "subscription" | "watch">;
  readonly topics: Topics;
  readonly admit: Admit;
  readonly standingOf: StandingOf;
  readonly read: ReadTopic;
  readonly secrets: Pick<Secrets, "isSame">;
  readonly tail: Pick<Tail, "passed" | "watch" | "next">;
  /** Wall clock, ms. */
  readonly clock: () => number;
  /** Default 15 s. */
  readonly heartbeatMs?: number;
  /** A reader that takes nothing for so long is given up, ms; default 30 s. */
  readonly stallMs?: number;
}

export interface MissedQuery {
  readonly topic: string;
  readonly callback: string;
  readonly caller: Caller;
  /** `after`, `since`, `limit`, `lastEventId` as they came. */
  readonly query: URLSearchParams;
}

/** Both throw Refusal or LogError. */
export interface Missed {
  /** One page, `MissedMessages` as JSON. `breakOff`: see shared/serve.ts. */
  page(query: MissedQuery, breakOff?: () => void): Promise<Response>;
  /** Events, for as long as the subscription, its secret and its reader stay. */
  stream(query: MissedQuery): Promise<Response>;
  /** Streams open now. */
  readonly open: number;
  /** Ends every stream, and lets no other begin: the process is stopping. */
  close(): void;
}

/** Of all pages and parts of streams that are not taken yet. */
const MEMORY_BYTES = 128 * 1024 * 1024;
const ROOM_WITHIN_MS = 2_000;
const UNSTORED = { "cache-control": "no-store" };

export function createMissed(options: MissedOptions): Missed {
  const { log, replica, topics, tail, read, clock, heartbeatMs = 15_000, stallMs = 30_000 } = options;
  const budget = createMemoryBudget(MEMORY_BYTES);
  const closing = new AbortController();
  const streams = createStreams();

  /** Where to read from, once everything about the query was found to be right. */
  async function begin({ topic: name, callback, caller, query }: MissedQuery) {
    const limit = parseLimit(query.get("limit"));
    const asked = parseFrom(query, topics.identify(name), clock());
    const known = await options.admit(name, callback, caller);
    refuseEnded(known);
    const { topic, record } = known;
    const end = await log.end("messages", topic.partition);
    const offsets = await Promise.all(asked.map((position) => offsetOf(position, topic, log, end)));
    const start = Math.max(record.start, (await replica.topic(topic.id))?.start ?? 0);
    const named = offsets.length === 0 ? (await options.standingOf(known)).position : Math.max(...offsets);
    // WIRE §5: never before the subscription's start.
    return { known, from: Math.max(start, named), end, limit };
  }

  async function page(query: MissedQuery, breakOff?: () => void): Promise<Response> {
    const { known: { topic }, from, end, limit } = await begin(query);
    // Whether a message is a repeat is known of what the tail has passed (A4.4).
    await waitForMessages(tail, topic.partition, end);
    const reservation = await budget.reserve(PAGE_BYTES, AbortSignal.timeout(ROOM_WITHIN_MS));
    if (reservation === undefined) {
      throw new Refusal("overloaded", "The hub is reading as much as it can; ask again a little later");
    }
    try {
      const { parts, bytes } = await readPage({ topic, from, end, limit }, {
        read,
        now: () => performance.now(),
      });
      reservation.resize(bytes);
      const body = createPacedBody(() => partsOf(parts), {
        stallMs,
        cutShort: "breaks",
        breakOff,
        onEnd: () => reservation.release(),
      });
      return new Response(body, {
        headers: { "content-type": "application/json", "content-length": String(bytes), ...UNSTORED },
      });
    } catch (error) {
      reservation.release();
      throw error;
    }
  }

  async function stream(query: MissedQuery): Promise<Response> {
    const { known, from } = await begin(query);
    const { id, topic } = known;
    const leave = streams.enter(id);
    const ended = new AbortController();
    const check = () => void isAsOpened(known).then((same) => same || ended.abort(), () => ended.abort());
    const unwatch = replica.watch(id, check);
    // It may have changed just before the watch began.
    check();
    const body = createPacedBody((gone) => {
      const signal = AbortSignal.any([gone, ended.signal]);
      return eventStream({ topic, from, read, tail, budget, heartbeatMs, signal });
    }, {
      stallMs,
      cutShort: "ends",
      signal: AbortSignal.any([ended.signal, closing.signal]),
      onEnd: () => {
        unwatch();
        leave();
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream", ...UNSTORED } });
  }

  /** WIRE §5: a stream closes when its subscription ends, gets another secret, or becomes another client's. */
  async function isAsOpened({ id, record: { life, secret, client } }: KnownSubscription): Promise<boolean> {
    const record = await replica.subscription(id);
    return (record?.phase === "active" || record?.phase === "expired") && record.life === life &&
      options.secrets.isSame(record.secret, secret, id) && isSameClient(record.client, client);
  }

  return {
    page,
    stream,
    get open() {
      return streams.open;
    },
    close: () => closing.abort(),
  };
}

async function* partsOf(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void, void> {
  // Small ones together, so that a page of a thousand messages is not a thousand writes.
  let from = 0;
  let bytes = 0;
  for (const [index, part] of parts.entries()) {
    bytes += part.length;
    if (bytes < 65_536 && index < parts.length - 1) continue;
    yield Buffer.concat(parts.slice(from, index + 1));
    from = index + 1;
    bytes = 0;
  }
}
