// What is done to the hub's processes, and to the broker under them.

import process from "node:process";
import { pause } from "../support/eventually.ts";
import type { Fault } from "./book.ts";
import type { Random } from "./random.ts";
import { type Session, startAgain } from "./session.ts";

export interface FaultPlan {
  readonly target: "edge" | "core" | "broker";
  readonly kind: "killed" | "asleep" | "restarted";
  /** How long it sleeps, or stays away before it is started. */
  readonly forMs: number;
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

export function planFault(random: Random, withBroker: boolean): FaultPlan {
  const choices = withBroker ? WITH_BROKER : TIERS;
  let left = random.next() * choices.reduce((sum, [weight]) => sum + weight, 0);
  const [, target, kind] = choices.find(([weight]) => (left -= weight) < 0) ?? choices[0]!;
  const long = random.chance(0.25);
  if (kind === "asleep") return { target, kind, forMs: long ? random.between(400, 1_600) : random.between(50, 400) };
  return { target, kind, forMs: long ? random.between(50, 400) : 0 };
}

/** Does it, and resolves when the process runs again: with when it was let go. */
export async function commit(session: Session, plan: FaultPlan): Promise<{ readonly fault: Fault; liftedAt: number }> {
  const fault: Fault = { target: plan.target, kind: plan.kind, from: performance.now(), to: Infinity };
  session.book.faults.push(fault);
  try {
    const liftedAt = plan.target === "broker" ? await harmBroker(session, plan) : await harmTier(session, plan);
    return { fault, liftedAt };
  } finally {
    fault.to = performance.now();
  }
}

async function harmTier({ hub, down }: Session, { target, kind, forMs }: FaultPlan): Promise<number> {
  const tier = target === "edge" ? "edge" : "core";
  if (kind === "asleep") {
    const pid = hub.pid(tier);
    if (pid === undefined) return performance.now();
    process.kill(pid, "SIGSTOP");
    await pause(forMs);
    process.kill(pid, "SIGCONT");
    return performance.now();
  }
  down.add(tier);
  try {
    if (kind === "killed") await hub.kill(tier);
    else await hub.stop(tier);
    await pause(forMs);
    const liftedAt = performance.now();
    await startAgain(hub, tier);
    return liftedAt;
  } finally {
    down.delete(tier);
  }
}

async function harmBroker({ kafka }: Session, { kind, forMs }: FaultPlan): Promise<number> {
  if (kafka === undefined) throw new Error("There is no broker to harm");
  if (kind === "asleep") {
    kafka.pause();
    await pause(forMs * 2);
    kafka.resume();
    return performance.now();
  }
  if (kind === "killed") await kafka.kill();
  else await kafka.stop();
  await pause(forMs);
  const liftedAt = performance.now();
  await kafka.start();
  return liftedAt;
}
