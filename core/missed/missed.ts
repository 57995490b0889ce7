// Missed messages (WIRE §5): a subscription's position is a cursor on its topic's log, so "what did I miss" is a read.
import type { Claim } from "../../shared/shares/standing.ts";
import { createPacedBody } from "../../shared/paced-body.ts";
import { isLive } from "../state/records.ts";
import type { Secrets } from "../keys/secrets.ts";
import type { Tail } from "../messages/tail.ts";
import type { Replica } from "../replica/replica.ts";
import { waitForMessages } from "../requests/accepted.ts";
import type { KnownSubscription } from "../requests/admission.ts";
import { Refusal } from "../requests/refusal.ts";
import { isSameClient } from "../state/ids.ts";
import { eventStream, OpenStreams } from "./event-stream.ts";
import { type FailedOptions, type FailedQuery, readFailedContent, resolveFailed } from "./failed-content.ts";
import { createReadMemory } from "./memory.ts";
import { type Page, PAGE_BYTES, readPage, writesOf } from "./page.ts";
import { createResolveQuery, type MissedQuery, type QueryOptions } from "./query.ts";
import { readerOf } from "./reader.ts";
import type { ReadTopic } from "./topic-messages.ts";

export interface MissedOptions extends QueryOptions, FailedOptions {
  readonly log: QueryOptions["log"] & FailedOptions["log"];
  readonly replica: Pick<Replica, "topic" | "subscription" | "watch" | "letterMessages">;
  readonly read: ReadTopic;
  readonly secrets: Pick<Secrets, "isSame">;
  readonly tail: Pick<Tail, "passed" | "watch" | "next">;
  /** Default 15 s. */
  readonly heartbeatMs?: number;
  /** A reader that takes nothing for so long is given up, ms; default 30 s. */
  readonly stallMs?: number;
}

/** Page and stream throw Refusal or LogError. */
export interface Missed {
  /** One page, `MissedMessages` as JSON. `breakOff`: see shared/serve.ts. */
  page(query: MissedQuery, breakOff?: () => void): Promise<Response>;
  /** One page of failed content, `FailedContents` as JSON. */
  failed(query: FailedQuery, breakOff?: () => void): Promise<Response>;
  /** Events, for as long as the subscription, its secret and its reader stay. */
  stream(query: MissedQuery): Promise<Response>;
  /** The number of open streams. */
  readonly open: number;
  /** Ends every stream and opens no other: the process is stopping. */
  close(): void;
}

/** The most bytes of all pages, and parts of streams, that their readers have not taken yet. */
const MEMORY_BYTES = 128 * 1024 * 1024;
const ROOM_WITHIN_MS = 2_000;
const UNSTORED = { "cache-control": "no-store" };

export function createMissed(options: MissedOptions): Missed {
  const { replica, secrets, tail, read, heartbeatMs = 15_000, stallMs = 30_000 } = options;
  const resolveQuery = createResolveQuery(options);
  const memory = createReadMemory(MEMORY_BYTES);
  const closing = new AbortController();
  const streams = new OpenStreams();
  const now = () => performance.now();

  async function page(query: MissedQuery, breakOff?: () => void): Promise<Response> {
    const { subscription, from, end, limit } = await resolveQuery(query);
    const { topic } = subscription;
    // A4.4: repeats are known only among the messages that the tail has passed.
    await waitForMessages(tail, topic.partition, end);
    const reader = readerOf(query.caller, subscription);
    return await answer(reader, () => readPage({ topic, from, end, limit }, { read, now }), breakOff);
  }

  async function failed(query: FailedQuery, breakOff?: () => void): Promise<Response> {
    const range = await resolveFailed(options, query);
    await waitForMessages(tail, range.subscription.topic.partition, range.end);
    const reader = readerOf(query.caller, range.subscription);
    return await answer(reader, () => readFailedContent(options, range, now), breakOff);
  }

  /** A page as an answer, read once there is room for it. */
  async function answer(
    reader: Claim,
    compose: () => Promise<Page>,
    breakOff: (() => void) | undefined,
  ): Promise<Response> {
    const reservation = await memory.reserve(reader, PAGE_BYTES, { waitMs: ROOM_WITHIN_MS });
    if (reservation === undefined) {
      throw new Refusal("overloaded", "The hub is reading as much for you as it can; ask again a little later");
    }
    try {
      const { parts, bytes } = await compose();
      reservation.resize(bytes);
      const onEnd = () => reservation.release();
      const body = createPacedBody(() => writesOf(parts), { stallMs, cutShort: "breaks", breakOff, onEnd });
      return new Response(body, {
        headers: { "content-type": "application/json", "content-length": String(bytes), ...UNSTORED },
      });
    } catch (error) {
      reservation.release();
      throw error;
    }
  }

  async function stream(query: MissedQuery): Promise<Response> {
    const { subscription, from } = await resolveQuery(query);
    const { id, topic } = subscription;
    const claim = readerOf(query.caller, subscription);
    const ended = new AbortController();
    const leave = streams.enter(id, claim, () => ended.abort());
    const check = () => void isAsOpened(subscription).then((same) => same || ended.abort(), () => ended.abort());
    const unwatch = replica.watch(id, check);
    // The subscription may have changed just before the watch began.
    check();
    const body = createPacedBody((gone) => {
      const signal = AbortSignal.any([gone, ended.signal]);
      return eventStream({ topic, from, read, tail, memory, claim, heartbeatMs, signal });
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
    return record !== undefined && isLive(record.phase) && record.life === life &&
      secrets.isSame(record.secret, secret, id) && isSameClient(record.client, client);
  }

  return {
    page,
    failed,
    stream,
    get open() {
      return streams.open;
    },
    close: () => closing.abort(),
  };
}
