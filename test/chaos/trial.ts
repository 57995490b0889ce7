// One trial: load, faults, recovery, delivery of everything, audit.

import { pause } from "../support/eventually.ts";
import { audit, type Breach, type Violation } from "../support/load/audit.ts";
import type { Book } from "../support/load/book.ts";
import { commit, type Committed, type FaultPlan, planFaults } from "./faults.ts";
import { publishAlong } from "../support/load/publisher.ts";
import { finish } from "../support/load/wishes.ts";
import { liveAlong } from "./subscribers.ts";
import { Random } from "../support/load/random.ts";
import { DEAD_LETTER_ATTEMPTS, type Session } from "../support/load/session.ts";

export interface TrialResult {
  readonly trial: number;
  readonly seed: number;
  readonly fault: FaultPlan;
  /** The faults after the first one, where there are several cores or edges. */
  readonly more?: readonly FaultPlan[];
  readonly tookMs: number;
  /** Of this trial: publishes answered 2xx, attempts that came, and those of them that were repeats. */
  readonly accepted: number;
  readonly deliveries: number;
  readonly repeated: number;
  readonly deadLetters: number;
  readonly oldestRepeatMs: number;
  /** From the fault's end until a message published after its start arrived; null if none did. */
  readonly recoveryMs: number | null;
  /** The part of it until the process said that it was ready. */
  readonly bootMs: number;
  /** Processes that ended by themselves. */
  readonly ended: number;
  readonly heldUp: number;
  readonly breaches: Readonly<Partial<Record<Breach, number>>>;
  /** The first few violations of each kind. */
  readonly seen: readonly string[];
}

/** What the earlier trials of a session found. */
export interface SoFar {
  readonly violations: Set<string>;
  accepted: number;
  arrivals: number;
  repeats: number;
  deadLetters: number;
}

export function createSoFar(): SoFar {
  return { violations: new Set(), accepted: 0, arrivals: 0, repeats: 0, deadLetters: 0 };
}

const PUBLISHERS = 4;
const MOST_SEEN = 3;
/** How long load goes on after the fault. */
const AFTER_MS = 120;
const AFTER_MS_OF_MANY = 6_000;
/** Longer than a fold may take, and longer than the effects of an earlier fault. */
const CALM_MS = 1_600;

export async function runTrial(session: Session, trial: number, seed: number, soFar: SoFar): Promise<TrialResult> {
  const { book } = session;
  const random = new Random(seed);
  const { fleet, brokers } = session;
  const [cores, edges] = [fleet.cores, fleet.edges].map((tier) => tier.filter(({ spare }) => !spare).length);
  const [plan, ...more] = planFaults(random, { cores: cores!, edges: edges!, brokers: brokers.length });
  const begunAt = performance.now();
  const faultsBefore = book.faults.length;
  // In some trials subscribers make no new wishes, so that their old ones must outlive the fault. In calm trials they stop
  // early enough that every wish must be folded before the fault.
  const calm = random.chance(0.15);
  let steady = !calm && random.chance(0.3);
  let running = true;
  const load = Promise.all([
    ...Array.from({ length: PUBLISHERS }, (_, i) => publishAlong(session, `p${i}`, random.fork(), () => running)),
    ...session.subscribers.map((subscriber) =>
      liveAlong(session, subscriber, random.fork(), { trial, steady: () => steady }, () => running)
    ),
  ]);
  load.catch(() => {});
  await pause(random.integer(80, 500));
  if (calm) {
    steady = true;
    await pause(CALM_MS);
  }
  const committed = await commitAll(session, [plan!, ...more]);
  const from = Math.min(...committed.map(({ fault }) => fault.from));
  const liftedAt = Math.max(...committed.map((one) => one.liftedAt));
  const readyAt = Math.max(...committed.map(({ fault }) => fault.to));
  // If shards move, load goes on meanwhile in some trials.
  await pause(more.length === 0 && cores === 1 ? AFTER_MS : random.integer(AFTER_MS, AFTER_MS_OF_MANY));
  running = false;
  await load;
  await finish(session, brokers.length === 0 ? 30_000 : 60_000);

  const found = audit(book, { deadLetterAttempts: DEAD_LETTER_ATTEMPTS, now: performance.now() });
  const fresh = found.violations.filter(({ breach, what }) => !soFar.violations.has(`${breach}: ${what}`));
  const faults = book.faults.slice(faultsBefore);
  const result = {
    trial,
    seed,
    fault: plan!,
    ...(more.length === 0 ? {} : { more }),
    tookMs: Math.round(performance.now() - begunAt),
    accepted: found.accepted - soFar.accepted,
    deliveries: found.arrivals - soFar.arrivals,
    repeated: found.repeats - soFar.repeats,
    deadLetters: found.deadLetters - soFar.deadLetters,
    oldestRepeatMs: Math.round(found.oldestRepeatMs),
    recoveryMs: recovery(book, from, liftedAt),
    bootMs: Math.round(readyAt - liftedAt),
    ended: faults.filter(({ kind }) => kind === "ended").length,
    heldUp: faults.filter(({ target }) => target === "harness").length,
    ...summary(fresh),
  };
  for (const { breach, what } of fresh) soFar.violations.add(`${breach}: ${what}`);
  const { accepted, arrivals, repeats, deadLetters } = found;
  Object.assign(soFar, { accepted, arrivals, repeats, deadLetters });
  return result;
}

/** Commits each fault at its time. It waits for all of them before it throws one's error. */
async function commitAll(session: Session, plans: readonly FaultPlan[]): Promise<Committed[]> {
  const committed = await Promise.allSettled(plans.map(async (plan) => {
    await pause(plan.afterMs ?? 0);
    return await commit(session, plan);
  }));
  return committed.map((one) => {
    if (one.status === "rejected") throw one.reason;
    return one.value;
  });
}

function recovery({ pairs, messages }: Book, from: number, liftedAt: number): number | null {
  let first = Infinity;
  for (const { arrivals } of pairs) {
    for (let i = arrivals.length - 1; i >= 0 && arrivals[i]!.at > liftedAt; i -= 1) {
      const { at, key } = arrivals[i]!;
      if ((messages.get(key)?.sentAt ?? 0) > from) first = Math.min(first, at);
    }
  }
  return first === Infinity ? null : Math.round(first - liftedAt);
}

function summary(violations: readonly Violation[]): Pick<TrialResult, "breaches" | "seen"> {
  const breaches: Partial<Record<Breach, number>> = {};
  const seen: string[] = [];
  for (const { breach, what } of violations) {
    const count = breaches[breach] = (breaches[breach] ?? 0) + 1;
    if (count <= MOST_SEEN) seen.push(`${breach}: ${what}`);
  }
  return { breaches, seen };
}
