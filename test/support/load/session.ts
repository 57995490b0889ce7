// One hub on fresh data with its subscribers and books, for one or many trials.

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { Agent } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pause } from "../eventually.ts";
import { type Fleet, type Member, openFleet } from "../hub/fleet.ts";
import type { HubUnderTest } from "../hub/hub.ts";
import type { Kafka } from "../kafka/node.ts";
import { type Book, createBook, type Pair } from "./book.ts";
import { openSubscriber, type Subscriber } from "./subscriber.ts";

export interface Session {
  readonly fleet: Fleet;
  /** Empty if the log is the embedded one. */
  readonly brokers: readonly Kafka[];
  /** The hub at the edge whose turn it is. */
  readonly nextHub: () => HubUnderTest;
  readonly book: Book;
  readonly topics: readonly string[];
  readonly subscribers: readonly Subscriber[];
  readonly agent: Agent;
  /** Numbers publications over all trials. */
  readonly nextNumber: () => number;
  readonly nextWish: () => number;
  /** Pairs that stay unsubscribed until a trial, so that a delivery long after the end is seen. */
  readonly resting: Map<Pair, number>;
  /** The members that should run: a spare one only after it has joined. */
  readonly wanted: Set<Member>;
  /** Members and brokers that are down because a fault is under way. */
  readonly down: Set<Member | Kafka>;
  /** Ends everything. With `keep` it writes books and output beside the data and resolves to that directory, else it removes all. */
  close(keep: boolean): Promise<string | undefined>;
}

/** A message that was refused this often is a dead letter; the audit uses it too. */
export const DEAD_LETTER_ATTEMPTS = 2;
/** These times let a trial see retries, parking and probes within a second. */
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
/** If this process was held up for longer, its times are too inexact to judge by. */
const HELD_UP_MS = 300;

export interface SessionOptions {
  readonly brokers: readonly Kafka[];
  readonly cores: number;
  readonly edges: number;
  /** Whether one more of each tier may join. */
  readonly spares: boolean;
  readonly settings?: Readonly<Record<string, string>>;
}

export async function openSession(
  { brokers, cores, edges, spares, settings = {} }: SessionOptions,
): Promise<Session> {
  const directory = await mkdtemp(join(tmpdir(), "tidings-chaos-"));
  const dataDir = join(directory, "data");
  await mkdir(dataDir);
  const prefix = `chaos-${Date.now().toString(36)}`;
  const log = brokers.length === 0 ? {} : {
    TIDINGS_KAFKA_BROKERS: brokers.map(({ address }) => address).join(),
    TIDINGS_KAFKA_PREFIX: prefix,
    TIDINGS_KAFKA_REPLICATION: brokers.length < 3 ? "1" : "3",
  };
  const fleet = await openFleet({ cores, edges, spares, dataDir, settings: { ...SETTINGS, ...log, ...settings } });
  const book = createBook();
  let [number, wish] = [0, 0];
  const nextWish = () => wish += 1;
  const subscribers: Subscriber[] = [];
  for (let i = 0; i < SUBSCRIBERS; i += 1) {
    const topics = [TOPICS[i % TOPICS.length]!, TOPICS[(i + 1) % TOPICS.length]!];
    subscribers.push(await openSubscriber({ name: `s${i}`, topics, book, nextWish }));
  }
  book.pairs.push(...subscribers.flatMap(({ pairs }) => pairs));
  const wanted = new Set(fleet.members.filter(({ spare }) => !spare));
  const down = new Set<Member | Kafka>();
  let turn = 0;
  const nextHub = () => {
    const hubs = fleet.hubs.filter((_, index) => wanted.has(fleet.edges[index]!));
    return hubs[turn++ % hubs.length]!;
  };
  const agent = new Agent({ keepAlive: true });
  const supervisor = supervise(wanted, book, down);
  return {
    fleet,
    brokers,
    nextHub,
    book,
    topics: TOPICS,
    subscribers,
    agent,
    nextNumber: () => number += 1,
    nextWish,
    resting: new Map(),
    wanted,
    down,
    async close(keep) {
      await supervisor.close();
      await fleet.close();
      agent.destroy();
      for (const subscriber of subscribers) await subscriber.close();
      if (!keep) {
        await rm(directory, { recursive: true, force: true, maxRetries: 3 });
        return undefined;
      }
      await writeFile(join(directory, "hub.log"), fleet.output());
      const { messages, pairs, faults, unexpected } = book;
      await writeFile(
        join(directory, "book.json"),
        JSON.stringify({ messages: [...messages.values()], pairs, faults, unexpected }),
      );
      return directory;
    },
  };
}

/** Starts a process again that ended by itself, as an operator's supervisor does, and notes when this process was held up. */
function supervise(wanted: ReadonlySet<Member>, book: Book, down: Set<Member | Kafka>): { close(): Promise<void> } {
  let lookedAt = performance.now();
  const starting = new Set<Promise<void>>();
  const look = () => {
    const now = performance.now();
    if (now - lookedAt > LOOK_MS + HELD_UP_MS) {
      book.faults.push({ target: "harness", kind: "held up", from: lookedAt, to: now });
    }
    lookedAt = now;
    for (const member of wanted) {
      if (down.has(member) || member.pid !== undefined) continue;
      down.add(member);
      const fault = { target: member.tier, kind: "ended" as const, from: now - LOOK_MS, to: Infinity };
      book.faults.push(fault);
      const started = startAgain(member).finally(() => {
        fault.to = performance.now();
        down.delete(member);
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

/** Starts a member, and again if it ends before it is ready. @throws {Error} after 60 s */
export async function startAgain(member: Member): Promise<void> {
  const until = performance.now() + 60_000;
  for (;;) {
    try {
      return await member.start();
    } catch (error) {
      if (performance.now() > until) throw error;
      await pause(200);
    }
  }
}
