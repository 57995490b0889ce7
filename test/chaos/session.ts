// One hub on fresh data, with its subscribers and books, for as many trials as it is good for.

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { Agent } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pause } from "../support/eventually.ts";
import { openOwnHub, type OwnHub, type Tier } from "../support/hub.ts";
import type { Kafka } from "../support/kafka-node.ts";
import { type Book, createBook, type Pair } from "./book.ts";
import { openSubscriber, type Subscriber } from "./subscriber.ts";

export interface Session {
  readonly hub: OwnHub;
  readonly kafka: Kafka | undefined;
  readonly book: Book;
  readonly topics: readonly string[];
  readonly subscribers: readonly Subscriber[];
  readonly agent: Agent;
  /** Numbers of publications; they go on over all trials. */
  readonly nextNumber: () => number;
  readonly nextWish: () => number;
  /** Pairs that stay unsubscribed until a trial, so that what comes long after the end is seen. */
  readonly resting: Map<Pair, number>;
  /** Tiers that are down because a fault is under way. */
  readonly down: Set<Tier>;
  /** Ends everything; `keep` writes books and output next to the data and says where, else all of it is removed. */
  close(keep: boolean): Promise<string | undefined>;
}

/** Seen by the auditor: a message refused as often is a dead letter. */
export const DEAD_LETTER_ATTEMPTS = 2;
/** Times that let a trial see retries, parking and probes within a second. */
const SETTINGS = {
  TIDINGS_DELIVERY_TIMEOUT: "1s",
  TIDINGS_RETRY_MIN: "10ms",
  TIDINGS_RETRY_MAX: "100ms",
  TIDINGS_PARK_AFTER: "500ms",
  TIDINGS_PROBE_INTERVAL: "150ms",
  TIDINGS_DEAD_LETTER_ATTEMPTS: String(DEAD_LETTER_ATTEMPTS),
};
const TOPICS = ["chaos/a", "chaos/b", "chaos/c", "http://topics.example/chaos?d=é"];
const SUBSCRIBERS = 6;
const LOOK_MS = 50;
/** A harness that was held up longer knows too little of what happened when. */
const HELD_UP_MS = 300;

export async function openSession(
  { kafka, settings = {} }: { readonly kafka: Kafka | undefined; readonly settings?: Readonly<Record<string, string>> },
): Promise<Session> {
  const directory = await mkdtemp(join(tmpdir(), "tidings-chaos-"));
  const dataDir = join(directory, "data");
  await mkdir(dataDir);
  const prefix = `chaos-${Date.now().toString(36)}`;
  const log = kafka === undefined
    ? {}
    : { TIDINGS_KAFKA_BROKERS: kafka.address, TIDINGS_KAFKA_PREFIX: prefix, TIDINGS_KAFKA_REPLICATION: "1" };
  const hub = await openOwnHub({ dataDir, settings: { ...SETTINGS, ...log, ...settings } });
  const book = createBook();
  let [number, wish] = [0, 0];
  const nextWish = () => wish += 1;
  const subscribers: Subscriber[] = [];
  for (let i = 0; i < SUBSCRIBERS; i += 1) {
    const topics = [TOPICS[i % TOPICS.length]!, TOPICS[(i + 1) % TOPICS.length]!];
    subscribers.push(await openSubscriber({ name: `s${i}`, topics, book, nextWish }));
  }
  book.pairs.push(...subscribers.flatMap(({ pairs }) => pairs));
  const down = new Set<Tier>();
  const agent = new Agent({ keepAlive: true });
  const supervisor = supervise(hub, book, down);
  return {
    hub,
    kafka,
    book,
    topics: TOPICS,
    subscribers,
    agent,
    nextNumber: () => number += 1,
    nextWish,
    resting: new Map(),
    down,
    async close(keep) {
      await supervisor.close();
      await hub.close();
      agent.destroy();
      for (const subscriber of subscribers) await subscriber.close();
      if (!keep) {
        await rm(directory, { recursive: true, force: true, maxRetries: 3 });
        return undefined;
      }
      await writeFile(join(directory, "hub.log"), hub.output());
      const { messages, pairs, faults, unexpected } = book;
      await writeFile(
        join(directory, "book.json"),
        JSON.stringify({ messages: [...messages.values()], pairs, faults, unexpected }),
      );
      return directory;
    },
  };
}

/** Starts again what ended by itself, as any operator's supervisor does, and notes when this very process was held up. */
function supervise(hub: OwnHub, book: Book, down: Set<Tier>): { close(): Promise<void> } {
  let lookedAt = performance.now();
  const starting = new Set<Promise<void>>();
  const look = () => {
    const now = performance.now();
    if (now - lookedAt > LOOK_MS + HELD_UP_MS) {
      book.faults.push({ target: "harness", kind: "held up", from: lookedAt, to: now });
    }
    lookedAt = now;
    for (const tier of ["core", "edge"] as const) {
      if (down.has(tier) || hub.pid(tier) !== undefined) continue;
      down.add(tier);
      const fault = { target: tier, kind: "ended" as const, from: now - LOOK_MS, to: Infinity };
      book.faults.push(fault);
      const started = startAgain(hub, tier).finally(() => {
        fault.to = performance.now();
        down.delete(tier);
        starting.delete(started);
      });
      starting.add(started);
    }
  };
  const timer = setInterval(look, LOOK_MS);
  return {
    async close() {
      clearInterval(timer);
      await Promise.allSettled(starting);
    },
  };
}

/** Starts a tier, again and again while it ends before it is ready. @throws {Error} after 60 s */
export async function startAgain(hub: OwnHub, tier: Tier): Promise<void> {
  const until = performance.now() + 60_000;
  for (;;) {
    try {
      return await hub.start(tier);
    } catch (error) {
      if (performance.now() > until) throw error;
      await pause(200);
    }
  }
}
