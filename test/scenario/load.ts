// A hub on three brokers under a load that shows every broken promise: publishers wait for their answer, subscribers answer
// well and renew. The figures of a phase come from the books.
import { audit, type Breach } from "../support/load/audit.ts";
import type { Book } from "../support/load/book.ts";
import { publishAlong } from "../support/load/publisher.ts";
import { Random } from "../support/load/random.ts";
import { DEAD_LETTER_ATTEMPTS, openSession, type Session } from "../support/load/session.ts";
import { begin, finish, isOpen, subscribe } from "../support/load/wishes.ts";
import { eventually, pause } from "../support/eventually.ts";
import type { KafkaCluster } from "../support/kafka/cluster.ts";
import { areInSync } from "../support/kafka/topics.ts";

/** What happened between two moments. */
export interface Phase {
  readonly name: string;
  readonly seconds: number;
  readonly accepted: number;
  /** Publishes answered 503 with Retry-After. */
  readonly refused: number;
  /** Publishes without an answer: the edge was down. */
  readonly unanswered: number;
  /** The longest that a publisher waited from its first try to a 2xx, ms. */
  readonly publishMs: number;
  /** The longest from a 2xx to the arrival at a subscriber, ms. */
  readonly deliverMs: number;
}

export interface ScenarioReport {
  readonly phases: readonly Phase[];
  readonly accepted: number;
  readonly deliveries: number;
  readonly repeated: number;
  /** Processes of the hub that ended by themselves. */
  readonly ended: number;
  readonly breaches: Readonly<Partial<Record<Breach, number>>>;
  readonly seen: readonly string[];
}

export interface UnderLoad {
  readonly session: Session;
  /** Runs `work` as a phase under load, and takes the phase's figures when it has ended. */
  during(name: string, work: () => Promise<void>): Promise<void>;
  /** Ends the load, waits for everything, and compares the books with the promises. */
  report(): Promise<ScenarioReport>;
  close(): Promise<void>;
}

const PUBLISHERS = 4;
const RENEW_MS = [100, 400] as const;
const FINISH_MS = 90_000;
const MOST_SEEN = 12;

export interface LoadOptions {
  readonly cluster: KafkaCluster;
  readonly cores: number;
  readonly edges: number;
  readonly seed?: number;
  readonly settings?: Readonly<Record<string, string>>;
  readonly onPhase?: (phase: Phase) => void;
}

export async function openUnderLoad(options: LoadOptions): Promise<UnderLoad> {
  const { cluster, cores, edges, seed = 1, settings = {}, onPhase } = options;
  const session = await openSession({ brokers: cluster.nodes, cores, edges, spares: false, settings });
  const random = new Random(seed);
  const phases: Phase[] = [];
  let running = true;
  let load: Promise<unknown>;
  try {
    await begin(session);
    load = Promise.all([
      ...Array.from({ length: PUBLISHERS }, (_, i) => publishAlong(session, `p${i}`, random.fork(), () => running)),
      renewAlong(session, random.fork(), () => running),
    ]);
    load.catch(() => {});
  } catch (error) {
    await session.close(false);
    throw error;
  }
  return {
    session,
    async during(name, work) {
      const from = performance.now();
      await work();
      const phase = phaseOf(session.book, name, from, performance.now());
      phases.push(phase);
      onPhase?.(phase);
    },
    async report() {
      running = false;
      await load;
      await finish(session, FINISH_MS);
      const { book } = session;
      const found = audit(book, { deadLetterAttempts: DEAD_LETTER_ATTEMPTS, now: performance.now() });
      const breaches: Partial<Record<Breach, number>> = {};
      for (const { breach } of found.violations) breaches[breach] = (breaches[breach] ?? 0) + 1;
      return {
        phases,
        accepted: found.accepted,
        deliveries: found.arrivals,
        repeated: found.repeats,
        ended: book.faults.filter(({ kind }) => kind === "ended").length,
        breaches,
        seen: found.violations.slice(0, MOST_SEEN).map(({ breach, what }) => `${breach}: ${what}`),
      };
    },
    async close() {
      running = false;
      await session.close(false);
    },
  };
}

async function renewAlong(session: Session, random: Random, running: () => boolean): Promise<void> {
  while (running()) {
    await pause(random.integer(...RENEW_MS));
    const pair = random.pick(session.book.pairs);
    // A pair whose wish waits for its yes makes no other.
    if (running() && !isOpen(pair)) await subscribe(session, pair);
  }
}

/** Waits until every subscriber has got a message that was published after this call. */
export async function flowing(session: Session, deadlineMs = 60_000): Promise<void> {
  const from = performance.now();
  const { pairs, messages } = session.book;
  await eventually(
    "a delivery to every subscriber",
    () => pairs.every(({ arrivals }) => (messages.get(arrivals.at(-1)?.key ?? "")?.sentAt ?? 0) > from),
    { deadlineMs },
  );
}

/** Waits until no partition lacks a replica. */
export async function inSync({ addresses }: KafkaCluster): Promise<void> {
  await eventually("replicas in sync", () => areInSync(addresses), { deadlineMs: 60_000, everyMs: 200 });
}

function phaseOf({ messages, pairs, refusals }: Book, name: string, from: number, to: number): Phase {
  const within = (at: number) => at >= from && at < to;
  const firstTry = new Map<string, number>();
  let [accepted, publishMs, deliverMs] = [0, 0, 0];
  for (const { key, sentAt, ackedAt } of messages.values()) {
    const publication = key.slice(0, key.lastIndexOf("."));
    if (!firstTry.has(publication)) firstTry.set(publication, sentAt);
    if (!within(ackedAt)) continue;
    accepted += 1;
    publishMs = Math.max(publishMs, ackedAt - firstTry.get(publication)!);
  }
  for (const { arrivals } of pairs) {
    const seen = new Set<string>();
    for (const { key, at } of arrivals) {
      if (seen.has(key)) continue;
      seen.add(key);
      const ackedAt = messages.get(key)?.ackedAt ?? Infinity;
      if (within(at)) deliverMs = Math.max(deliverMs, at - ackedAt);
    }
  }
  const inPhase = refusals.filter(({ at }) => within(at));
  return {
    name,
    seconds: (to - from) / 1_000,
    accepted,
    refused: inPhase.filter(({ status }) => status !== undefined).length,
    unanswered: inPhase.filter(({ status }) => status === undefined).length,
    publishMs: Math.round(publishMs),
    deliverMs: Math.round(deliverMs),
  };
}
