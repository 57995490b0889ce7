// Faults: the hub's processes and its brokers are killed, put to sleep or restarted.

import process from "node:process";
import { pause } from "../support/eventually.ts";
import type { Member } from "../support/hub/fleet.ts";
import type { Fault } from "../support/load/book.ts";
import type { Random } from "../support/load/random.ts";
import { type Session, startAgain } from "../support/load/session.ts";

export interface FaultPlan {
  readonly target: "edge" | "core" | "broker";
  /** `joined` and `left` concern the spare: it starts if it is not running, else it stops. */
  readonly kind: "killed" | "asleep" | "restarted" | "joined" | "left";
  /** How long the process sleeps, or stays down before it is started. */
  readonly forMs: number;
  /** Which process of the target's kind, from 0. */
  readonly which?: number;
  /** When the fault happens, ms after the trial's first one. */
  readonly afterMs?: number;
}

/** How many processes of each kind a fault may hit. */
export interface Targets {
  readonly cores: number;
  readonly edges: number;
  readonly brokers: number;
}

type Choice = readonly [weight: number, target: FaultPlan["target"], kind: FaultPlan["kind"]];
const TIERS: readonly Choice[] = [
  [35, "core", "killed"],
  [15, "core", "asleep"],
  [10, "core", "restarted"],
  [20, "edge", "killed"],
  [10, "edge", "asleep"],
  [10, "edge", "restarted"],
];
const WITH_BROKER: readonly Choice[] = [
  ...TIERS,
  [40, "broker", "killed"],
  [40, "broker", "asleep"],
  [20, "broker", "restarted"],
];
const OF_MANY: readonly Choice[] = [
  [30, "core", "killed"],
  [25, "core", "asleep"],
  [15, "core", "restarted"],
  [15, "core", "joined"],
  [10, "edge", "killed"],
  [6, "edge", "asleep"],
  [5, "edge", "restarted"],
  [4, "edge", "joined"],
  [6, "broker", "killed"],
  [6, "broker", "asleep"],
  [4, "broker", "restarted"],
];
const MOST_FAULTS = 4;
/** A consumer group takes a member for dead after 10 s (A3.4). */
const PAST_SESSION_MS = [10_500, 12_500] as const;

/** The faults of a trial: one if each tier has one process, else several that may overlap. */
export function planFaults(random: Random, targets: Targets): FaultPlan[] {
  if (targets.cores === 1 && targets.edges === 1) return [planFault(random, targets.brokers > 0)];
  const plans = [];
  let afterMs = 0;
  for (let left = random.integer(1, MOST_FAULTS); left > 0; left--) {
    plans.push(planOfMany(random, targets, afterMs));
    afterMs += random.integer(0, 2_500);
  }
  return plans;
}

function planFault(random: Random, withBroker: boolean): FaultPlan {
  const [, target, kind] = choose(random, withBroker ? WITH_BROKER : TIERS);
  const long = random.chance(0.25);
  if (kind === "asleep") return { target, kind, forMs: long ? random.integer(400, 1_600) : random.integer(50, 400) };
  return { target, kind, forMs: long ? random.integer(50, 400) : 0 };
}

function planOfMany(random: Random, targets: Targets, afterMs: number): FaultPlan {
  const there = { core: targets.cores, edge: targets.edges, broker: targets.brokers };
  const [, target, kind] = choose(random, OF_MANY.filter(([, target]) => there[target] > 0));
  const where = { target, kind, which: random.integer(0, there[target] - 1), afterMs };
  const long = random.chance(0.4);
  if (kind !== "asleep") return { ...where, forMs: long ? random.integer(500, 5_000) : 0 };
  // Only a core has a session that a long sleep ends.
  if (long && target === "core") return { ...where, forMs: random.integer(...PAST_SESSION_MS) };
  return { ...where, forMs: random.integer(100, 3_000) };
}

function choose(random: Random, choices: readonly Choice[]): Choice {
  let left = random.unit() * choices.reduce((sum, [weight]) => sum + weight, 0);
  return choices.find(([weight]) => (left -= weight) < 0) ?? choices[0]!;
}

export interface Committed {
  readonly fault: Fault;
  /** When the process was woken or started. */
  readonly liftedAt: number;
}

/** Commits the fault, and resolves when the process runs again. */
export async function commit(session: Session, plan: FaultPlan): Promise<Committed> {
  const fault = noteFault(session, plan);
  try {
    const liftedAt = plan.target === "broker" ? await harmBroker(session, plan) : await harmTier(session, plan);
    return { fault, liftedAt };
  } finally {
    fault.to = performance.now();
  }
}

function noteFault({ book, fleet, brokers }: Session, { target, kind }: FaultPlan): Fault {
  const others = { core: fleet.cores, edge: fleet.edges, broker: brokers }[target].length > 1;
  const fault: Fault = { target, kind, from: performance.now(), to: Infinity, ...(others ? { shared: true } : {}) };
  book.faults.push(fault);
  return fault;
}

async function harmTier(session: Session, plan: FaultPlan): Promise<number> {
  const { fleet, down, wanted } = session;
  const members = plan.target === "edge" ? fleet.edges : fleet.cores;
  if (plan.kind === "joined" || plan.kind === "left") return await joinOrLeave(session, members);
  const member = members.filter(({ spare }) => !spare)[plan.which ?? 0];
  // Another fault already holds this process.
  if (member === undefined || down.has(member) || !wanted.has(member)) return performance.now();
  if (plan.kind === "asleep") {
    const { pid } = member;
    if (pid === undefined) return performance.now();
    down.add(member);
    try {
      process.kill(pid, "SIGSTOP");
      await pause(plan.forMs);
      process.kill(pid, "SIGCONT");
    } finally {
      down.delete(member);
    }
    return performance.now();
  }
  down.add(member);
  try {
    if (plan.kind === "killed") await member.kill();
    else await member.stop();
    await pause(plan.forMs);
    const liftedAt = performance.now();
    await startAgain(member);
    return liftedAt;
  } finally {
    down.delete(member);
  }
}

async function joinOrLeave({ down, wanted }: Session, members: readonly Member[]): Promise<number> {
  const spare = members.find((member) => member.spare);
  if (spare === undefined || down.has(spare)) return performance.now();
  down.add(spare);
  try {
    if (wanted.delete(spare)) await spare.stop();
    else {
      await startAgain(spare);
      wanted.add(spare);
    }
  } finally {
    down.delete(spare);
  }
  return performance.now();
}

async function harmBroker({ brokers, down }: Session, { kind, forMs, which = 0 }: FaultPlan): Promise<number> {
  const broker = brokers[which];
  if (broker === undefined) throw new Error("There is no broker to harm");
  if (down.has(broker)) return performance.now();
  down.add(broker);
  try {
    if (kind === "asleep") {
      broker.pause();
      await pause(forMs * 2);
      broker.resume();
      return performance.now();
    }
    if (kind === "killed") await broker.kill();
    else await broker.stop();
    await pause(forMs);
    const liftedAt = performance.now();
    await broker.start();
    return liftedAt;
  } finally {
    down.delete(broker);
  }
}
